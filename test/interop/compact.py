#!/usr/bin/env python3
"""Compactors of both makes on the same blocks: a part of `run`, or alone: THANOS=/path/to/thanos test/interop/compact.py.

Each makes the same blocks of an HA pair (one to one, penalty) and downsamples the same; each goes on where the other stopped, and
finds nothing to do where the other is done. Thanos' tools find nothing wrong with our blocks, a Thanos store serves them, and
queriers over stores of both makes on our bucket answer alike. The HTTP APIs of both show the same blocks.
"""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from compare import close, difference, normal  # noqa: E402
from procs import THANOSC, Checks, Procs, get, port, wait  # noqa: E402

THANOS = os.environ.get("THANOS", "")
OURS, THEIRS = "thanosc", "Thanos"
BIN = {OURS: THANOSC, THEIRS: THANOS}
GOLDEN = os.path.abspath(os.path.join(HERE, "../golden"))
EU = ["01M81YVBWEZNH3H08SPVGX7K64", "01M81YVBY4NA3B6XZW802F13GJ", "01M81YVC0FJJQ87HKZ11JM4HFZ",
      "01M81YVC3EVHVHW5856NGMRBBV", "01M81YVC55WBG00SVR84EHFB03", "01M81YVC6WDF4WE3GFR0FN50G7"]
MODES = {"one to one": ["--compact.enable-vertical-compaction", "--deduplication.replica-label=replica", "--downsampling.disable"],
         "penalty": ["--deduplication.replica-label=replica", "--deduplication.func=penalty", "--downsampling.disable"]}
AT = 1789997400
CASES = [("query", {"query": q, "time": AT + 0.5}) for q in ("up", "count(up)", 'count by (__name__) ({__name__=~".+"})')] + [
    ("query_range", {"query": "sum by (job) (container_memory_working_set_bytes)", "start": AT - 18000.5, "end": AT, "step": 61}),
    ("query_range", {"query": "histogram_quantile(0.9, sum(rpc_latency_seconds))", "start": AT - 9000.5, "end": AT, "step": 61}),
    ("labels", {"start": AT - 18000, "end": AT}), ("label/job/values", {"start": AT - 18000, "end": AT})]


def new_bucket(p, name, ulids, folder="blocks/bucket"):
    bucket = p.dir(name.replace(" ", "-"))
    for u in ulids:
        shutil.copytree(os.path.join(GOLDEN, folder, u), os.path.join(bucket, u))
    return bucket


def compact(p, make, bucket, *flags):
    """(exit code, log) of one run."""
    compact.n += 1
    out = subprocess.run([BIN[make], "compact", f"--objstore.config-file={p.bucket(bucket)}", f"--data-dir={p.dir(f'compact-{compact.n}')}",
                          "--consistency-delay=0s", f"--http-address=127.0.0.1:{port()}", *flags], capture_output=True, text=True, timeout=300)
    return out.returncode, out.stderr


compact.n = 0


def live(bucket):
    out = {}
    for u in sorted(os.listdir(bucket)):
        path = os.path.join(bucket, u, "meta.json")
        if len(u) == 26 and os.path.exists(path) and not os.path.exists(os.path.join(bucket, u, "deletion-mark.json")):
            with open(path) as f:
                out[u] = json.load(f)
    return out


def state(bucket):
    """All that a block's meta.json says but for names, times of upload and sizes of files."""
    out = []
    for m in live(bucket).values():
        t, c = m["thanos"], m["compaction"]
        out.append(json.dumps([m["minTime"], m["maxTime"], {k: v for k, v in m["stats"].items() if k != "numChunks"}, c["level"],
                               sorted(c["sources"]), sorted(x["ulid"] for x in c.get("parents") or []) if c["level"] == 2 else None,
                               t["labels"], t["downsample"], t["source"], sorted(f["rel_path"] for f in t.get("files") or [])],
                              sort_keys=True))
    return sorted(out)


def same_work(c, p):
    for mode, flags in MODES.items():
        made = {}
        for make in (OURS, THEIRS):
            made[make] = new_bucket(p, f"{mode} {make}", EU)
            code, log = compact(p, make, made[make], *flags)
            c.ok(code == 0 and len(live(made[make])) == 3, f"{make} compacts, {mode}", f"{code} {log[-800:]}")
        c.ok(state(made[OURS]) == state(made[THEIRS]), f"both make the same blocks, {mode}", f"{state(made[OURS])}\n{state(made[THEIRS])}")
        for first, then in ((OURS, THEIRS), (THEIRS, OURS)):
            before = set(live(made[first]))
            code, log = compact(p, then, made[first], *flags)
            c.ok(code == 0 and set(live(made[first])) == before, f"{then} has nothing to do where {first} is done, {mode}", f"{code} {log[-800:]}")
    return {make: made[make] for make in (OURS, THEIRS)}


def half(c, p):
    """One window by the one, the others by the other."""
    want = None
    for first, then in ((OURS, THEIRS), (THEIRS, OURS)):
        bucket = new_bucket(p, f"half {first}", EU)
        code, log = compact(p, first, bucket, *MODES["penalty"], "--max-time=2026-09-21T09:00:00Z")
        c.ok(code == 0 and len(live(bucket)) == 5, f"{first} does the first window", f"{code} {sorted(live(bucket))} {log[-800:]}")
        code, log = compact(p, then, bucket, *MODES["penalty"])
        c.ok(code == 0 and len(live(bucket)) == 3, f"{then} goes on", f"{code} {sorted(live(bucket))} {log[-800:]}")
        c.ok(want is None or want == state(bucket), "with the same result")
        want = state(bucket)


def downsampling(c, p):
    raw = [u for u in os.listdir(os.path.join(GOLDEN, "compacted/long/bucket"))
           if json.load(open(os.path.join(GOLDEN, "compacted/long/bucket", u, "meta.json")))["thanos"]["downsample"]["resolution"] == 0]
    made = {}
    for make in (OURS, THEIRS):
        made[make] = new_bucket(p, f"long {make}", raw, "compacted/long/bucket")
        code, log = compact(p, make, made[make])
        c.ok(code == 0 and len(live(made[make])) == len(raw) + 2, f"{make} downsamples", f"{code} {log[-800:]}")
    c.ok(state(made[OURS]) == state(made[THEIRS]), "both downsample to the same", f"{state(made[OURS])}\n{state(made[THEIRS])}")
    for first, then in ((OURS, THEIRS), (THEIRS, OURS)):
        before = set(live(made[first]))
        code, log = compact(p, then, made[first])
        c.ok(code == 0 and set(live(made[first])) == before, f"{then} has nothing to downsample where {first} is done", f"{code} {log[-800:]}")
    return made[OURS]


def tools(c, p, bucket, what):
    out = subprocess.run([THANOS, "tools", "bucket", "verify", f"--objstore.config-file={p.bucket(bucket)}", "--issues=index_known_issues",
                          "--issues=overlapped_blocks"], capture_output=True, text=True, timeout=120, cwd=p.tmp)
    c.ok(out.returncode == 0 and "level=error" not in out.stderr, f"Thanos' tools find nothing wrong: {what}", out.stderr[-800:])


def serving(c, p, bucket, table):
    """Stores of both makes on what we compacted, queriers of both over them."""
    yaml = p.bucket(bucket)
    stores = {make: p.store(yaml, binary=BIN[make], name=f"store-{make}") for make in (OURS, THEIRS)}
    good = bad = 0
    for querier in (OURS, THEIRS):
        answers = {}
        for make, s in stores.items():
            q = p.query([s.grpc], binary=BIN[querier], name=f"query-{querier}-{make}")
            answers[make] = [q.api(api, **params) for api, params in CASES]
            q.stop()
        for case, a, b in zip(CASES, answers[OURS], answers[THEIRS]):
            same = a[0] == b[0] == 200 and close(normal(a[1]), normal(b[1]), 1e-9) and (a[1].get("data") not in ([], {"result": []}))
            good, bad = good + same, bad + (not same)
            c.ok(same, f"{querier} query over a Thanos store on our blocks: {case}", difference(normal(a[1]), normal(b[1]), 1e-9))
    table.append(("queries over a Thanos store on blocks that thanosc compacted", "a thanosc store on them", good, bad))
    for s in stores.values():
        s.stop()


def api(c, p, bucket):
    """What the APIs of both show of one bucket."""
    got = {}
    for make in (OURS, THEIRS):
        http = port()
        x = p.run(f"compact-{make}", [BIN[make], "compact", "--wait", f"--objstore.config-file={p.bucket(bucket)}", f"--data-dir={p.dir('api-' + make)}",
                                      "--consistency-delay=0s", f"--http-address=127.0.0.1:{http}", *MODES["penalty"]], http=http).ready()
        wait(lambda: len(json.loads(get(x.url + "/api/v1/blocks?view=global")[1])["data"]["blocks"]) == 9, 30)
        got[make] = {}
        for view in ("global", "loaded"):
            data = json.loads(get(f"{x.url}/api/v1/blocks?view={view}")[1])["data"]
            data.pop("refreshedAt")
            got[make][view] = {"label": data["label"], "err": data["err"], "ulids": sorted(b["ulid"] for b in data["blocks"]), "fields": sorted(data),
                               "block": sorted(data["blocks"], key=lambda b: b["ulid"])[0]}
        x.stop()
    for view in ("global", "loaded"):
        c.ok(got[OURS][view] == got[THEIRS][view], f"/api/v1/blocks?view={view}", f"{got[OURS][view]}\n{got[THEIRS][view]}")


def compactors(c, p, table):
    before = c.passed + c.failed, c.failed
    made = same_work(c, p)
    half(c, p)
    long = downsampling(c, p)
    tools(c, p, made[OURS], "an HA pair")
    tools(c, p, long, "downsampled blocks")
    api(c, p, made[OURS])
    serving(c, p, made[OURS], table)
    bad = c.failed - before[1]
    table.append(("thanosc compact", "thanos compact on the same blocks, before and behind each other", c.passed + c.failed - before[0] - bad, bad))


def main():
    if not THANOS:
        print("skipped: no Thanos given")
        return 0
    with Procs() as p:
        c = Checks(p)
        compactors(c, p, [])
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
