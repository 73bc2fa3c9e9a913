"""Real processes for the tests: started on free ports of 127.0.0.1, waited for with deadlines, ended by pid.

    with Procs() as p:
        prom = p.prometheus("a", external={"cluster": "eu"})
        side = p.thanosc("sidecar", f"--prometheus.url={prom.url}", ...)
        query = p.query([side.grpc])
        status, body = query.api("query", query="up")

Each process writes into a log of its own; the logs of all are printed when the block ends by an exception or
after `p.failed = True`. The folder of a run is removed at its end.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
THANOSC = os.environ.get("THANOSC") or os.path.join(ROOT, "build/thanosc")
PROMETHEUS = os.environ.get("PROMETHEUS") or "prometheus"
LOG_TAIL = 2500
given = set()


def port():
    """A free port of 127.0.0.1, never the same twice in one run."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            n = s.getsockname()[1]
        if n not in given:
            given.add(n)
            return n


def get(url, timeout=30, headers=None):
    """(status, body); connection errors are raised as OSError."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=timeout) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def wait(what, seconds=30, every=0.05):
    """what() until it is true (returned) or the time is over (False). Refused connections count as not yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            got = what()
            if got:
                return got
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(every)


class Proc:
    """One process. url: of its HTTP port; grpc: host:port of its gRPC port, where it has one."""

    def __init__(self, name, argv, log, http=None, grpc=None, cwd=None, env=None):
        self.name, self.argv, self.log, self.http = name, [str(a) for a in argv], log, http
        self.url = f"http://127.0.0.1:{http}" if http else None
        self.grpc = f"127.0.0.1:{grpc}" if grpc else None
        self.cwd, self.env = cwd, env
        self.start()

    def start(self):
        with open(self.log, "ab") as f:
            self.p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, cwd=self.cwd, env=self.env)

    @property
    def pid(self):
        return self.p.pid

    def alive(self):
        return self.p.poll() is None

    def signal(self, number):
        self.p.send_signal(number)

    def kill(self):
        if self.alive():
            self.signal(signal.SIGKILL)
        self.p.wait()

    def stop(self, seconds=30):
        """SIGTERM; the exit code, or None when it had to be killed."""
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def restart(self, seconds=30):
        self.kill()
        self.start()
        self.ready(seconds)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(l.split()[1]) for l in f if l.startswith("VmRSS")) << 10

    def fail(self, why):
        raise RuntimeError(f"{self.name}: {why}\n{' '.join(self.argv)}\n{self.text()[-LOG_TAIL:]}")

    def is_ready(self):
        if not self.alive():
            self.fail(f"ended with {self.p.returncode}")
        return get(self.url + "/-/ready", 5)[0] == 200

    def ready(self, seconds=30):
        if not wait(self.is_ready, seconds):
            self.fail(f"not ready after {seconds} s")
        return self

    def api(self, path, **params):
        """(status, parsed body) of /api/v1/PATH; a parameter may be a list; `match` and such are named match[]."""
        params = {k + "[]" if k in ("match", "replicaLabels", "storeMatch") else k: v for k, v in params.items()}
        url = f"{self.url}/api/v1/{urllib.parse.quote(path)}?" + urllib.parse.urlencode(params, doseq=True)
        status, text = get(url, 120)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {"status": "error", "errorType": "not JSON", "error": text.decode(errors="replace")[:300]}

    def value(self, query, **params):
        """The value, as text, of the first series of an instant query; None if it has none."""
        result = (self.api("query", query=query, **params)[1].get("data") or {}).get("result") or [{}]
        return result[0].get("value", [None, None])[1]

    def metric(self, name, default=0.0):
        """The sum of all series of a metric on /metrics."""
        lines = get(self.url + "/metrics")[1].decode().splitlines()
        values = [float(l.rsplit(" ", 1)[1]) for l in lines if l.split("{")[0].split(" ")[0] == name]
        return sum(values) if values else default


class Procs:
    def __init__(self):
        self.tmp = tempfile.mkdtemp(prefix="thanosc-test-")
        self.all = []
        self.failed = False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for p in reversed(self.all):
            p.kill()
        if kind or self.failed:
            for p in self.all:
                print(f"--- log of {p.name} (pid {p.pid}, exit {p.p.returncode}): {' '.join(p.argv)}\n{p.text()[-LOG_TAIL:]}")
        shutil.rmtree(self.tmp, ignore_errors=True)

    def path(self, *names):
        """A path in this run's folder; its folder exists."""
        path = os.path.join(self.tmp, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def dir(self, *names):
        os.makedirs(self.path(*names), exist_ok=True)
        return self.path(*names)

    def file(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def bucket(self, directory=None):
        """The objstore configuration file of a filesystem bucket in `directory` (of this run's folder: "bucket")."""
        directory = directory or self.dir("bucket")
        return self.file(f"bucket-{len(os.listdir(self.tmp))}.yml", f"type: FILESYSTEM\nconfig:\n  directory: {directory}\n")

    def run(self, name, argv, **more):
        p = Proc(name, argv, self.path("logs", f"{len(self.all)}-{name}.log"), **more)
        self.all.append(p)
        return p

    def prometheus(self, name, data=None, external=None, scrape=(), flags=(), binary=PROMETHEUS, interval="1s",
                   longest="2h", ready=True, extra=""):
        """Prometheus over a data folder. scrape: [(job, host:port)], "self" for its own port. extra: what the
        configuration has behind its scrape jobs: more of them, rule_files."""
        http, data = port(), data or self.dir("prometheus", name)
        lines = [f"global:\n  scrape_interval: {interval}\n  evaluation_interval: 1m"]
        if external:
            lines.append("  external_labels:\n" + "\n".join(f"    {k}: {json.dumps(v)}" for k, v in external.items()))
        lines.append("scrape_configs:" + ("" if scrape or extra else " []"))
        for job, target in scrape:
            target = f"127.0.0.1:{http}" if target == "self" else target
            lines.append(f"- job_name: {job}\n  static_configs:\n  - targets: ['{target}']")
        config = self.file(f"prometheus-{name}.yml", "\n".join(lines) + "\n" + extra)
        p = self.run(f"prometheus-{name}", [
            binary, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{http}",
            "--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=2h",
            f"--storage.tsdb.max-block-duration={longest}", *flags], http=http)
        p.data = data
        return p.ready() if ready else p

    def node_exporter(self):
        http = port()
        p = self.run("node-exporter", ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{http}",
                                       "--web.disable-exporter-metrics"], http=http)
        if not wait(lambda: get(p.url + "/metrics")[0] == 200):
            p.fail("does not answer")
        return p

    def thanosc(self, mode, *flags, name=None, binary=THANOSC, ready=True, http=None, grpc=None, seconds=30, **more):
        """A mode of thanosc, or of Thanos when `binary` is one."""
        http, grpc = http or port(), grpc or port()
        p = self.run(name or mode, [binary, mode, f"--http-address=127.0.0.1:{http}", f"--grpc-address=127.0.0.1:{grpc}",
                                    *flags], http=http, grpc=grpc, **more)
        return p.ready(seconds) if ready else p

    def sidecar(self, prom, bucket=None, *flags, **more):
        """A sidecar beside a Prometheus of prometheus(); bucket: a configuration file."""
        more.setdefault("binary", os.environ.get("E2E_SIDECAR", THANOSC))
        return self.thanosc("sidecar", f"--prometheus.url={prom.url}", f"--tsdb.path={prom.data}",
                            *([f"--objstore.config-file={bucket}"] if bucket else []), *flags,
                            name=more.pop("name", "sidecar-" + prom.name.split("-", 1)[1]), **more)

    def store(self, bucket, *flags, **more):
        name = more.pop("name", "store")
        return self.thanosc("store", f"--objstore.config-file={bucket}", f"--data-dir={self.dir('data-' + name)}", *flags,
                            name=name, **more)

    def query(self, endpoints, *flags, replica=("replica",), see=None, **more):
        """A querier; it is waited for until it has seen `see` (all) of the endpoints."""
        p = self.thanosc("query", *(f"--endpoint={e}" for e in endpoints), *(f"--query.replica-label={r}" for r in replica),
                         *flags, **more)
        want = len(endpoints) if see is None else see
        if not wait(lambda: len(healthy_stores(p)) >= want):
            p.fail(f"sees {healthy_stores(p)} of {endpoints}")
        return p


def healthy_stores(query):
    """Addresses of the endpoints that a querier finds healthy."""
    stores = query.api("stores")[1].get("data") or {}
    return [s["name"] for kind in stores.values() for s in kind if not s.get("lastError")]


class Checks:
    """Counts what a test found; end() prints the closing line of every Python test and gives the exit code."""

    def __init__(self, procs=None):
        self.passed = self.failed = self.skipped = 0
        self.procs = procs

    def ok(self, good, what, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            if self.procs:
                self.procs.failed = True
            print(f"FAILED {what}" + (f"\n  {str(detail)[:1500]}" if detail else ""), flush=True)
        return bool(good)

    def skip(self, why):
        self.skipped += 1
        print(f"skipped: {why}")

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return self.failed != 0 or self.passed == 0


def promtool_clean(proc):
    """Complaints of `promtool check metrics` about a process' /metrics, or ''."""
    out = subprocess.run(["promtool", "check", "metrics"], input=get(proc.url + "/metrics")[1], capture_output=True)
    # the name is Prometheus' own
    ours = b"prometheus_engine_query_duration_histogram_seconds metric name should not include type 'histogram'\n"
    out.stderr = out.stderr.replace(ours, b"")
    out.returncode = out.returncode if out.stderr else 0
    return "" if out.returncode == 0 and not out.stderr else (out.stderr.decode() or f"exit {out.returncode}")
