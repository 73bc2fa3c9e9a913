"""What every mode does alike: flags, probes, metrics, logs, draining, one static file; and how the sidecar refuses and ships.

Usage: test_modes.py. Ends with "N passed, N failed, N skipped".
"""
import filecmp
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import ROOT, THANOSC, Checks, Procs, get, port, promtool_clean, wait  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, make_blocks, make_noise, openmetrics, samples, to_bucket  # noqa: E402
from storeapi import Client, FakeStore, labels_of, make_series  # noqa: E402

MODES = ("sidecar", "store", "query")
# Flags of Thanos that are known and not obeyed yet, by mode, at a value that is not Thanos' default.
NOT_YET = {
    "sidecar": [],
    "store": ["--index-cache-size=1GB", "--chunk-pool-size=1GB", "--store.grpc.series-sample-limit=1"],
    "query": ["--query.mode=distributed", "--deduplication.func=chain", "--query.partition-label=region"],
}
NEAR = {"sidecar": ("--prometheus.ulr=http://x", "--prometheus.url"), "store": ("--data-dri=x", "--data-dir"),
        "query": ("--endpiont=x:1", "--endpoint")}


def run(*argv, seconds=5):
    """A run that should end by itself; one that does not counts as exit code 0 without output."""
    try:
        return subprocess.run([THANOSC, *argv], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, 0, "", f"runs on after {seconds} s: {(e.stderr or b'').decode()[-400:]}")


def check_flags(c, p, mode):
    out = run(mode, "--help")
    c.ok(out.returncode == 0 and f"thanosc {mode}" in out.stdout and "--http-address" in out.stdout and "--grpc-address" in out.stdout,
         f"{mode} --help", out.stdout[:300] + out.stderr[:300])
    out = run(mode, "--version")
    c.ok(out.returncode == 0 and re.match(r"thanosc, version \d+\.\d+\.\d+ \(commit [0-9a-f]{7,}", out.stdout), f"{mode} --version", out.stdout)
    flag, near = NEAR[mode]
    out = run(mode, flag)
    c.ok(out.returncode != 0 and flag.split("=")[0] in out.stderr and f"'{near}'" in out.stderr, f"{mode} {flag} suggests {near}", out.stderr)
    for flag in NOT_YET[mode]:
        out = run(mode, flag)
        c.ok(out.returncode != 0 and f"'{flag.split('=')[0]}'" in out.stderr and "not obeyed" in out.stderr, f"{mode} refuses {flag} by name", out.stderr)
    for flag in ("--log.level=loud", "--http-address=nowhere", "--http-grace-period=soon"):
        out = run(mode, flag)
        c.ok(out.returncode != 0 and flag.split("=")[0] in out.stderr, f"{mode} refuses {flag}", out.stderr)
    if mode == "query":
        return
    if mode == "store":
        out = run(mode, "--selector.relabel-config=[{action: replace, target_label: a}]", f"--objstore.config-file={p.bucket(p.dir('no-blocks'))}",
                  f"--data-dir={p.dir('selector')}")
        c.ok(out.returncode != 0 and "'--selector.relabel-config': unsupported relabel action: replace" in out.stderr,
             "store: actions that select no blocks are refused", out.stderr[-400:])
    for text, line, near in (("type: FILESYSTEM\nconfig:\n  directry: /tmp\n", "3:3", "directory"), ("type: FILESYSTEM\nconfig: {\n", r"line \d+, column \d+", ""),
                             ("type: TAPE\n", r"1:\d+", ""), ("tpye: FILESYSTEM\n", "1:1", "type")):
        for flags in ([f"--objstore.config={text}"], [f"--objstore.config-file={p.file('wrong.yml', text)}"]):
            out = run(mode, *flags, f"--http-address=127.0.0.1:{port()}", f"--grpc-address=127.0.0.1:{port()}",
                      *(["--prometheus.url=http://127.0.0.1:1", f"--tsdb.path={p.dir('empty')}"] if mode == "sidecar" else [f"--data-dir={p.dir('wrong')}"]))
            told = re.search(r"(^|\D)" + line + r"(\D|$)", out.stderr.splitlines()[-1] if out.stderr else "")
            c.ok(out.returncode != 0 and told and near in out.stderr, f"{mode}: wrong YAML gives line:column: {text!r}", out.stderr[-400:])


def check_running(c, proc, mode):
    """A process that is ready, started with --log.format=json."""
    c.ok(get(proc.url + "/-/healthy")[0] == 200 and get(proc.url + "/-/ready")[0] == 200, f"{mode}: healthy and ready")
    why = promtool_clean(proc)
    c.ok(not why, f"{mode}: promtool check metrics", why)
    text = get(proc.url + "/metrics")[1].decode()
    for name in (f'thanos_status{{check="ready",component="{mode}"}} 1', f'thanos_status{{check="healthy",component="{mode}"}} 1', "thanos_build_info{", "process_resident_memory_bytes "):
        c.ok(name in text, f"{mode}: /metrics has {name}")
    om = get(proc.url + "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})[1].decode()
    c.ok(om.endswith("# EOF\n"), f"{mode}: OpenMetrics ends with # EOF", om[-100:])
    c.ok(get(proc.url + "/nothing")[0] == 404, f"{mode}: 404")
    c.ok(mode in get(proc.url + "/")[1].decode(), f"{mode}: a page says what this is")
    c.ok(Client(proc.grpc).health() == 1, f"{mode}: gRPC health")


def impatient(proc, runs=10):
    """The worst exit code of several runs, each with SIGTERM sent as often as can be until it has gone."""
    codes = []
    for _ in range(runs):
        proc.start()
        proc.ready()
        end = time.time() + 20
        while proc.alive() and time.time() < end:
            proc.signal(signal.SIGTERM)
        codes.append(proc.stop())
    return max(codes, key=abs)


def check_logs(c, proc, mode):
    bad = []
    for line in proc.text().splitlines():
        try:
            entry = json.loads(line)
            if not {"ts", "level", "msg", "caller"} <= entry.keys():
                bad.append(line)
        except ValueError:
            bad.append(line)
    c.ok(proc.text() and not bad, f"{mode}: each line of the log is JSON with ts, level, caller and msg", bad[:2])


def silent_listener():
    """A port that takes connections and never answers."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(64)
    return s


def check_query(c, p):
    silent = silent_listener()
    hang = f"127.0.0.1:{silent.getsockname()[1]}"
    proc = p.thanosc("query", f"--endpoint={hang}", "--endpoint.info-timeout=1500ms", "--log.format=json", "--query.mode=local",
                     "--enable-auto-gomemlimit", ready=False)
    seen = wait(lambda: get(proc.url + "/-/ready")[0], 5, 0.002)
    c.ok(seen == 503, "query: not ready before its first look at the endpoints", seen)
    c.ok(Client(proc.grpc).health() == 2, "query: gRPC health NOT_SERVING before ready")
    c.ok(get(proc.url + "/-/healthy")[0] == 200, "query: healthy before ready")
    proc.ready()
    check_running(c, proc, "query")
    c.ok("enable-auto-gomemlimit" in proc.text(), "query: a flag of the Go runtime is logged as without effect", proc.text()[:300])
    c.ok(proc.stop() == 0, "query: SIGTERM ends it with 0")
    check_logs(c, proc, "query")
    proc = p.thanosc("query", "--http-grace-period=10s", "--grpc-grace-period=10s", name="query-drain")
    c.ok(proc.stop() == 0, "query without endpoints: SIGTERM ends it with 0")
    c.ok(impatient(proc) == 0, "query: SIGTERM over and over ends it with 0")


def at_work(c, what, proc, ask, begun, release):
    """SIGTERM while ask() runs: it is answered in full, and the process ends with 0."""
    got = []
    t = threading.Thread(target=lambda: got.append(ask()))
    t.start()
    c.ok(wait(begun, 10), f"{what}: the request has begun")
    proc.signal(signal.SIGTERM)
    time.sleep(0.4)
    c.ok(proc.alive(), f"{what}: it waits for the request under way")
    release()
    t.join()
    try:
        code = proc.p.wait(15)
    except subprocess.TimeoutExpired:
        code = "none"
    c.ok(code == 0, f"{what}: exit code 0 after SIGTERM", code)
    return got[0]


def check_drain(c, p):
    """A query waits for a slow store when SIGTERM comes."""
    go, begun = threading.Event(), threading.Event()
    labels = [("__name__", "slow"), ("cluster", "x")]

    def slow(request, context):
        begun.set()
        go.wait(20)
        yield make_series(labels, [((T0 + i) * 1000, float(i)) for i in range(10)])

    fake = FakeStore(slow, [("cluster", "x")])
    query = p.query([fake.grpc], name="query-at-work")
    status, body = at_work(c, "query", query, lambda: query.api("query", query="slow", time=T0 + 10), begun.is_set, go.set)
    c.ok(status == 200 and body["data"]["result"][0]["value"][1] == "9" and not body.get("warnings"), "query: drained with the answer", body)
    fake.stop()


def check_store(c, p):
    r = REPLICAS[0]
    blocks = make_blocks(openmetrics([r], False), p.dir("data", r.name))
    bucket = p.bucket(to_bucket(blocks, p.dir("bucket-store"), r.external))
    many = p.dir("bucket-many")
    for n in range(150):
        to_bucket(blocks, many, {"copy": str(n)}, 10 * n)
    proc = p.store(p.bucket(many), name="store-many", ready=False)
    seen = wait(lambda: get(proc.url + "/-/ready")[0], 5, 0.001)
    c.ok(seen == 503, "store: not ready before it has seen the blocks of its bucket", seen)
    proc.ready()
    proc.kill()
    proc = p.store(bucket, "--log.format=json", "--index-cache-size=250MB")
    check_running(c, proc, "store")
    c.ok(proc.stop() == 0, "store: SIGTERM ends it with 0")
    check_logs(c, proc, "store")
    noise = make_noise(p.dir("noise"), 600, 480)
    for n in range(10):
        to_bucket(noise, p.dir("bucket-noise"), {"copy": str(n)}, 10 * n)
    proc = p.store(p.bucket(p.dir("bucket-noise")), name="store-at-work")
    client, go, begun = Client(proc.grpc), threading.Event(), threading.Event()

    def ask():
        n = 0
        for _ in client.stream(matchers=["__name__=~.+"], min_time=T0 * 1000, max_time=(T0 + LENGTH) * 1000):
            begun.set()
            go.wait(20) if n == 0 else None
            n += 1
        return n

    frames = at_work(c, "store", proc, ask, begun.is_set, go.set)
    c.ok(frames == 6000, "store: drained to the end of the stream", frames)


def check_discovery(c, p):
    """--block-discovery-strategy is seen by the listings that it costs; what is found is the same."""
    bucket = os.path.join(ROOT, "test/golden/blocks/bucket")
    folders = sum(len(name) == 26 for name in os.listdir(bucket))
    listings, found = {}, {}
    for how, flags in (("recursive", []), ("concurrent", ["--block-discovery-strategy=concurrent"])):
        proc = p.thanosc("store", f"--objstore.config-file={p.bucket(bucket)}", f"--data-dir={p.dir('discovery-' + how)}", *flags, name="store-" + how)
        text = get(proc.url + "/metrics")[1].decode()
        line = re.search(r'^thanos_objstore_bucket_operations_total\{[^}]*operation="iter"[^}]*\} (\S+)', text, re.M)
        listings[how], found[how] = line and float(line[1]), proc.metric("thanos_bucket_store_blocks_loaded")
        proc.stop()
    c.ok(listings == {"concurrent": 1 + folders, "recursive": 1}, "store: block folders are listed by themselves, or all at once", listings)
    c.ok(found["concurrent"] == found["recursive"] > 0, "store: the same blocks are found both ways", found)
    out = run("store", "--block-discovery-strategy=other")
    c.ok(out.returncode != 0 and "'--block-discovery-strategy'" in out.stderr and "recursive" in out.stderr, "store: no third way", out.stderr)


def check_sidecar(c, p):
    r = REPLICAS[0]
    prom = p.prometheus(r.name, p.dir("data", r.name), r.external, ready=False)
    prom.kill()
    proc = p.sidecar(prom, None, "--log.format=json", "--prometheus.get_config_interval=1s", ready=False)
    seen = wait(lambda: get(proc.url + "/-/ready")[0], 5, 0.01)
    c.ok(seen == 503 and get(proc.url + "/-/healthy")[0] == 200, "sidecar: healthy, not ready before Prometheus", seen)
    prom.start()
    prom.ready()
    proc.ready()
    check_running(c, proc, "sidecar")
    c.ok(proc.metric("thanos_sidecar_prometheus_up") == 1, "sidecar: thanos_sidecar_prometheus_up is 1")
    got = Client(proc.grpc).series(matchers=["__name__=up"], min_time=T0 * 1000, max_time=(T0 + LENGTH) * 1000)[0]
    c.ok(len(got) == 5, "sidecar: serves", got)
    check_sidecar_drain(c, p, prom)
    prom.kill()
    c.ok(wait(lambda: proc.metric("thanos_sidecar_prometheus_up") == 0, 15), "sidecar: thanos_sidecar_prometheus_up is 0 without Prometheus")
    c.ok(proc.stop() == 0, "sidecar: SIGTERM ends it with 0")
    check_logs(c, proc, "sidecar")


def check_sidecar_drain(c, p, prom):
    """SIGTERM while Prometheus takes its time with a remote read."""
    proc = p.sidecar(prom, name="sidecar-at-work")
    client = Client(proc.grpc)
    client.health()
    prom.signal(signal.SIGSTOP)
    asked = time.monotonic()
    got = at_work(c, "sidecar", proc, lambda: client.series(matchers=["__name__=~.+"], min_time=T0 * 1000, max_time=(T0 + LENGTH) * 1000)[0],
                  lambda: time.monotonic() > asked + 0.5, lambda: prom.signal(signal.SIGCONT))
    c.ok(len({labels_of(s) for s in got}) == len(samples(REPLICAS[0])), "sidecar: drained with the whole answer", len(got))


def refused(c, p, what, prom, *words):
    """A sidecar with a bucket in front of this Prometheus gives up; what it says has these words."""
    proc = p.sidecar(prom, p.bucket(p.dir("bucket-refused")), ready=False, name="sidecar-" + what.split()[0])
    ended = wait(lambda: not proc.alive(), 20)
    text = proc.text()
    c.ok(ended and proc.p.returncode not in (0, None) and proc.p.returncode > 0, f"sidecar, {what}: ends with an error", text[-500:])
    c.ok(all(w in text for w in words), f"sidecar, {what}: says {words}", text[-500:])
    c.ok(not os.listdir(p.dir("bucket-refused")), f"sidecar, {what}: nothing was shipped")
    proc.kill()
    prom.kill()


def check_refusals(c, p):
    refused(c, p, "unlabelled Prometheus", p.prometheus("unlabelled"), "external_labels")
    prom = p.prometheus("compacting", None, {"cluster": "x"}, longest="6h")
    refused(c, p, "compacting Prometheus", prom, "--storage.tsdb.max-block-duration=2h", "storage.tsdb.min-block-duration")


def finished(bucket):
    return sorted(d for d in os.listdir(bucket) if os.path.exists(os.path.join(bucket, d, "meta.json")))


def files(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs)


def check_killed_upload(c, p):
    """SIGKILL while blocks are shipped, again and again; at last everything is there, equal to its source."""
    lines = ["# TYPE big gauge"]
    windows = 24
    for n in range(40):
        lines += [f'big{{n="{n}"}} {(i * 7919 + n * 104729) % 1000003 / 7!r} {T0 - 7200 * windows + 60 * i + 1}' for i in range(120 * windows)]
    prom = p.prometheus("killed", make_blocks("\n".join(lines) + "\n# EOF\n", p.dir("data", "killed")), {"cluster": "k", "replica": "0"})
    source = finished(prom.data)
    c.ok(len(source) == windows, f"{windows} blocks to ship", source)
    bucket_dir = p.dir("bucket-killed")
    bucket = p.bucket(bucket_dir)
    kills, torn = 0, 0
    for n in range(60):
        before = len(files(bucket_dir))
        proc = p.sidecar(prom, bucket, name=f"sidecar-kill-{n}", ready=False)
        wait(lambda: not proc.alive() or len(files(bucket_dir)) > before + n % 5 or len(finished(bucket_dir)) == windows, 20, 0)
        if len(finished(bucket_dir)) == windows:
            proc.stop()
            break
        c.ok(proc.alive(), "sidecar runs until it is killed", proc.text()[-500:])
        proc.kill()
        kills += 1
        torn += any(d not in finished(bucket_dir) for d in os.listdir(bucket_dir) if d in source)
        for d in finished(bucket_dir):  # what has a meta.json is whole at any moment
            for f in files(os.path.join(prom.data, d)):
                if f not in ("meta.json", "tombstones"):
                    a, b = os.path.join(prom.data, d, f), os.path.join(bucket_dir, d, f)
                    if not os.path.exists(b) or not filecmp.cmp(a, b, False):
                        c.ok(False, f"a block with meta.json lacks {f}", d)
    print(f"note: {kills} kills while shipping, {torn} of them left a block without meta.json")
    c.ok(kills >= 3, f"the sidecar was killed while it shipped: {kills} times")
    last = p.sidecar(prom, bucket, name="sidecar-last")
    c.ok(wait(lambda: finished(bucket_dir) == source, 60), "after the kills all blocks are in the bucket", finished(bucket_dir))
    for d in source:
        theirs = [f for f in files(os.path.join(prom.data, d)) if f != "tombstones"]
        c.ok(files(os.path.join(bucket_dir, d)) == theirs, f"the files of {d}", files(os.path.join(bucket_dir, d)))
        same = filecmp.cmpfiles(os.path.join(prom.data, d), os.path.join(bucket_dir, d), [f for f in theirs if f != "meta.json"], False)
        c.ok(not same[1] and not same[2], f"the bytes of {d}", same)
        with open(os.path.join(bucket_dir, d, "meta.json")) as f:
            meta = json.load(f)
        c.ok(meta["ulid"] == d and meta["thanos"]["labels"] == {"cluster": "k", "replica": "0"} and meta["thanos"]["source"] == "sidecar",
             f"meta.json of {d}", meta)
    left = [f for f in files(bucket_dir) if f.split(os.sep)[0] not in source and not f.startswith(".thanosc-tmp/")]
    c.ok(not left, "no other object is in the bucket", left)
    c.ok(wait(lambda: os.path.exists(os.path.join(prom.data, "thanos.shipper.json")), 10), "thanos.shipper.json is written")
    with open(os.path.join(prom.data, "thanos.shipper.json")) as f:
        c.ok(sorted(json.load(f)["uploaded"]) == source, "thanos.shipper.json lists what is shipped")
    c.ok(last.stop() == 0, "the last sidecar ends with 0")
    c.ok(not os.listdir(os.path.join(prom.data, "thanos", "upload")) if os.path.exists(os.path.join(prom.data, "thanos", "upload")) else True,
         "no links are left behind in Prometheus' folder")


def check_binary(c, p):
    out = subprocess.run(["ldd", THANOSC], capture_output=True, text=True)
    c.ok("not a dynamic executable" in out.stdout + out.stderr, "ldd: not a dynamic executable", out.stdout + out.stderr)
    size = os.path.getsize(THANOSC)
    c.ok(size <= 15 << 20, f"at most 15 MiB: {size / 2**20:.1f}")
    for argv in ([], ["quary"], ["--version"], ["--help"]):
        out = run(*argv)
        c.ok((out.returncode == 0) == (argv[:1] in (["--version"], ["--help"])), f"thanosc {argv}: exit code", out.returncode)
    c.ok("'query'" in run("quary").stderr, "an unknown mode suggests the nearest")
    out = run("--help").stdout
    c.ok(all(m in out for m in MODES), "--help lists the modes", out)
    if os.geteuid() != 0:
        c.skip("an empty chroot needs root")
        return
    root = p.dir("root")
    os.makedirs(os.path.join(root, "etc/ssl/certs"))
    shutil.copy(THANOSC, os.path.join(root, "thanosc"))
    for f in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        if os.path.exists("/" + f):
            shutil.copy("/" + f, os.path.join(root, f))
    http, grpc = port(), port()
    proc = p.run("chroot", ["chroot", root, "/thanosc", "query", f"--http-address=127.0.0.1:{http}", f"--grpc-address=127.0.0.1:{grpc}",
                            "--endpoint=localhost:1"], http=http, grpc=grpc)
    proc.ready()
    c.ok(proc.api("query", query="1+1")[1].get("data", {}).get("result", [0, 0])[1] == "2", "answers from an empty chroot")
    c.ok(proc.stop() == 0, "ends with 0 in an empty chroot")
    shutil.copytree(p.dir("bucket-store"), os.path.join(root, "bucket"))
    proc = p.run("chroot-store", ["chroot", root, "/thanosc", "store", f"--http-address=127.0.0.1:{http}", f"--grpc-address=127.0.0.1:{grpc}",
                                  "--data-dir=/data", "--objstore.config=type: FILESYSTEM\nconfig: {directory: /bucket}"], http=http, grpc=grpc)
    proc.ready()
    got = Client(proc.grpc).series(matchers=["__name__=up"], min_time=T0 * 1000, max_time=(T0 + LENGTH) * 1000)[0]
    c.ok(len(got) == 5, "a store serves from an empty chroot", got)


def main():
    with Procs() as p:
        c = Checks(p)
        for mode in MODES:
            check_flags(c, p, mode)
        check_query(c, p)
        check_drain(c, p)
        check_store(c, p)
        check_discovery(c, p)
        check_binary(c, p)
        check_sidecar(c, p)
        check_refusals(c, p)
        check_killed_upload(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
