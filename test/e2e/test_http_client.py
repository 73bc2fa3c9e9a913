"""`--prometheus.http-client` against a Prometheus behind TLS that wants a client certificate and a password (Python's ssl): files that
change are taken up without a restart, and no secret is shown.
Usage: test_http_client.py. Ends with "N passed, N failed, N skipped".
"""
import base64
import http.client
import os
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import Checks, Procs, get, wait  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, make_blocks, openmetrics  # noqa: E402
from rgw import make_ca  # noqa: E402

CONFIG = """basic_auth:
  username: sidecar
  password_file: {d}/password
tls_config:
  ca_file: {d}/ca.pem
  cert_file: {d}/client.pem
  key_file: {d}/client.key
  server_name: prometheus.internal
  min_version: TLS12
"""


class Guard:
    """A reverse proxy: TLS with a client certificate, then basic auth, then Prometheus."""

    def __init__(self, d, to, password):
        outer = self
        self.password, self.denied, self.served = password, 0, 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                want = "Basic " + base64.b64encode(f"sidecar:{outer.password}".encode()).decode()
                if self.headers.get("Authorization") != want:
                    outer.denied += 1
                    return self.reply(401, [], b"who?")
                outer.served += 1
                up = http.client.HTTPConnection("127.0.0.1", to)
                headers = {k: v for k, v in self.headers.items() if k not in ("Authorization", "Host")}
                up.request(self.command, self.path, body, headers)
                r = up.getresponse()
                skip = ("content-length", "transfer-encoding", "connection")
                self.reply(r.status, [h for h in r.getheaders() if h[0].lower() not in skip], r.read())
                up.close()

            def reply(self, code, headers, body):
                self.send_response(code)
                for k, v in headers:
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = pass_on

            def log_message(self, *args):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(os.path.join(d, "server.pem"), os.path.join(d, "server.key"))
        tls.load_verify_locations(os.path.join(d, "ca.pem"))
        tls.verify_mode = ssl.CERT_REQUIRED
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # refused handshakes are what is tested
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def write(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


def is_ready(proc):
    return get(proc.url + "/-/ready")[0] == 200


def main():
    c = Checks()
    with Procs() as p:
        c.procs = p
        d = make_ca(p.dir("tls"), "DNS:prometheus.internal")
        write(os.path.join(d, "password"), "first-pass\n")
        r = REPLICAS[2]
        prom = p.prometheus(r.name, make_blocks(openmetrics([r], False), p.dir("data")), r.external)
        guard = Guard(d, prom.http, "first-pass")
        conf = p.file("http.yml", CONFIG.format(d=d))
        flags = (f"--prometheus.url={guard.url}", f"--tsdb.path={prom.data}", "--prometheus.get_config_interval=300ms")
        side = p.thanosc("sidecar", *flags, f"--prometheus.http-client-file={conf}")
        c.ok(guard.served > 0, "the sidecar reaches Prometheus through TLS, certificate and password")
        query = p.query([side.grpc], replica=())
        span = dict(query="up", start=T0, end=T0 + LENGTH, step=61)
        ours, theirs = query.api("query_range", **span)[1], prom.api("query_range", **span)[1]
        count = lambda b: sum(len(s["values"]) for s in b["data"]["result"])
        c.ok(ours["data"]["result"] and count(ours) == count(theirs) and not ours.get("warnings"), "data is read through it", ours)
        guard.password = "second-pass"
        c.ok(wait(lambda: not is_ready(side), 20), "a password that does not suit any more: not ready")
        write(os.path.join(d, "password"), "second-pass\n")
        c.ok(wait(lambda: is_ready(side), 20), "the new password is read from its file")
        # One file of a pair at a time: the old pair stays in use meanwhile.
        old = p.dir("old")
        for name in ("client.pem", "client.key"):
            write(os.path.join(old, name), open(os.path.join(d, name)).read())
        other = make_ca(p.dir("other"))
        write(os.path.join(d, "client.key"), open(os.path.join(other, "client.key")).read())
        c.ok(wait(lambda: "do not belong together" in side.text(), 20), "half a pair is told")
        served = guard.served
        c.ok(wait(lambda: guard.served > served + 2, 20) and is_ready(side), "and the old pair stays in use")
        write(os.path.join(d, "client.key"), open(os.path.join(old, "client.key")).read())
        c.ok("first-pass" not in side.text() and "second-pass" not in side.text(), "no password in the log")
        flags_text = get(side.url + "/api/v1/status/flags")[1].decode()
        c.ok("second-pass" not in flags_text, "nor among the flags")
        cases = (("no client certificate", "\n".join(l for l in CONFIG.format(d=d).splitlines() if "_file: " + d + "/client" not in l), ""),
                 ("another name", CONFIG.format(d=d).replace("prometheus.internal", "localhost"), "matches target host name"),
                 ("another CA", CONFIG.format(d=d).replace(f"{d}/ca.pem", f"{other}/ca.pem"), "certificate"))
        for n, (what, text, want) in enumerate(cases):
            bad = p.thanosc("sidecar", *flags, f"--prometheus.http-client-file={p.file(f'bad-{n}.yml', text)}", name=f"bad-{n}", ready=False)
            c.ok(wait(lambda: "not reached yet" in bad.text() and want in bad.text(), 20), f"{what}: not reached", bad.text()[-500:])
            bad.kill()
        out = p.thanosc("sidecar", *flags, "--prometheus.http-client=basic_auht: {}", name="unknown-key", ready=False)
        c.ok(out.p.wait(10) != 0 and "did you mean 'basic_auth'?" in out.text(), "an unknown key suggests the nearest", out.text())
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
