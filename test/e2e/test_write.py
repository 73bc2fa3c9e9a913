"""Blocks that we write, given to Debian's promtool and Prometheus: `promtool tsdb list` and `analyze --extended` accept them, a Prometheus
starts on them, and answers as one over the blocks they were made of.

The blocks are those of a real TSDB, read by our scanner and written by our writer: as they are, in many small segments with little memory
for sorting, and with all floats encoded anew in chunks of 50 samples. Usage: test_write.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import ROOT, Checks, Procs  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, make_blocks, openmetrics  # noqa: E402

TOOL = os.path.join(ROOT, "build/release/test/tool_rewrite_block")
GOLDEN = os.path.join(ROOT, "test/golden/blocks/bucket")
WAYS = {"as-it-is": [], "small": ["--memory=1048576", "--segment=20000"], "anew": ["--segment=30000", "--samples=50"]}
QUERIES = ("count({__name__=~'.+'})", "sum(count_over_time(latency_seconds_bucket[1h]))", "sum by (job, code) (rate(http_requests_total[10m]))",
           "histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))", "temperature_celsius", "changes(up[1h])", "special",
           "avg by (instance) (memory_bytes)", "topk(3, cpu_seconds_total)")


def blocks(folder):
    return sorted(d for d in os.listdir(folder) if os.path.exists(os.path.join(folder, d, "meta.json")))


def rewrite(c, source, target, flags):
    for b in blocks(source):
        out = subprocess.run([TOOL, *flags, os.path.join(source, b), target], capture_output=True, text=True)
        c.ok(out.returncode == 0, f"rewrite {b} {flags}", out.stderr)
    c.ok(sorted(os.listdir(target)) == blocks(source), "nothing but the blocks is left", os.listdir(target))


def check_promtool(c, way, source, target):
    """list shows the same numbers; analyze --extended reads index and chunks, and finds the same."""
    listed = [subprocess.run(["promtool", "tsdb", "list", d], capture_output=True, text=True) for d in (source, target)]
    rows = [[l.split() for l in o.stdout.splitlines()] for o in listed]
    c.ok(listed[1].returncode == 0 and len(rows[1]) == 1 + len(blocks(source)), f"{way}: promtool tsdb list", listed[1])
    # columns: ULID, times, duration, samples, chunks, series, size; chunks and size are ours
    keep = lambda table: [[v for n, v in enumerate(r) if n not in (5, 7)] for r in table]
    c.ok(keep(rows[0]) == keep(rows[1]), f"{way}: the same list", rows)
    for b in blocks(source):
        out = [subprocess.run(["promtool", "tsdb", "analyze", "--extended", "--limit=1000000", d, b], capture_output=True, text=True)
               for d in (source, target)]
        c.ok(out[1].returncode == 0 and not out[1].stderr and "Label names" in out[1].stdout, f"{way}: analyze {b}", out[1])
        # what is equally frequent comes in any order; with chunks of their own, how full they are is another matter
        lines = [sorted((o.stdout.split("Compaction analysis")[0] if way == "anew" else o.stdout).splitlines()) for o in out]
        c.ok(lines[0] == lines[1], f"{way}: the same analysis of {b}", [set(lines[0]) ^ set(lines[1])])


def check_segments(c, target):
    n = max(len(os.listdir(os.path.join(target, b, "chunks"))) for b in blocks(target))
    c.ok(n > 5, "a block has many segments", n)


def answers(prom):
    out = {}
    for q in QUERIES:
        out[q] = prom.api("query_range", query=q, start=T0, end=T0 + LENGTH, step=60)
    out["labels"] = prom.api("labels")
    out["series"] = prom.api("series", match='{__name__=~".+"}', start=T0, end=T0 + LENGTH)
    for name in out["labels"][1]["data"]:
        out["values of " + name] = prom.api(f"label/{name}/values")
    return out


def check_prometheus(c, p, source, targets):
    proms = {way: p.prometheus(way, data=d) for way, d in targets.items()}
    real = p.prometheus("real", data=source)
    want = answers(real)
    c.ok(all(s == 200 and d["data"] for s, d in want.values()), "the real one answers everything", [q for q, (s, d) in want.items() if s != 200])
    for way, prom in proms.items():
        got = answers(prom)
        for q in want:
            same = json.dumps(want[q][1].get("data"), sort_keys=True) == json.dumps(got[q][1].get("data"), sort_keys=True)
            c.ok(same, f"{way}: the same answer to {q}", got[q])
        log = prom.text()
        c.ok("level=error" not in log and "level=warn" not in log, f"{way}: nothing to complain about", log[-1500:])


def main():
    c = Checks()
    with Procs() as p:
        c.procs = p
        source = make_blocks(openmetrics(REPLICAS, True), p.path("source"))
        targets = {way: p.dir("blocks-" + way) for way in WAYS}
        for way, flags in WAYS.items():
            rewrite(c, source, targets[way], flags)
            check_promtool(c, way, source, targets[way])
        check_segments(c, targets["small"])
        check_prometheus(c, p, source, targets)
        # odd series: NaN of all kinds, 64 KiB values, a thousand labels, UTF-8, all borders of the time code
        odd, ours = p.dir("odd"), p.dir("odd-ours")
        shutil.copytree(os.path.join(GOLDEN, "01M81YVCFSCF0E425839T44G73"), os.path.join(odd, "01M81YVCFSCF0E425839T44G73"))
        rewrite(c, odd, ours, ["--samples=7"])
        check_promtool(c, "anew", odd, ours)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
