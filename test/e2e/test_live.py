"""Live data: two HA Prometheus (Debian's) scrape a node exporter, themselves and a target with native histograms; what a
querier says through their sidecars is what each of them says, and once for both with dedup on.

Usage: test_live.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from compare import close, difference, key, normal, points  # noqa: E402
from exposition import Target  # noqa: E402
from procs import Checks, Procs, wait  # noqa: E402

REL = 1e-9
# $ stands for the matcher of one replica at the querier, and for nothing at that replica.
CLASSIC = [
    'up{$}', 'node_load1{$}', 'node_cpu_seconds_total{$}', 'rate(node_cpu_seconds_total{$}[10s])', '{__name__=~"node_memory_.*",$}',
    'sum by (mode) (irate(node_cpu_seconds_total{$}[10s]))', 'sum(scrape_samples_scraped{$})', 'count({__name__=~".+",$})',
    'prometheus_http_requests_total{$}', 'increase(prometheus_http_requests_total{$}[8s])', 'prometheus_build_info{$}',
    'histogram_quantile(0.9, sum by (le, handler) (rate(prometheus_http_request_duration_seconds_bucket{$}[10s])))',
    'prometheus_engine_query_duration_seconds{$}', 'plain_total{$}', 'rate(plain_total{$}[10s])', 'max_over_time(plain_total{$}[10s])',
    'count_over_time(up{$}[7s])', 'node_load1{$} / on (instance) group_left node_load5{$}',
]
# Quantiles are interpolated in another way since Prometheus 3.0.
NATIVE = ['native_seconds{$}', 'native_seconds{path="/both",$}', 'native_seconds{$} offset 3s',
          'count_over_time(native_seconds{$}[9s])', 'histogram_count(native_seconds{$})', 'histogram_sum(native_seconds{$})', 'rate(native_seconds{$}[10s])']


def own(body, external):
    """The answer without the external labels; False if a series lacks one that it should have."""
    for s in body["data"]["result"]:
        for k in external:
            s["metric"].pop(k, None)
    return body


def quiet_time(proms):
    """A moment about two seconds ago that is no scrape's own, nor any whole number of seconds from one."""
    now = time.time()
    marks = [float(v) % 1 for p in proms for _, _, v in points(p.api("query", query="timestamp(up)", time=now)[1]["data"])]
    best = max((f / 100 for f in range(100)), key=lambda f: min(min(abs(f - m), 1 - abs(f - m)) for m in marks))
    return int(now) - 2 + best


def check(c, query, prom, external, queries, at):
    matcher = f'replica="{external["replica"]}"'
    for q in queries:
        for api, params in (("query", {"time": at}), ("query_range", {"start": at - 5, "end": at, "step": 1})):
            theirs = prom.api(api, query=q.replace(",$", "").replace("$", ""), **params)
            ours = query.api(api, query=q.replace("$", matcher), dedup="false", **params)
            same = ours[0] == theirs[0] == 200 and not [w for w in ours[1].get("warnings", []) if not w.startswith("PromQL ")]
            if same:
                a, b = normal(own(ours[1], external)), normal(theirs[1])
                same = close(a, b, REL)
            c.ok(same, f"{external['replica']}: {api} {q}", difference(a, b, REL) if ours[0] == theirs[0] == 200 else f"{ours} {theirs}")


def main():
    with Procs() as p:
        c = Checks(p)
        node, target = p.node_exporter(), Target()
        scrape = [("node", f"127.0.0.1:{node.http}"), ("prometheus", "self"), ("native", target.address)]
        externals = [{"cluster": "live", "replica": r} for r in "ab"]
        proms = [p.prometheus("live-" + e["replica"], None, e, scrape, ["--enable-feature=native-histograms"]) for e in externals]
        sidecars = [p.sidecar(prom) for prom in proms]
        query = p.query([s.grpc for s in sidecars])
        for prom in proms:
            # The earliest window ends 7 s back and is 10 s long: what a native counter had when it was new is not in it, whose
            # extrapolation Prometheus 3 cuts where it was zero, and 2.42 does not.
            c.ok(wait(lambda: prom.value("count(count_over_time(up[1m]) >= 22)") == "3", 40),
                 f"{prom.name} has scraped for some seconds")
        at = quiet_time(proms)
        for prom, e in zip(proms, externals):
            has = prom.api("query", query="native_seconds", time=at)[1]["data"]["result"]
            c.ok(has and all("histogram" in s for s in has), "the target's histograms are native", has[:1])
            check(c, query, prom, e, CLASSIC + NATIVE, at)
        body = query.api("query", query='up{job=~"node|native"}', time=at)[1]
        found = sorted(s["metric"]["job"] for s in body["data"]["result"])
        c.ok(found == ["native", "node"] and not body.get("warnings"), "dedup on: each target once", body)
        both, one = (q.value("count(node_cpu_seconds_total)", time=at) for q in (query, proms[0]))
        c.ok(both is not None and both == one, "dedup on: as many series as one replica has", f"{both} {one}")
        body = query.api("query", query="native_seconds", time=at)[1]
        c.ok(len({key(s["metric"]) for s in body["data"]["result"]}) == 2 == len(body["data"]["result"]), "dedup on: native histograms once", body)
        # 2.42 makes a float 0 of it; it is what the selector gives (of one replica: what a merge takes depends on the window)
        last, now = (normal(query.api("query", query=q, time=at, dedup="false")[1]) for q in
                     ('last_over_time(native_seconds{replica="a"}[5s])', 'native_seconds{replica="a"}'))
        c.ok(close(last, now, 0) and len(now["result"]) == 2, "last_over_time of native histograms", f"{last} {now}")
        node.kill()
        c.ok(all(wait(lambda: prom.value('up{job="node"}') == "0", 15) for prom in proms),
             "the node exporter is found down")
        time.sleep(4)  # what is asked for lies two to three seconds back
        at = quiet_time(proms)
        gone = query.api("query", query="node_load1", time=at)[1]["data"]["result"]
        c.ok(gone == [], "a target that went away is stale at once, dedup on", gone)
        for prom, e in zip(proms, externals):
            check(c, query, prom, e, ['up{$}', 'node_load1{$}', 'count_over_time(node_load1{$}[9s])', 'rate(node_cpu_seconds_total{$}[10s])'], at)
        slots = [prom.metric("prometheus_api_remote_read_queries", -1) for prom in proms]
        c.ok(slots == [0, 0], "no remote read is left open at Prometheus", slots)
        target.stop()
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
