"""Who leaves cancels its query, down to the gRPC streams under way. thanosc query stands over a store of python3-grpcio
whose streams hang: the client goes only after the stream is under way, and the stream must end after it, by a reset.

Usage: test_cancel.py. Ends with "N passed, N failed, N skipped".
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from concurrent import futures

import grpc

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
THANOSC = os.environ.get("THANOSC", os.path.join(ROOT, "build/thanosc"))
PATIENCE_S = 20  # bounds waiting when something is broken; nothing is measured against it
passed = failed = 0


def ok(cond, what):
    global passed, failed
    if cond:
        passed += 1
    else:
        failed += 1
        print("FAILED:", what)
    return cond


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(num, data):
    return varint(num << 3 | 2) + varint(len(data)) + data


def info():
    """InfoResponse: component, StoreInfo{min_time 0, max_time far away}."""
    return field(2, b"sidecar") + field(3, b"\x10" + varint(1 << 62))


class HangingStore(grpc.GenericRpcHandler):
    """Info answers; every other call says that it began, and hangs until it is cancelled."""

    def __init__(self):
        self.begun, self.ended = threading.Event(), threading.Event()

    def reset(self):
        self.begun.clear()
        self.ended.clear()

    def hang(self, context):
        context.add_callback(self.ended.set)  # on cancellation and on any other end
        self.begun.set()
        self.ended.wait(PATIENCE_S * 2)

    def series(self, request, context):
        yield field(2, b"a warning, so that the stream is under way")
        self.hang(context)

    def labels(self, request, context):
        self.hang(context)
        return b""

    def service(self, details):
        if details.method == "/thanos.info.Info/Info":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: info())
        if details.method == "/thanos.Store/Series":
            return grpc.unary_stream_rpc_method_handler(self.series)
        if details.method in ("/thanos.Store/LabelNames", "/thanos.Store/LabelValues"):
            return grpc.unary_unary_rpc_method_handler(self.labels)
        return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as r:
        return r.read().decode()


def wait(cond):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if cond():
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def request(path, post):
    if not post:
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    where, _, form = path.partition("?")
    return (f"POST {where} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}").encode()


def leaves(store, what, begin, leave):
    """Order of events: the stream begins, goes on, the client leaves, the stream ends."""
    store.reset()
    begin()
    if not ok(store.begun.wait(PATIENCE_S), f"{what}: the store is asked"):
        return
    ok(not store.ended.wait(0.3), f"{what}: the stream goes on while its client is there")
    t = time.monotonic()
    leave()
    if ok(store.ended.wait(PATIENCE_S), f"{what}: the stream ends when its client has left"):
        print(f"note: {what}: the stream ended {(time.monotonic() - t) * 1000:.0f} ms after its client left")


def http_client(store, port, what, path, post=False, reset=False):
    s = socket.create_connection(("127.0.0.1", port))

    def leave():
        if reset:  # RST instead of FIN
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    leaves(store, what, lambda: s.sendall(request(path, post)), leave)


def grpc_client(store, channel, what):
    """A querier above: its own stream is cancelled, and so is the one below."""
    matcher = field(2, b"__name__") + field(3, b"up")
    calls = []  # made by leaves(): before, the store could be asked too early to be noticed
    leaves(store, what,
           lambda: calls.append(channel.unary_stream("/thanos.Store/Series")(field(3, matcher) + b"\x10" + varint(1000))),
           lambda: calls[0].cancel())


def run(store, http, grpc_port):
    up = "/api/v1/query?query=up"
    every = "start=0&end=600&step=60"
    regex = urllib.parse.quote('rate({__name__=~"u.*"}[5m])')
    http_client(store, http, "query", up)
    http_client(store, http, "query by POST", up, post=True)
    http_client(store, http, "query, reset", up, reset=True)
    http_client(store, http, "query_range", f"/api/v1/query_range?query=sum({regex})&{every}")
    http_client(store, http, "series", "/api/v1/series?match[]=up")
    http_client(store, http, "labels", "/api/v1/labels")
    http_client(store, http, "label values", "/api/v1/label/job/values")
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        grpc_client(store, channel, "Series from a querier above")
        said = channel.unary_unary("/thanos.info.Info/Info")(b"", timeout=PATIENCE_S)
        ok(field(1, field(1, b"tier") + field(2, b'h,"x')) in said, "Info says --selector-label")
    store.reset()
    s = socket.create_connection(("127.0.0.1", http))
    s.sendall(request("/api/v1/query?query=up&timeout=300ms", False))
    ok(store.begun.wait(PATIENCE_S) and store.ended.wait(PATIENCE_S), "timeout= ends the stream, too")
    ok(b" 503 " in s.recv(4096).split(b"\r\n")[0], "a query that timed out is answered 503")
    s.close()


def refused_flags():
    for flag in ('a=b', 'a="b",c="d"', 'a!="b"', '="x"', 'a'):
        p = subprocess.run([THANOSC, "query", "--endpoint=127.0.0.1:1", f"--http-address=127.0.0.1:{free_port()}",
                            f"--grpc-address=127.0.0.1:{free_port()}", f"--selector-label={flag}"],
                           capture_output=True, text=True, timeout=PATIENCE_S)
        ok(p.returncode == 1 and "--selector-label" in p.stderr, f"--selector-label={flag} is refused: {p.stderr}")


def main():
    store = HangingStore()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), handlers=(store,))
    below, http, grpc_port = server.add_insecure_port("127.0.0.1:0"), free_port(), free_port()
    server.start()
    p = subprocess.Popen([THANOSC, "query", f"--endpoint=127.0.0.1:{below}", f"--http-address=127.0.0.1:{http}",
                          f"--grpc-address=127.0.0.1:{grpc_port}", '--selector-label=tier="h,\\"x"'],
                         stderr=subprocess.PIPE, text=True)
    try:
        if ok(wait(lambda: "sidecar" in get(http, "/api/v1/stores")), "the store is found"):
            run(store, http, grpc_port)
        p.send_signal(signal.SIGTERM)
        ok(p.wait(PATIENCE_S) == 0, "thanosc query ends in order")
    finally:
        if p.poll() is None:
            p.kill()
        if failed:
            print(p.stderr.read())
        server.stop(0)
    refused_flags()


main()
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(failed != 0)
