"""Queries over downsampled blocks: 12 days that real Thanos compacted (raw, 5m, 1h), and six hours of raw blocks behind them.

Every resolution answers without a hole; what was used is said; a rate does not jump where downsampled blocks end; dynamic
look-back bridges samples an hour apart. Blocks that we downsample from the same raw one answer as Thanos' do, digit by digit. Usage: test_downsampled.py. Ends with "N passed, N failed, N skipped".
"""
import os
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import Checks, Procs, get  # noqa: E402
import json  # noqa: E402

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release/test/tool_downsample_block")
BUCKET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/compacted/long/bucket")
END = 1789020000  # of the raw blocks; the downsampled ones end at BORDER
BORDER = 1788998400
BEGIN = BORDER - 12 * 86400
COUNTERS = ("http_requests_total", "node_cpu_seconds_total", "http_request_duration_seconds_sum")
GAUGES = ("node_hwmon_temp_celsius", "process_resident_memory_bytes")


def ask(proc, **params):
    status, body = get(f"{proc.url}/api/v1/query_range?" + urllib.parse.urlencode(params))[:2]
    doc = json.loads(body)
    return status, doc


def points(doc):
    return {json.dumps(s["metric"], sort_keys=True): {p[0]: float(p[1]) for p in s.get("values", [])} for s in doc["data"]["result"]}


def check_whole(c, what, got, step):
    """All series have all points from a step after the begin to the end."""
    c.ok(got and all(all(b - a <= step for a, b in zip(sorted(v), sorted(v)[1:])) and min(v) <= BEGIN + 6 * 3600 and max(v) >= END - 2 * step
                     for v in got.values()), f"{what}: no hole", {k: len(v) for k, v in got.items()})


def ours_beside(bucket):
    """The raw blocks of BUCKET, with what we make of the long one."""
    blocks = {}
    for block in os.listdir(BUCKET):
        with open(f"{BUCKET}/{block}/meta.json") as f:
            meta = json.load(f)
        blocks.setdefault(meta["thanos"]["downsample"]["resolution"], []).append((meta["maxTime"] - meta["minTime"], block))
        if meta["thanos"]["downsample"]["resolution"] == 0:
            shutil.copytree(f"{BUCKET}/{block}", f"{bucket}/{block}")
    block = f"{bucket}/{max(blocks[0])[1]}"
    for resolution in (300000, 3600000):
        block = json.loads(subprocess.check_output([TOOL, "block", block, str(resolution), bucket, "2"]))["path"]
    return len(blocks) == 3


def check_same(c, theirs, ours):
    """The same answers from blocks that Thanos made and from ours."""
    hist = "histogram_quantile(0.9, sum(rate(rpc_latency_seconds[6h])))"
    queries = [f"{f}({name}[6h])" for name in COUNTERS for f in ("increase", "rate", "max_over_time", "count_over_time")]
    queries += [f"{f}({name}[4h])" for name in GAUGES for f in ("avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time")]
    queries += [hist, "histogram_count(sum(increase(rpc_latency_seconds[12h])))", "sum(avg_over_time(rpc_latency_seconds[6h]))"]
    for query in queries:
        for res, step in (("5m", 1800), ("1h", 7200), ("auto", 20000)):
            status, a = ask(theirs, query=query, start=BEGIN, end=END, step=step, max_source_resolution=res)
            again, b = ask(ours, query=query, start=BEGIN, end=END, step=step, max_source_resolution=res)
            c.ok(status == again == 200 and a["data"] == b["data"] and a["data"]["result"] and a.get("infos") == b.get("infos"),
                 f"{query} {res} step {step}: as from Thanos' blocks", (str(a)[:300], str(b)[:300]))


def check_instant(c, p, store):
    """Instant queries use raw samples unless --query.instant.default.max_source_resolution says otherwise."""
    for flags, want in ((["--query.auto-downsampling"], ""), (["--query.auto-downsampling", "--query.instant.default.max_source_resolution=1h"], "1h"),
                        (["--query.instant.default.max_source_resolution=5m"], "")):
        q = p.thanosc("query", f"--endpoint={store.grpc}", *flags, name="query-instant")
        for asked, used in (({}, want), ({"max_source_resolution": "auto"}, flags[-1].rpartition("=")[2] if len(flags[-1].split("=")) > 1 else ""),
                            ({"max_source_resolution": "5m"}, "5m")):
            form = urllib.parse.urlencode({"query": f"sum(increase({COUNTERS[0]}[1d]))", "time": BORDER - 86400, **asked})
            doc = json.loads(get(f"{q.url}/api/v1/query?{form}")[1])
            said = [i.split("resolution ")[1].split(" ")[0] for i in doc.get("infos", []) if "downsampled data was used" in i]
            c.ok(doc["status"] == "success" and said == ([used] if used else []), f"instant query {flags} {asked}: resolution {used or 'raw'}", doc)
        q.stop()


def near(a, b, share):
    return abs(a - b) <= share * max(abs(a), abs(b), 1e-9)


def main():
    c = Checks()
    with Procs() as p:
        bucket = p.dir("bucket")
        shutil.copytree(BUCKET, bucket, dirs_exist_ok=True)
        store = p.thanosc("store", f"--objstore.config={{type: FILESYSTEM, config: {{directory: {bucket}}}}}", f"--data-dir={p.dir('store')}")
        query = p.thanosc("query", f"--endpoint={store.grpc}", "--query.auto-downsampling")
        ours_bucket = p.dir("ours")
        c.ok(ours_beside(ours_bucket), "raw, 5m and 1h blocks are there")
        ours_store = p.thanosc("store", f"--objstore.config={{type: FILESYSTEM, config: {{directory: {ours_bucket}}}}}", f"--data-dir={p.dir('ours-store')}",
                               name="store-ours")
        ours_query = p.thanosc("query", f"--endpoint={ours_store.grpc}", "--query.auto-downsampling", name="query-ours")
        check_same(c, query, ours_query)
        check_instant(c, p, store)
        fixed = p.thanosc("query", f"--endpoint={store.grpc}", "--no-query.dynamic-lookback-delta", name="query-fixed")
        for name in COUNTERS:
            for res, step in (("0s", 600), ("5m", 1800), ("1h", 7200), ("auto", 1500), ("auto", 20000)):
                status, doc = ask(query, query=f"sum(increase({name}[6h]))", start=BEGIN, end=END, step=step, max_source_resolution=res)
                c.ok(status == 200, f"increase {name} {res}", doc)
                got = points(doc)
                check_whole(c, f"increase {name} {res}", got, step)
                values = next(iter(got.values()))
                edge = [values[t] for t in sorted(values) if abs(t - BORDER) <= 8 * 3600]
                c.ok(max(edge) < 3 * min(edge), f"increase {name} {res}: no jump where downsampled blocks end", edge)
                used = [i for i in doc.get("infos", []) if "downsampled data was used: counter of resolution" in i]
                want = {"0s": [], "5m": ["5m"], "1h": ["1h"]}.get(res, ["5m"] if step == 1500 else ["1h"])
                c.ok([u.split("resolution ")[1].split(" ")[0] for u in used] == want, f"increase {name} {res} step {step}: says what was used", doc.get("infos"))
        for name in GAUGES:
            raw = points(ask(query, query=f"avg_over_time({name}[4h])", start=BEGIN + 86400, end=END, step=14400, max_source_resolution="0s")[1])
            for res in ("5m", "1h"):
                for f, limit in (("avg_over_time", 0.05), ("max_over_time", None), ("min_over_time", None), ("sum_over_time", 0.1)):
                    a = points(ask(query, query=f"{f}({name}[4h])", start=BEGIN + 86400, end=BORDER, step=14400, max_source_resolution=res)[1])
                    b = points(ask(query, query=f"{f}({name}[4h])", start=BEGIN + 86400, end=BORDER, step=14400, max_source_resolution="0s")[1])
                    c.ok(a.keys() == b.keys() and a, f"{f} {name} {res}: the same series")
                    if limit:
                        c.ok(all(near(v[t], b[k][t], limit) for k, v in a.items() for t in v if t in b[k]), f"{f} {name} {res} is near that of raw samples")
            c.ok(raw, f"{name}: raw samples are there")
            status, doc = ask(query, query=name, start=BEGIN, end=END, step=7200, max_source_resolution="1h")
            check_whole(c, f"{name} alone, 1h, dynamic look-back", points(doc), 7200)
            status, doc = ask(fixed, query=f"count({name})", start=BEGIN, end=BORDER - 1, step=600, max_source_resolution="1h")
            some = points(doc)
            c.ok(some and len(next(iter(some.values()))) < (BORDER - BEGIN) / 600 / 4, f"{name}: without it most steps see nothing", {k: len(v) for k, v in some.items()})
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
