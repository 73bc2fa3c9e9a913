"""thanosc compact as a process over filesystem buckets: the blocks of an HA pair become those that a real Thanos made of them;
wrong flags; a damaged block beside good ones; --wait with its HTTP; two compactors; ends in the middle of work; a full disk; what
Debian's promtool and Prometheus say of the blocks; downsampling.

Usage: test_compact.py. Ends with "N passed, N failed, N skipped".
"""
import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))

from procs import ROOT, THANOSC, Checks, Procs, get, port, promtool_clean, wait  # noqa: E402
from promdata import new_ulid  # noqa: E402

GOLDEN = os.path.join(ROOT, "test/golden")
CORRUPT = os.path.join(GOLDEN, "corrupt")
LONG = os.path.join(GOLDEN, "compacted/long")
HA = ["01M81YVBWEZNH3H08SPVGX7K64", "01M81YVBY4NA3B6XZW802F13GJ", "01M81YVC0FJJQ87HKZ11JM4HFZ",
      "01M81YVC3EVHVHW5856NGMRBBV", "01M81YVC55WBG00SVR84EHFB03", "01M81YVC6WDF4WE3GFR0FN50G7"]
PENALTY = ["--deduplication.replica-label=replica", "--deduplication.func=penalty", "--downsampling.disable"]
GONE = "deletion-mark.json"


def blocks(bucket):
    """{ulid: meta} of all blocks with a meta.json."""
    out = {}
    for u in sorted(os.listdir(bucket)):
        path = os.path.join(bucket, u, "meta.json")
        if len(u) == 26 and os.path.exists(path):
            with open(path) as f:
                out[u] = json.load(f)
    return out


def live(bucket):
    return {u: m for u, m in blocks(bucket).items() if not os.path.exists(os.path.join(bucket, u, GONE))}


def ha_bucket(p, name, more=()):
    """The blocks of the HA pair; with `more`, also as the blocks of other clusters."""
    bucket = p.dir(name)
    for u in HA:
        shutil.copytree(os.path.join(GOLDEN, "blocks/bucket", u), os.path.join(bucket, u))
    for n, cluster in enumerate(more):
        for k, u in enumerate(HA):
            other(bucket, u, new_ulid(n * 100 + k), {"cluster": cluster})
    return bucket


def other(bucket, ulid, new, labels):
    """The block again, of other external labels."""
    to = os.path.join(bucket, new)
    shutil.copytree(os.path.join(GOLDEN, "blocks/bucket", ulid), to)
    with open(os.path.join(to, "meta.json")) as f:
        meta = json.load(f)
    meta["ulid"] = new
    meta["compaction"]["sources"] = [new]
    meta["thanos"]["labels"].update(labels)
    with open(os.path.join(to, "meta.json"), "w") as f:
        json.dump(meta, f)


class Compact:
    def __init__(self, p):
        self.p, self.n = p, 0

    def argv(self, bucket, *flags, data=None, yaml=None):
        self.n += 1
        return [THANOSC, "compact", f"--objstore.config-file={yaml or self.p.bucket(bucket)}",
                f"--data-dir={data or self.p.dir(f'compact-{self.n}')}", "--consistency-delay=0s", *flags]

    def once(self, bucket, *flags, **more):
        """(exit code, log) of a run to its end."""
        done = subprocess.run(self.argv(bucket, f"--http-address=127.0.0.1:{port()}", *flags, **more), capture_output=True, text=True,
                              timeout=300)
        self.out = done.stdout
        return done.returncode, done.stderr

    def start(self, bucket, *flags, ready=True, **more):
        http = port()
        proc = self.p.run("compact", self.argv(bucket, f"--http-address=127.0.0.1:{http}", *flags, **more), http=http)
        return proc.ready() if ready else proc


def tools(*args):
    return subprocess.run([THANOSC, "tools", "block", *args], capture_output=True, text=True, timeout=300)


def recorded(name):
    with open(os.path.join(GOLDEN, "compacted", name, "blocks.tsv")) as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def shape(meta):
    s, t = meta["stats"], meta["thanos"]
    return (meta["minTime"], meta["maxTime"], meta["compaction"]["level"], t["downsample"]["resolution"], s["numSeries"],
            s["numSamples"], json.dumps(t["labels"], sort_keys=True))


def recorded_shapes(name, keep=lambda r: True):
    return sorted((int(r["minTime"]), int(r["maxTime"]), int(r["level"]), int(r["resolution"]), int(r["series"]), int(r["samples"]),
                   json.dumps(json.loads(r["labels"]), sort_keys=True)) for r in recorded(name) if keep(r))


def series_of(block):
    """{labels: (samples, first, last)} by tools block dump."""
    out = {}
    for line in tools("dump", "-o", "json", block).stdout.splitlines():
        s = json.loads(line)
        key = json.dumps(s["labels"], sort_keys=True), s.get("aggregate", "raw")
        out[key] = (len(s["samples"]), s["samples"][0][0], s["samples"][-1][0])
    return out


def series_recorded(name, ulid):
    out = {}
    with open(os.path.join(GOLDEN, "compacted", name, "expected", ulid + ".series.tsv")) as f:
        for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            out[json.dumps(json.loads(r["labels"]), sort_keys=True), r["aggregate"]] = (
                int(r["floats"]) + int(r["histograms"]), int(r["mint"]), int(r["maxt"]))
    return out


def penalty(c, p, run):
    """Returns the bucket."""
    bucket = ha_bucket(p, "ha")
    code, _ = run.once(bucket, "--dry-run", *PENALTY)
    c.ok(code == 0 and "3 compactions of 6 blocks" in run.out and set(blocks(bucket)) == set(HA) and not os.path.exists(
        os.path.join(bucket, "thanosc")), "--dry-run tells and changes nothing", run.out)
    code, log = run.once(bucket, "--once", *PENALTY)
    made = {u: m for u, m in blocks(bucket).items() if u not in HA}
    c.ok(code == 0 and sorted(map(shape, made.values())) == recorded_shapes("ha-penalty"), "an HA pair becomes what Thanos made of it",
         f"{code} {sorted(map(shape, made.values()))}\n{log[-1500:]}")
    c.ok(set(live(bucket)) == set(made), "the sources are marked for deletion, and there until --delete-delay is over")
    c.ok("memory: at most " in log, "the bound of memory is told")
    by_time = {int(r["minTime"]): r["ulid"] for r in recorded("ha-penalty")}
    for u, m in made.items():
        want = series_recorded("ha-penalty", by_time[m["minTime"]])
        got = series_of(os.path.join(bucket, u))
        c.ok(got == want and len(got) == 120, f"{m['minTime']}: series, their samples and times",
             [x for x in got.items() if want.get(x[0]) != x[1]][:3])
    v = tools("verify", bucket)
    c.ok(v.returncode == 0, "tools block verify finds nothing", v.stdout[-800:])
    code, log = run.once(bucket, *PENALTY)
    c.ok(code == 0 and set(blocks(bucket)) == set(HA) | set(made), "a second run finds nothing to do", log[-800:])
    code, log = run.once(bucket, "--delete-delay=0s", *PENALTY)
    c.ok(code == 0 and set(blocks(bucket)) == set(made) and not [u for u in os.listdir(bucket) if u in HA], "marked blocks go", log[-800:])
    return bucket


def debian(c, p, bucket):
    """Prometheus 2.42 over the compacted blocks answers as we do over the bucket."""
    data = p.dir("prom-data")
    for u in live(bucket):
        shutil.copytree(os.path.join(bucket, u), os.path.join(data, u))
    for u in live(bucket):
        out = subprocess.run(["promtool", "tsdb", "analyze", data, u], capture_output=True, text=True)
        c.ok(out.returncode == 0 and f"Block ID: {u}" in out.stdout and "Series: 120" in out.stdout, f"promtool analyzes {u}", out.stderr)
    prom = p.prometheus("compacted", data, extra="")
    store = p.store(p.bucket(bucket), name="store-compacted")
    query = p.query([store.grpc], name="query-compacted")
    for q in ("count by (__name__) ({__name__!~\"rpc.*\",job!=\"\"})", "sum by (pod) (count_over_time(http_requests_total[1h]))",
              "sum by (job, code) (rate(http_requests_total[7m]))", "max by (pod) (container_memory_working_set_bytes)"):
        params = {"query": q, "start": 1789981003, "end": 1789999003, "step": 600}
        x, y = prom.api("query_range", **params)[1], query.api("query_range", **params)[1]
        rows = [{json.dumps(s["metric"], sort_keys=True): s["values"] for s in v.get("data", {}).get("result", [])} for v in (x, y)]
        same = rows[0].keys() == rows[1].keys() and len(rows[0]) > 0 and all(
            len(a) == len(rows[1][k]) and all(t == u and abs(float(v) - float(w)) <= 1e-9 * max(1.0, abs(float(v)))
                                              for (t, v), (u, w) in zip(a, rows[1][k])) for k, a in rows[0].items())
        c.ok(same, f"Prometheus 2.42 on the blocks answers as ours on the bucket: {q}", f"{list(rows[0].items())[:1]} {list(rows[1].items())[:1]}")
    for x in (query, store, prom):
        x.stop()


def wrong_flags(c, p, run):
    bucket = ha_bucket(p, "flags")
    for flags, text in ((["--wait", "--once"], "contradict"), (["--wait", "--dry-run"], "contradict"),
                        (["--deduplication.func=penalty"], "replica label"), (["--deduplication.func=magic"], "magic"),
                        (["--debug.max-compaction-level=5"], "max-compaction-level"), (["--compact.concurrency=0"], "concurrency"),
                        (["--hash-func=MD5"], "hash-func"), (["--retention.resolution-raw=1h"], "40 hours"),
                        (["--selector.relabel-config=[{action: replace}]"], "selector.relabel-config"),
                        (["--retention.config=policies: 3"], "retention.config"), (["--compact.concurency=2"], "did you mean"),
                        (["--data-dir="], "data-dir")):
        code, log = run.once(bucket, *flags)
        c.ok(code == 1 and "error: " in log and text in log.splitlines()[-1], f"refused: {flags}", f"{code} {log[-300:]}")
    out = subprocess.run([THANOSC, "compact"], capture_output=True, text=True)
    c.ok(out.returncode == 1 and "no object storage" in out.stderr, "refused: no bucket", out.stderr)
    c.ok(set(os.listdir(bucket)) == set(HA), "nothing was changed", os.listdir(bucket))


def damaged(c, p, run):
    """A block of the pair has a wrong bit in a chunk: its group waits, the other one goes on."""
    bucket = ha_bucket(p, "damaged", ["other"])
    path = os.path.join(bucket, HA[0], "chunks/000001")
    with open(path, "r+b") as f:
        f.seek(30)
        byte = f.read(1)[0]
        f.seek(30)
        f.write(bytes([byte ^ 4]))
    code, log = run.once(bucket, *PENALTY)
    mark = os.path.join(bucket, HA[0], "no-compact-mark.json")
    c.ok(code == 2, "exit code 2", f"{code} {log[-1500:]}")
    c.ok(os.path.exists(mark) and HA[0] in log and "quarantined" in log, "the block is marked, the log names it", log[-1500:])
    if os.path.exists(mark):
        with open(mark) as f:
            doc = json.load(f)
        c.ok(doc["id"] == HA[0] and doc["version"] == 1 and doc["reason"] and "chunks/000001" in doc["details"] + doc["reason"],
             "the mark tells why", doc)
    c.ok(not os.path.exists(os.path.join(bucket, HA[0], GONE)), "the block stays")
    made = [m for m in live(bucket).values() if m["compaction"]["level"] == 2]
    c.ok(sorted(m["thanos"]["labels"]["cluster"] for m in made) == ["eu", "eu", "other", "other", "other"],
         "all other windows are compacted", [m["thanos"]["labels"] for m in made])
    code, log = run.once(bucket, *PENALTY)
    c.ok(code == 0, "the next run finds nothing new: 0", f"{code} {log[-800:]}")


def halting(c, p, run):
    """--debug.halt-on-error: nothing more is done, the process stays and says so."""
    bucket = ha_bucket(p, "halted")
    with open(os.path.join(bucket, HA[5], "index"), "r+b") as f:
        f.truncate(1000)
    x = run.start(bucket, "--debug.halt-on-error", *PENALTY)
    c.ok(wait(lambda: x.metric("thanos_compact_halted") == 1, 30) and x.alive(), "--debug.halt-on-error halts", x.text()[-800:])
    c.ok(not os.path.exists(os.path.join(bucket, HA[5], "no-compact-mark.json")), "and marks nothing")
    c.ok(x.stop() == 0, "SIGTERM ends it")


def on_terminal(c, p, run):
    """Progress is a line on standard error where that is a terminal."""
    master, slave = pty.openpty()
    bucket = ha_bucket(p, "terminal", ["one", "two"])
    child = subprocess.Popen(run.argv(bucket, f"--http-address=127.0.0.1:{port()}", *PENALTY), stderr=slave, stdout=subprocess.DEVNULL)
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    os.close(master)
    c.ok(child.wait() == 0 and b"\r\x1b[K" in text and b"done; left: 9 compactions of 18 blocks" in text, "the line of progress", text[-800:])


def post(url, **params):
    with urllib.request.urlopen(urllib.request.Request(url, urllib.parse.urlencode(params).encode(), method="POST"), timeout=30) as r:
        return r.status, r.read()


def waiting(c, p, run):
    bucket = ha_bucket(p, "wait")
    x = run.start(bucket, "--wait", "--wait-interval=1h", "--block-viewer.global.sync-block-interval=1s", *PENALTY)
    c.ok(wait(lambda: x.metric("thanos_compact_iterations_total") >= 1, 60), "the first iteration ends", x.text()[-1500:])
    c.ok(wait(lambda: len(x.api("blocks", view="global")[1]["data"]["blocks"]) == 9), "the global view has all blocks",
         x.api("blocks", view="global"))
    loaded = x.api("blocks", view="loaded")[1]["data"]
    c.ok(loaded["blocks"] and loaded["err"] is None, "the loaded view", loaded)
    c.ok(x.api("status/flags")[1]["data"]["wait-interval"] == "1h" and x.api("status/flags")[1]["data"]["objstore.config-file"],
         "status/flags")
    c.ok(not promtool_clean(x), "metrics are clean", promtool_clean(x))
    victim = sorted(live(bucket))[0]
    status, _ = post(x.url + "/api/v1/blocks/mark", id=victim, action="NO_COMPACTION", detail="kept")
    c.ok(status == 200 and os.path.exists(os.path.join(bucket, victim, "no-compact-mark.json")), "a mark by HTTP")
    status, _ = post(x.url + "/-/compact")
    c.ok(status == 200 and wait(lambda: x.metric("thanos_compact_iterations_total") >= 2), "POST /-/compact starts an iteration")
    x.signal(signal.SIGHUP)
    c.ok(wait(lambda: x.metric("thanos_compact_iterations_total") >= 3), "SIGHUP starts an iteration")
    c.ok(get(x.url + "/-/healthy")[0] == 200 and get(x.url + "/-/ready")[0] == 200, "probes")
    c.ok(x.metric("thanos_compact_halted", -1) == 0 and x.metric("thanos_delete_delay_seconds") == 172800, "gauges")
    two(c, p, run, bucket, x)
    begin = time.monotonic()
    c.ok(x.stop() == 0 and time.monotonic() - begin < 1.5, "SIGTERM ends it at once", time.monotonic() - begin)
    c.ok(not os.path.isdir(os.path.join(bucket, "thanosc/compactors")) or not os.listdir(os.path.join(bucket, "thanosc/compactors")),
         "the lease is given back")


def two(c, p, run, bucket, first):
    code, log = run.once(bucket, *PENALTY)
    last = log.splitlines()[-1]
    c.ok(code == 1 and "error: " in last and (str(first.pid) in last or os.uname().nodename in last), "a second compactor is refused by name", last)
    code, log = run.once(bucket, "--no-compact.lease", *PENALTY)
    c.ok(code == 0, "--no-compact.lease", log[-500:])


def state(bucket):
    """What a bucket ends as, whatever the names of its new blocks."""
    return sorted(shape(m) + (tuple(sorted(m["compaction"]["sources"])),) for m in live(bucket).values())


def interrupted(c, p, run):
    clusters = [f"c{i:02}" for i in range(12)]
    undisturbed = ha_bucket(p, "undisturbed", clusters)
    code, log = run.once(undisturbed, *PENALTY)
    c.ok(code == 0, "an undisturbed run", log[-500:])
    bucket, data = ha_bucket(p, "interrupted", clusters), p.dir("interrupted-data")
    slow = []
    for n in range(6):
        x = run.start(bucket, *PENALTY, data=data, ready=False)
        wait(lambda: len(blocks(bucket)) > 78 + 3 * n or not x.alive(), 30, 0.002)
        begin = time.monotonic()
        code = x.stop()
        slow.append(time.monotonic() - begin)
        if not c.ok(code == 0, f"SIGTERM in the middle ({n})", x.text()[-800:]):
            break
        half = [u for u in os.listdir(bucket) if len(u) == 26 and not os.path.exists(os.path.join(bucket, u, "meta.json"))]
        v = tools("verify", bucket)
        bad = [line for line in v.stdout.splitlines() if "DAMAGED" in line and not any(u in line for u in half)]
        c.ok(not bad, "every block that has a meta.json is whole", bad)
    c.ok(max(slow) < 1.5, "it ends within a second or so", slow)
    code, log = run.once(bucket, *PENALTY, data=data)
    c.ok(code == 0 and state(bucket) == state(undisturbed), "and the next run ends as if nothing had happened", log[-800:])
    left = [f for _, _, fs in os.walk(os.path.join(data, "compact")) for f in fs if f not in ("lock", "id")]
    c.ok(not [u for u in os.listdir(bucket) if len(u) == 26 and u not in blocks(bucket)], "nothing half is left in the bucket")
    c.ok(not [f for f in left if f in ("index", "meta.json", "000001")], "nothing is left in the data folder", left)


def full_disk(c, p, run):
    tiny = p.dir("tiny")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", tiny], capture_output=True).returncode != 0:
        c.skip("a full disk: no right to mount a tmpfs")
        return
    try:
        bucket = ha_bucket(p, "full")
        code, log = run.once(bucket, *PENALTY, data=os.path.join(tiny, "data"))
        c.ok(code != 0 and "bytes of disk" in log.splitlines()[-1], "no space for a block: an error", f"{code} {log[-800:]}")
        c.ok(set(live(bucket)) == set(HA), "nothing is lost, nothing is marked", sorted(live(bucket)))
        left = [f for _, _, fs in os.walk(os.path.join(tiny, "data/compact")) for f in fs]
        c.ok(not [f for f in left if f in ("index", "000001")], "no rubbish", left)
        code, log = run.once(bucket, *PENALTY)
        c.ok(code == 0 and sorted(map(shape, live(bucket).values())) == recorded_shapes("ha-penalty"), "with room it goes on", log[-500:])
    finally:
        subprocess.run(["umount", tiny], check=False)


def filling_disk(c, p, run):
    """The disk of the data folder becomes full in the middle of work."""
    small = p.dir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], capture_output=True).returncode != 0:
        c.skip("a disk that becomes full: no right to mount a tmpfs")
        return
    try:
        clusters = ["x1", "x2", "x3", "x4"]
        bucket, undisturbed = ha_bucket(p, "filling", clusters), ha_bucket(p, "unfilled", clusters)
        data = os.path.join(small, "data")
        x = run.start(bucket, *PENALTY, data=data, ready=False)
        c.ok(wait(lambda: any(f == "index" for _, _, fs in os.walk(os.path.join(data, "compact")) for f in fs), 30, 0.0005), "it writes")
        try:
            with open(os.path.join(small, "filler"), "wb", buffering=0) as f:
                while f.write(bytes(1 << 16)):
                    pass
        except OSError:
            pass
        c.ok(x.p.wait(60) == 1 and ("pace" in x.text() or "bytes of disk" in x.text()), "a full disk in the middle: an error", x.text()[-800:])
        c.ok(all(os.path.exists(os.path.join(bucket, u, "index")) for u in live(bucket)) and
             not any(os.path.exists(os.path.join(bucket, u, "no-compact-mark.json")) for u in blocks(bucket)), "no block is blamed for it")
        v = tools("verify", bucket)
        c.ok(v.returncode == 0, "every block is whole", v.stdout[-500:])
        left = [f for _, _, fs in os.walk(os.path.join(data, "compact")) for f in fs]
        c.ok(not [f for f in left if f in ("index", "000001")], "no rubbish", left)
        os.remove(os.path.join(small, "filler"))
        code, log = run.once(bucket, *PENALTY, data=data)
        c.ok(code == 0 and run.once(undisturbed, *PENALTY)[0] == 0 and state(bucket) == state(undisturbed), "with room it ends as if nothing had happened",
             log[-500:])
    finally:
        subprocess.run(["umount", small], check=False)


def downsampled(c, p, run):
    """From the raw blocks of `long`: the blocks of 5m and 1h that Thanos made."""
    bucket = p.dir("long")
    for r in recorded("long"):
        if r["resolution"] == "0":
            shutil.copytree(os.path.join(LONG, "bucket", r["ulid"]), os.path.join(bucket, r["ulid"]))
    code, log = run.once(bucket)
    c.ok(code == 0 and sorted(map(shape, live(bucket).values())) == recorded_shapes("long"), "5m and 1h as Thanos made them",
         f"{code} {sorted(map(shape, live(bucket).values()))} {log[-1200:]}")
    for r in recorded("long"):
        mine = [u for u, m in live(bucket).items() if str(m["thanos"]["downsample"]["resolution"]) == r["resolution"]]
        if r["resolution"] == "0" or len(mine) != 1:
            continue
        want = {k: v for k, v in series_recorded("long", r["ulid"]).items() if k[1] != "counter-read"}
        got = series_of(os.path.join(bucket, mine[0]))
        c.ok(got == want, f"series of resolution {r['resolution']}", [x for x in got.items() if want.get(x[0]) != x[1]][:3])
    v = tools("verify", bucket)
    c.ok(v.returncode == 0, "verify finds nothing", v.stdout[-800:])


def main():
    with Procs() as p:
        c, run = Checks(p), Compact(p)
        bucket = penalty(c, p, run)
        debian(c, p, bucket)
        wrong_flags(c, p, run)
        damaged(c, p, run)
        halting(c, p, run)
        on_terminal(c, p, run)
        waiting(c, p, run)
        interrupted(c, p, run)
        full_disk(c, p, run)
        filling_disk(c, p, run)
        downsampled(c, p, run)
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
