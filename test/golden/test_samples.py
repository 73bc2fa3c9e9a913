"""What Prometheus 3.14 counts of samples (stats=all) against what `thanosc query` says, for all queries whose answers are recorded
and some more: looked at, read, and held at one time (answers/samples.json).

Where the numbers cannot be equal DIFFERENT says why, and that ours is not above theirs is checked. All are asked again with
--query.max-samples, which refuses what Prometheus would refuse and nothing else.
Usage: test_samples.py; test_samples.py --record PROMETHEUS writes the file anew. Ends with "N passed, N failed, N skipped".
"""
import gzip
import json
import os
import re
import shutil
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import Checks, Procs, get  # noqa: E402
from test_answers import blocks_of  # noqa: E402
from test_http_answers import FEATURES, HERE, serve  # noqa: E402

FILE = os.path.join(HERE, "answers/samples.json")
RANGE = {"start": "1789984800", "end": "1789986600", "step": "60"}
# Beside the recorded answers: what is held while one part is evaluated after another.
MORE = [
    "1 + 2", "vector(1) + time()", "sum(rate(http_requests_total[5m])) / count(up)", "up == 1 or up", "topk(2, rate(http_requests_total[5m]))",
    "rate(http_requests_total[5m]) > 0", "max_over_time(sum by (job) (rate(http_requests_total[2m]))[10m:1m])", "avg_over_time(up[3m:30s] offset 2m)",
    "sum(up @ end()) + sum(up)", "quantile(0.9, up)", "absent_over_time(up[5m])", "absent(up)", "label_replace(up, 'a', '$1', 'job', '(.*)')",
    "-up", "timestamp(up)", "clamp(up, 0, scalar(sum(up)))", "count_values('v', up)", "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
    "predict_linear(up[5m], 60)", "sum(rate(up[30s]))", "last_over_time(up[30s:10s])", "sort(up)", "up and on(job) up", "hour() + scalar(sum(up))",
    "sum_over_time(up[5m] @ 1789985000)", "sum(rate(http_requests_total[5m])) + sum(rate(http_requests_total[5m]))", "up[5m]", "up[5m:1m]",
    "info(up)",
    "(up + up) * 2 > bool 0", "max_over_time((up + up)[5m:1m])", "sum by (job) (up) / on (job) group_left count by (job) (up)",
    "up smoothed + up smoothed", "sum(rate(http_requests_total[5m] anchored))", "info(up) * 2",
    "-(1 + 2)", "+up", "+(up > 0)",
    "topk(scalar(count(up @ end())), up)", "quantile(scalar(sum(up)) / 100, rate(up[1m]))", "label_join(rate(http_requests_total[5m]) > 0, 'a', '', 'job') * 2",
    "sum(up @ start()) + time()", "abs(up @ 1789985000)", "timestamp(up @ 1789985000)",
    "timestamp(abs(up @ 1789985000))", "max_over_time(rate(up[1m])[20s:5s])", "max_over_time(up[1m:10s] @ 1789985000) + up",
    "sum_over_time(vector(1)[5m:1m])", "sum_over_time((up @ 1789985000)[5m:1m])", "min_over_time(max_over_time(up[5m:1m])[5m:1m])",
    "up or rate(up[1m]) or vector(3)", "histogram_quantile(scalar(up{job='none'}), http_request_duration_seconds_bucket)", "absent_over_time(up[30s:10s])",
    "absent(sum(up) > 1000)", "sort_desc(sum by (job) (up))", "limitk(2, up)",
    "limit_ratio(0.5, up)", "double_exponential_smoothing(up[5m], 0.5, 0.5)", "quantile_over_time(scalar(sum(up)) / 100, up[5m])",
    "quantile_over_time(0.5 + 0.1, up[5m:1m])", "predict_linear(up[5m] @ 1789985000, scalar(sum(up)))", "clamp_max(up, 1) and up",
    "{__name__=~'.+'} > 5",
    "{__name__=~'.+'}", "last_over_time({__name__=~'.+'}[10m:1m])", "last_over_time({__name__=~'.+'}[10m])",
    "sum({__name__=~'.+'}) + avg({__name__=~'.+'})", "scalar(up)", "sum(scalar(up) + up)",
    "round(up, 0.5)", "day_of_month()", "hour(up)",
    "pi()", "start()", "time() - 5",
    "1 < bool 2", "count_values('v', {__name__=~'.+'})", "sgn(-up)",
    "{__name__=~'.+'} smoothed", "({__name__=~'.+'})[5m:1m]",
    "{__name__=~'.+'}[5m]", "up[5m] anchored",
    
]
MORE += ["up{job='node'} / on (job) group_left sum by (job) (up)", "sum by (job) (rate(up[5m])) / count by (job) (rate(up[5m])) > 0"]
# One selector asks for a part of another's series: which is read once here, and counted for each.
MORE += [
    "sum(rate(http_requests_total{code='500'}[5m])) / sum(rate(http_requests_total[5m]))", "sum(up) - on () count(up{job='node'})",
    "sum(up{job='node'}) / sum(up) + count(up{job='node'}) + count(up{job!='node'}) + sum(up)", "max_over_time((sum(up{job='node'}) / sum(up))[5m:1m])",
    "sum(up{job='node'} smoothed) / sum(up smoothed)", "sum(rate(http_requests_total[5m] anchored)) - sum(rate(http_requests_total{code=~'5..'}[5m] anchored))",
    "sum(quantile_over_time(0.5, up{job='node'}[5m])) / sum(quantile_over_time(0.5, up[5m]))", "sum(up{job='node'} @ end()) / sum(up @ end()) + sum(up)",
    "count(timestamp(up{job='node'})) / count(timestamp(up))", "sum(up{job='none'}) or sum(up)",
]
HIST_RANGE = {"start": "1789977615", "end": "1789979100", "step": "135"}
HISTS = [
    "h_schema", "rate(h_schema[5m])", "last_over_time({__name__=~'h_.+'}[10m])", "last_over_time({__name__=~'h_.+'}[1m])", "sum({__name__=~'h_.+', __name__!~'.*custom.*'})",
    "{__name__=~'h_.+'} * 2", "h_both_sides + h_both_sides", "histogram_avg(rate(h_schema[5m]))", "histogram_quantile(0.5, sum(rate(h_schema[5m])))", "max_over_time(h_schema[5m:30s])",
    "last_over_time((-h_both_sides)[5m:30s])", "h_schema @ end() + h_schema", "absent_over_time(h_schema[5m])", "h_both_sides smoothed", "label_replace(h_both_sides, 'a', 'b', '', '') * 3",
    "topk(3, h_schema)", "limitk(3, h_schema)", "limitk(3, h_schema) or h_both_sides", "count_values('v', h_both_sides)", "timestamp(h_schema)", "h_schema[5m]", "h_schema[5m:30s]", "sum_over_time(h_both_sides[5m] @ end())",
]
HISTS += ["sum(rate(h_both_sides{instance='none'}[5m])) or sum(rate(h_both_sides{instance!='none'}[5m])) or sum(rate(h_both_sides[5m]))", "count(h_schema{schema='3'}) / count(h_schema)"]
LIMIT = 300
REFUSAL = f"query processing would load too many samples into memory in query execution (limit of {LIMIT} set by --query.max-samples) in "
# Part of the request -> why.
DIFFERENT = {
    r"job='node'} / on": "what one side of a join asks of a label is asked of the other, too: fewer series are read",
    r"topk.scalar.count.up @ end": "what is pinned by @ in an aggregation's parameter is read once here, not at each step",
}


def rows():
    have = [json.loads(l) for l in gzip.open(os.path.join(HERE, "answers/prometheus.jsonl.gz"), "rt")]
    have = [r for r in have if r["api"] in ("query", "query_range") and r["status"] == 200]
    for server, queries, times in (("us", MORE, RANGE), ("special", MORE, RANGE), ("special", HISTS, HIST_RANGE)):
        for q in queries:
            have.append({"server": server, "api": "query", "params": {"query": q, "time": times["end"]}})
            if not re.search(r"^\S+\[[^\]]*\]( \w+)?$", q):  # a matrix is no answer of a range query
                have.append({"server": server, "api": "query_range", "params": dict(times, query=q)})
    return have


def url_of(server, row):
    params = urllib.parse.urlencode(dict(row["params"], stats="all"), doseq=True)
    return f"{server.url}/api/v1/{row['api']}?{params}"


def ask(server, row):
    status, body = get(url_of(server, row))[:2]
    samples = json.loads(body).get("data", {}).get("stats", {}).get("samples") if status == 200 else None
    if samples:
        for k in ("totalQueryableSamplesPerStep", "samplesReadPerStep"):
            steps = samples.pop(k, [])
            if len(steps) <= 40:
                samples[k] = [n for _, n in steps]
    return samples


def record(binary):
    out = []
    with Procs() as p:
        servers = {}
        for s in ("us", "eu-a", "special"):
            data = p.dir("data-" + s)
            for path in blocks_of(s):
                shutil.copytree(path, os.path.join(data, os.path.basename(path)))
            servers[s] = p.prometheus(s, data=data, binary=binary, flags=(f"--enable-feature={FEATURES},promql-per-step-stats",))
        for r in rows():
            out.append(ask(servers[r["server"]], r))
    with open(FILE, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(o) for o in out) + "\n]\n")
    print(f"{len(out)} recorded")


def main():
    if sys.argv[1:2] == ["--record"]:
        return record(sys.argv[2])
    c = Checks()
    with Procs() as p:
        servers = {s: serve(p, s) for s in ("us", "eu-a", "special")}
        limited = {s: serve(p, s, f"--query.max-samples={LIMIT}") for s in servers}
        for r, theirs in zip(rows(), json.load(open(FILE)), strict=True):
            ours = ask(servers[r["server"]], r)
            what = f"{r['server']} {r['api']} {json.dumps(r['params'], ensure_ascii=False)}"
            why = next((w for k, w in DIFFERENT.items() if re.search(k, what)), None)
            if why and ours != theirs:
                print(f"note: {what}: {why}")
                c.ok(ours["peakSamples"] <= theirs["peakSamples"], what, f"\n  ours:   {ours}\n  theirs: {theirs}")
                continue
            c.ok(ours == theirs, what, f"\n  ours:   {ours}\n  theirs: {theirs}")
            if not theirs:
                continue
            status, body = get(url_of(limited[r["server"]], r))[:2]
            refused = status == 422 and json.loads(body)["error"].startswith(REFUSAL)
            c.ok(refused if theirs["peakSamples"] > LIMIT else status == 200, f"limit of {LIMIT}: {what}", f"{status} {body[:300]} {theirs}")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
