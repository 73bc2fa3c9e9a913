"""A Prometheus of Python: what the sidecar asks, with answers that a test sets; remote read is streamed.

    prom = FakePrometheus(external={"cluster": "x"})
    prom.skew = 90          # seconds that its clock is ahead
    prom.frames = function  # (start_ms, end_ms) -> iterable of bytes: the body of a remote read, chunk by chunk
"""
import email.utils
import http.server
import json
import threading
import time

STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


class FakePrometheus:
    def __init__(self, external=None, min_block="2h", max_block="2h", frames=None):
        self.external = {"cluster": "fake"} if external is None else external
        self.min_block, self.max_block, self.frames = min_block, max_block, frames
        self.skew = 0
        self.names = ["__name__", "n"]
        self.sent = []  # (begin, end, bytes, whole) of each remote read that ended
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate(time.time() + outer.skew, usegmt=True)

            def reply(self, body, kind="application/json"):
                body = body.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                path = self.path.split("?")[0]
                if path == "/metrics":
                    return self.reply("prometheus_tsdb_lowest_timestamp_seconds 1000\n", "text/plain")
                data = outer.answer(path)
                if data is None:
                    return self.send_error(404)
                self.reply(json.dumps({"status": "success", "data": data}))

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.read(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a sidecar that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.http = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.http}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path):
        if path == "/api/v1/status/config":
            labels = "".join(f"    {k}: {json.dumps(v)}\n" for k, v in self.external.items())
            return {"yaml": "global:\n  scrape_interval: 1m\n" + (f"  external_labels:\n{labels}" if labels else "")}
        if path == "/api/v1/status/buildinfo":
            return {"version": "2.42.0"}
        if path == "/api/v1/status/flags":
            return {"storage.tsdb.min-block-duration": self.min_block, "storage.tsdb.max-block-duration": self.max_block}
        if path == "/api/v1/labels":
            return self.names
        return None

    def read(self, handler):
        begin, n, whole = time.monotonic(), 0, False
        handler.send_response(200)
        handler.send_header("Content-Type", STREAMED)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for piece in self.frames(0, 0):
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                n += len(piece)
            handler.wfile.write(b"0\r\n\r\n")
            whole = True
        except OSError:
            handler.close_connection = True
        self.sent.append((begin, time.monotonic(), n, whole))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
