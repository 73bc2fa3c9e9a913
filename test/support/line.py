"""
A line that takes its time each way, however much is on it: TCP from a port of its own to another.
"""
import asyncio
import threading
import time

PIECE = 256 << 10


class Line:
    def __init__(self, port, delay_s):
        self.to, self.delay_s = port, delay_s
        ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self.connected, "127.0.0.1", 0, limit=PIECE))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    async def connected(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to, limit=PIECE)
        await asyncio.gather(self.one_way(reader, far_writer), self.one_way(far_reader, writer))

    async def one_way(self, reader, writer):
        on_the_way = asyncio.Queue()
        give = asyncio.ensure_future(self.give(on_the_way, writer))
        piece = b"-"
        while piece:
            try:
                piece = await reader.read(PIECE)
            except ConnectionError:
                piece = b""
            on_the_way.put_nowait((time.monotonic() + self.delay_s, piece))
        await give

    @staticmethod
    async def give(on_the_way, writer):
        while True:
            due, piece = await on_the_way.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not piece:
                writer.close()
                return
            try:
                writer.write(piece)
                await writer.drain()
            except ConnectionError:
                pass

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
