"""A remote read of a million series through the sidecar, to clients that hardly read or not at all: Prometheus is never
made to wait (an open remote read blocks the truncation of its head), and the sidecar's memory stays in its budget.

Prometheus is played by test/support/fakeprom.py. Usage: test_sidecar_big.py. Ends with "N passed, N failed, N skipped".
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fakeprom import FakePrometheus  # noqa: E402
from procs import Checks, Procs, wait  # noqa: E402
from storeapi import Client, labels_of  # noqa: E402
from xor import encode  # noqa: E402

FRAMES, A_FRAME = 1000, 1000  # series: their product
SPILL = 16 << 20  # memory of one answer before it goes to a file (lib/store/store.h)
ROOM = 48 << 20  # buffers of the connection to Prometheus and to the client, of two calls
T = 1700006400000


def uvarint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return bytes([number << 3 | 2]) + uvarint(len(data)) + data


def make_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def series(k, i):
    label = lambda name, value: field(1, field(1, name) + field(2, value))  # noqa: E731
    chunk = b"\x08" + uvarint(T) + b"\x10" + uvarint(T) + b"\x18\x01" + field(4, encode([(T, 1.0)]))
    return field(1, label(b"__name__", b"big") + label(b"n", b"%04d%03d" % (k, i)) + field(2, chunk))


def make_body():
    """The frames. All have one length and differ in four digits of the frame's number only, and CRCs are linear."""
    text = lambda k: b"".join(series(k, i) for i in range(A_FRAME))  # noqa: E731
    zero = text(0)
    crc0 = crc32c(zero)
    change = [[crc32c(text(d * 10**p)) ^ crc0 if d else 0 for d in range(10)] for p in range(4)]
    parts = [series(0, i).split(b"0000%03d" % i) for i in range(A_FRAME)]
    out = []
    for k in range(FRAMES):
        head = b"%04d" % k
        message = b"".join(a + head + b"%03d" % i + b for i, (a, b) in enumerate(parts))
        crc = crc0
        for p in range(4):
            crc ^= change[p][k // 10**p % 10]
        out.append(uvarint(len(message)) + crc.to_bytes(4, "big") + message)
    assert all(crc32c(out[k][-len(zero):]).to_bytes(4, "big") == out[k][-len(zero) - 4:-len(zero)] for k in (7, FRAMES - 1))
    return out


class Peak(threading.Thread):
    """The largest RSS seen."""

    def __init__(self, proc):
        super().__init__(daemon=True)
        self.proc, self.most, self.ended = proc, 0, False
        self.start()

    def run(self):
        while not self.ended:
            self.most = max(self.most, self.proc.rss())
            time.sleep(0.02)

    def end(self):
        self.ended = True
        self.join()
        return self.most


def read(client, n):
    """The stream, after its first n series were read and looked at."""
    stream = client.stream(matchers=["__name__=big"], timeout=120)
    bad, seen = [], 0
    for r in stream:
        for s in ([r.series] if r.HasField("series") else []) + list(r.batch.series):
            if labels_of(s) != (("__name__", "big"), ("cluster", "fake"), ("n", f"{seen:07}")):
                bad.append(labels_of(s))
            seen += 1
        if seen >= n:
            break
    return stream, seen, bad[:3]


def check(c, p, body):
    total = sum(map(len, body))
    prom = FakePrometheus(frames=lambda start, end: body)
    tmp = p.dir("tmp")
    proc = p.thanosc("sidecar", f"--prometheus.url={prom.url}", env=dict(os.environ, TMPDIR=tmp))
    rest = proc.rss()
    peak = Peak(proc)
    client = Client(proc.grpc)
    begin = time.monotonic()
    stream, seen, bad = read(client, 10)
    c.ok(seen >= 10 and not bad, "the first series come while Prometheus still sends, or soon after", (seen, bad))
    c.ok(wait(lambda: prom.sent, 30), "Prometheus finishes while the client that stopped has read next to nothing")
    took, whole = (prom.sent[0][1] - prom.sent[0][0], prom.sent[0][3]) if prom.sent else (0, False)
    c.ok(whole and prom.sent[0][2] == total, "the whole answer was taken", prom.sent)
    slow, seen, bad = read(client, 2000)
    c.ok(wait(lambda: len(prom.sent) == 2, 30) and all(s[3] for s in prom.sent), "beside it, for a client that reads slowly, too", prom.sent)
    for _ in range(5):
        time.sleep(0.1)
        for _, r in zip(range(300), slow):
            seen += 1
    c.ok(seen >= 3500 and not bad, "the slow client reads on", (seen, bad))
    files = spilled(proc)
    c.ok(files > total / 2, f"the rest lies in files without a name: {files} bytes")
    c.ok(not os.listdir(tmp), "that no folder shows")
    most = peak.end()
    c.ok(most - rest < 2 * SPILL + ROOM, f"memory of two answers of {total >> 20} MiB: {(most - rest) >> 20} MiB over {rest >> 20}")
    c.ok(proc.metric("thanos_sidecar_prometheus_up") == 1, "the heartbeat goes on")
    stream.cancel()
    slow.cancel()
    c.ok(wait(lambda: spilled(proc) == 0, 10), "both gone: their space is given back", spilled(proc))
    print(f"note: {FRAMES * A_FRAME} series, {total >> 20} MiB: Prometheus was done after {took:.1f} s; sidecar {rest >> 20} MiB, "
          f"at most {most >> 20} MiB with two such answers; {time.monotonic() - begin:.0f} s in all")
    c.ok(proc.stop() == 0, "SIGTERM ends it with 0")
    prom.stop()


def spilled(proc):
    """Bytes of deleted files that a process holds open."""
    folder, n = f"/proc/{proc.pid}/fd", 0
    for fd in os.listdir(folder):
        try:
            if os.readlink(os.path.join(folder, fd)).endswith(" (deleted)"):
                n += os.stat(os.path.join(folder, fd)).st_size
        except OSError:
            pass
    return n


def main():
    with Procs() as p:
        c = Checks(p)
        check(c, p, make_body())
    return c.end()


sys.exit(main())
