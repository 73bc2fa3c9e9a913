"""HTTP/2 on the HTTP port, as curl and h2load speak it: prior knowledge, Upgrade, ALPN, http2: false; then hostile peers of both
protocols, each for some seconds beside curl: answered in time, and the process stays small. Ends with "N passed, N failed, N skipped".
"""
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from pki import Authority  # noqa: E402
from procs import Checks, Procs, get, wait  # noqa: E402

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
SHUT = b"\0\0\6\4\0\0\0\0\0" + b"\0\4\0\0\0\0"  # streams have no window
RSS_MAX = 256 << 20
SLOWEST = 8.0  # seconds; some attacks are many /metrics at once, and machines of tests are busy


def curl(url, *flags):
    """(version, status, seconds, body)"""
    out = subprocess.run(["curl", "-s", "-m", "20", "-o", "-", "-w", "\n%{http_version} %{http_code} %{time_total}", *flags, url],
                         capture_output=True).stdout
    body, _, last = out.rpartition(b"\n")
    version, status, seconds = last.decode().split()
    return version, int(status), float(seconds), body


def speaks(c, what, url, want, *flags):
    got = curl(url, *flags)
    c.ok(got[:2] == (want, 200), f"{what}: HTTP/{want}", got)
    return got[3]


def versions(c, p, ca):
    q = p.thanosc("query", name="plain")
    query = q.url + "/api/v1/query?query=1"
    for path in ("/metrics", "/api/v1/query?query=vector(1)", "/-/healthy", "/"):
        for want, flags in (("2", ["--http2-prior-knowledge"]), ("2", ["--http2"]), ("1.1", ["--http1.1"])):
            body = speaks(c, f"{path} {flags}", q.url + path, want, *flags)
            c.ok(len(body) >= 2, f"{path} {flags}: a body", body)
    body = speaks(c, "form", q.url + "/api/v1/query", "2", "--http2-prior-knowledge", "-d", "query=vector(7)")
    c.ok(b'"7"' in body, "a form is read", body)
    body = speaks(c, "gzip", q.url + "/api/v1/status/flags", "2", "--http2-prior-knowledge", "--compressed")
    c.ok(body.startswith(b'{"status":"success"'), "gzip is undone", body[:80])
    head = speaks(c, "HEAD", query, "2", "--http2-prior-knowledge", "-I").decode()
    c.ok(re.search("^content-length: [1-9]", head, re.M) and not re.search("^(connection|transfer-encoding):", head, re.M), "its head", head)
    got = curl(q.url + "/-/healthy", "--http2-prior-knowledge", *(w for i in range(600) for w in ("-H", f"X-{i}: v")))
    c.ok(got[:2] == ("2", 431), "600 headers: 431", got)
    if shutil.which("h2load"):
        for url in (query, q.url + "/metrics"):
            out = subprocess.run(["h2load", "-n", "4000", "-c", "10", "-m", "50", url], capture_output=True, text=True).stdout
            c.ok("4000 succeeded, 0 failed, 0 errored" in out, f"h2load {url}", out)
    else:
        c.skip("h2load (nghttp2-client) is not installed")
    q.stop()

    server = ca.leaf("server")
    tls = f"tls_server_config:\n  cert_file: {server[0]}\n  key_file: {server[1]}\n"
    off = "http_server_config:\n  http2: false\n"
    for name, text, url, want in (("tls", tls, "https", "2"), ("tls-off", tls + off, "https", "1.1"), ("plain-off", off, "http", "1.1")):
        config = ca.path(name + ".yml")
        with open(config, "w") as f:
            f.write(text)
        q = p.thanosc("query", f"--http.config={config}", ready=False, name=name)
        url = f"{url}://127.0.0.1:{q.http}/-/ready"
        c.ok(wait(lambda url=url: curl(url, "-k")[1] == 200, 20), f"{name}: ready", q.text())
        speaks(c, name, url, want, "-k", "--http2")
        speaks(c, name, url, "1.1", "-k", "--http1.1")
        if name == "plain-off":
            c.ok(curl(url, "--http2-prior-knowledge")[1] == 0, "http2: false refuses prior knowledge", q.text())
        q.stop()


class Attack:
    """Runs until stop is set; sockets are kept open until the end."""

    def __init__(self, port, run):
        self.port, self.run, self.kept, self.stop, self.rounds = port, run, [], threading.Event(), 0
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stop.is_set():
            try:
                self.run(self)
            except OSError:
                pass  # cut: as it should be
            self.rounds += 1

    def dial(self, *what):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        for b in what:
            s.sendall(b)
        return s

    def keep(self, most, *what):
        if len(self.kept) < most:
            self.kept.append(self.dial(*what))
        else:
            time.sleep(0.05)

    def end(self):
        self.stop.set()
        self.thread.join()
        for s in self.kept:
            s.close()


def request(stream, path, flags=5):
    fields = b"".join(b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v
                      for k, v in ((b":method", b"GET"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")))
    return len(fields).to_bytes(3, "big") + bytes([1, flags]) + stream.to_bytes(4, "big") + fields


def idle(a):
    a.keep(MOST_IDLE, *([PREFACE + SETTINGS] if len(a.kept) % 2 else []))


def slow_heads(a):
    a.keep(1500, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-")
    for s in a.kept[::50]:
        s.sendall(b"x")


def unread(a):
    """Pages and metrics are asked for, and nothing is read: by the window of TCP, and by those of HTTP/2."""
    a.keep(300, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    a.keep(300, PREFACE + SHUT, *(request(1 + 2 * i, b"/metrics") for i in range(60)))


def resets(a):
    s = a.dial(PREFACE + SETTINGS)
    for i in range(0, 20000, 50):
        s.sendall(b"".join(request(1 + 2 * k, b"/api/v1/query?query=1") + b"\0\0\4\3\0" + (1 + 2 * k).to_bytes(4, "big") + b"\0\0\0\x08"
                           for k in range(i, i + 50)))
    s.close()


def continuations(a):
    s = a.dial(PREFACE + SETTINGS, request(1, b"/metrics", 0))
    for _ in range(1000):
        s.sendall(b"\0\0\0\x09\0\0\0\0\1" * 100)
    s.close()


def pings(a):
    s = a.dial(PREFACE + SETTINGS)
    for _ in range(1000):
        s.sendall(b"\0\0\x08\6\0\0\0\0\0" + bytes(8) + SETTINGS)
    s.close()


def half_closed(a):
    a.keep(2000, PREFACE + SHUT + request(1, b"/metrics"))
    if a.kept:
        a.kept[-1].shutdown(socket.SHUT_WR)


def hostile(c, p):
    q = p.thanosc("query", name="attacked")
    before = q.rss()
    for run, least in ((idle, 1000), (slow_heads, 100), (unread, 100), (resets, 1), (continuations, 1), (pings, 1), (half_closed, 100)):
        name = run.__name__
        a = Attack(q.http, run)
        if run is idle:
            wait(lambda a=a: len(a.kept) >= MOST_IDLE, 60)
            c.ok(len(a.kept) >= MOST_IDLE, f"{MOST_IDLE} idle connections", len(a.kept))
        end, slowest, n, most = time.monotonic() + 3, 0, 0, 0
        while time.monotonic() < end or (a.rounds < least or n < 6) and time.monotonic() < end + 20:
            for want, flags in (("1.1", "--http1.1"), ("2", "--http2-prior-knowledge")):
                version, status, seconds, body = curl(q.url + "/api/v1/query?query=vector(1)", flags)
                c.ok((version, status) == (want, 200) and b'"success"' in body, f"{name}: answered", (version, status, body))
                slowest, n, most = max(slowest, seconds), n + 1, max(most, q.rss())
        c.ok(n >= 6 and slowest < SLOWEST, f"{name}: in time", (n, slowest))
        c.ok(a.rounds >= least, f"{name}: it ran", a.rounds)
        c.ok(most < RSS_MAX, f"{name}: {most >> 20} MiB", before)
        if os.environ.get("VERBOSE"):
            print(f"{name}: {a.rounds} rounds, {len(a.kept)} open, {n} answers, slowest {slowest:.3f} s, {most >> 20} MiB", flush=True)
        a.end()
    c.ok(get(q.url + "/-/healthy")[0] == 200 and q.stop() == 0, "it ends well", q.text()[-500:])


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
MOST_IDLE = min(10000, hard * 5 // 8)
with Procs() as procs:
    checks = Checks(procs)
    versions(checks, procs, Authority(procs.dir("pki")))
    if MOST_IDLE < 10000:
        print(f"{hard} descriptors: {MOST_IDLE} idle connections only")
    hostile(checks, procs)
    code = checks.end()
sys.exit(code)
