"""A scrape target with native histograms: Prometheus' protobuf exposition format, which is the only one that carries them."""
import http.server
import threading
import time

from remotewrite import field, varint

TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def zigzag(n):
    return n << 1 ^ n >> 63


def native(schema, zero, positive, negative, total):
    """A native histogram of runs {first bucket: [counts]}."""
    out = field(1, zero + sum(map(sum, positive.values())) + sum(map(sum, negative.values()))) + field(2, total)
    out += field(5, zigzag(schema)) + field(6, 0.001) + field(7, zero)
    for side, (span_no, delta_no) in ((negative, (9, 10)), (positive, (12, 13))):
        at = last = 0
        deltas = b""
        for first, counts in sorted(side.items()):
            out += field(span_no, field(1, zigzag(first - at)) + field(2, len(counts)))
            at = first + len(counts)
            for c in counts:
                deltas += field(delta_no, zigzag(c - last))
                last = c
        out += deltas
    return out


def family(name, kind, rows):
    """rows: [(labels, number of the value's field in Metric, its bytes)]."""
    out = field(1, name) + field(3, kind)
    for labels, number, value in rows:
        out += field(4, b"".join(field(1, field(1, k) + field(2, v)) for k, v in labels.items()) + field(number, value))
    return varint(len(out)) + out


def page(t):
    """Histograms that grow with time, get new buckets, and are reset each 20 s; a classic counter."""
    n = int(t * 10) % 200
    side = {-2: [n, n // 2], 3 + n % 2: [n // 3, 0, n // 5]}
    rows = [({"path": "/"}, 7, native(3, n // 7, side, {}, n * 0.25)),
            ({"path": "/both"}, 7, native(1, n, side, {1: [n // 4]}, n * -0.5))]
    return family("native_seconds", 4, rows) + family("plain_total", 0, [({"path": "/"}, 3, field(1, float(n)))])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = page(time.time())
        self.send_response(200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Target:
    """Serves the page on a free port until stop()."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
