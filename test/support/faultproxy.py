"""A proxy in front of an HTTP server that misbehaves with a given chance, from a seed, and counts what it did.

Faults: `slow` (the answer late), `reset` (not forwarded), `lost` (forwarded, the answer dropped), `cut` (half of the answer's
body), `refuse` (503, not forwarded), `landed` (forwarded, yet 503). Bodies pass through memory: small tests only.
"""
import random
import socket
import struct
import threading
import time

KINDS = ("slow", "reset", "lost", "cut", "refuse", "landed")
TEXT = b"<Error><Code>SlowDown</Code><Message>try again later</Message></Error>"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(TEXT)


def read_message(f, method=None):
    """(head, body) of one HTTP message with Content-Length; None at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = f.readline()
        if not line:
            return None
        head += line
    fields = dict(l.split(b":", 1) for l in head.lower().split(b"\r\n")[1:] if b":" in l)
    n = int(fields.get(b"content-length", b"0"))
    if method == b"HEAD" or head.split()[1] in (b"204", b"304"):
        n = 0
    if fields.get(b"transfer-encoding", b"").strip() == b"chunked" and method != b"HEAD":
        body = b""
        while True:
            size = f.readline()
            chunk = f.read(int(size, 16) + 2)
            body += size + chunk
            if int(size, 16) == 0:
                return head, body
    body = f.read(n)
    return (head, body) if len(body) == n else None


class FaultProxy:
    def __init__(self, to_port, chance, seed=1):
        self.to, self.chance, self.random, self.lock = to_port, chance, random.Random(seed), threading.Lock()
        self.done = dict.fromkeys(KINDS, 0)
        self.requests = 0
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def close(self):
        self.server.close()

    def choose(self):
        with self.lock:
            self.requests += 1
            kind = self.random.choice(KINDS) if self.random.random() < self.chance else None
            if kind:
                self.done[kind] += 1
            return kind

    def serve(self, c):
        try:
            with c, socket.create_connection(("127.0.0.1", self.to)) as up, c.makefile("rb") as cf, up.makefile("rb") as uf:
                while self.one(c, cf, up, uf):
                    pass
        except (OSError, ValueError):
            pass

    def one(self, c, cf, up, uf):
        """False: the connection ends."""
        asked = read_message(cf)
        if not asked:
            return False
        kind = self.choose()
        if kind == "refuse":
            return self.busy(c, asked)
        if kind == "reset":
            return self.reset(c)
        up.sendall(asked[0] + asked[1])
        answer = read_message(uf, asked[0].split()[0])
        if not answer:
            return False
        if kind == "slow":
            time.sleep(0.3)
        if kind == "lost":
            return self.reset(c)
        if kind == "landed":
            return self.busy(c, asked)
        if kind == "cut":
            c.sendall(answer[0] + answer[1][:len(answer[1]) // 2])
            return False
        c.sendall(answer[0] + answer[1])
        return True

    @staticmethod
    def busy(c, asked):
        c.sendall(BUSY + (b"" if asked[0].startswith(b"HEAD") else TEXT))
        return True

    @staticmethod
    def reset(c):
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
