"""A proxy in front of an HTTP server that misbehaves with a given chance, from a seed, and counts what it did.

Faults: `slow` (the answer late), `reset` (not forwarded), `lost` (forwarded, the answer dropped), `cut` (half of the answer's
body), `refuse` (503, not forwarded), `landed` (forwarded, yet 503), and with `stale` seconds given `stale`: a listing (ListObjectsV2)
answered with what was true that long ago at most, and is no longer. Bodies pass through memory: small tests only.
"""
import collections
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


def is_listing(asked):
    method, target = asked[0].split(None, 2)[:2]
    return method == b"GET" and b"list-type=2" in target.partition(b"?")[2].split(b"&")


class Answers:
    """What was answered to each listing, one after the other, and when each was first seen."""
    KEPT = 8  # different answers to one request

    def __init__(self, seconds):
        self.seconds, self.seen = seconds, {}

    def add(self, asked, answer):
        """Note a true answer; gives those that it replaced within the last seconds."""
        now = time.monotonic()
        seen = self.seen.setdefault(asked[0].split(None, 2)[1], collections.deque(maxlen=self.KEPT))
        if not seen or seen[-1][1][1] != answer[1]:
            seen.append((now, answer))
        ended = zip(seen, list(seen)[1:])  # an answer was true until the next one was seen, or nearly
        return [old for (_, old), (until, _) in ended if now - until <= self.seconds and old[1] != answer[1]]


class FaultProxy:
    def __init__(self, to_port, chance, seed=1, stale=0):
        self.to, self.chance, self.random, self.lock = to_port, chance, random.Random(seed), threading.Lock()
        self.answers = Answers(stale) if stale else None
        self.done = dict.fromkeys(KINDS + ("stale",) if stale else KINDS, 0)
        self.misled = set()  # what listings were of that an old answer was given to
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

    def choose(self, listing):
        """Every second fault of a listing is an old answer, if there is one."""
        with self.lock:
            self.requests += 1
            if self.random.random() >= self.chance:
                return None
            kind = "stale" if listing and self.random.random() < 0.5 else self.random.choice(KINDS)
            if kind != "stale":
                self.done[kind] += 1
            return kind

    def listed(self, kind, asked, answer):
        """The answer to a listing: this one, or an older one."""
        with self.lock:
            old = self.answers.add(asked, answer) if answer[0].split(None, 2)[1] == b"200" else None
            if kind != "stale" or not old:
                return answer
            self.done[kind] += 1
            self.misled.add(asked[0].split(None, 2)[1].decode())
            return self.random.choice(old)

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
        listing = self.answers is not None and is_listing(asked)
        kind = self.choose(listing)
        if kind == "refuse":
            return self.busy(c, asked)
        if kind == "reset":
            return self.reset(c)
        up.sendall(asked[0] + asked[1])
        answer = read_message(uf, asked[0].split()[0])
        if not answer:
            return False
        if listing:
            answer = self.listed(kind, asked, answer)
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
