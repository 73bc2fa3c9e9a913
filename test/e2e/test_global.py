"""Two HA Prometheus with different gaps and one of another cluster (Debian's), a sidecar beside each, one querier.

With dedup off, answers equal those of one more Prometheus that holds the same data with the external labels as labels of
its series (1e-9 relative; test/diff). Then: dedup on; a sidecar killed and restarted; blocks shipped, Prometheus
stopped, the same answers from thanosc store; live data with histograms.
Usage: test_global.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from compare import close, difference, key, normal, points  # noqa: E402
from procs import Checks, Procs, healthy_stores, promtool_clean, wait  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, families, make_blocks, openmetrics, times  # noqa: E402
from promql_cases import INSTANTS, RANGES, changed, changed_row, queries, requests  # noqa: E402

REL = 1e-9
META = [("labels", {}), ("labels", {"match": "up"}), ("labels", {"match": ['{job="db"}', "special"]}),
        ("series", {"match": "up"}), ("series", {"match": ['http_requests_total{code="200"}', '{kind=~"n.*"}']}),
        ("series", {"match": '{cluster="us",job="db"}'}), ("series", {"match": "nothing_at_all"}),
        ("label/job/values", {}), ("label/__name__/values", {}), ("label/cluster/values", {}), ("label/nope/values", {}),
        ("label/instance/values", {"match": 'up{job="db"}'}), ("label/replica/values", {"match": 'up{cluster="us"}'})]


def span(params):
    return {**params, "start": T0, "end": T0 + LENGTH}


def answers_of(proc, cases):
    """{case: (status, body)}; a case is (api, params as JSON)."""
    return {(api, json.dumps(params)): proc.api(api, **params) for api, params in cases}


def warnings(body):
    """Of stores; Prometheus 2.42 has no annotations of the engine."""
    return [w for w in body.get("warnings", []) if not w.startswith("PromQL ")]


def compare(c, what, got, want):
    for case, (status, theirs) in want.items():
        ours_status, ours = got[case]
        good = ours_status == status and ours["status"] == theirs["status"] and not warnings(ours)
        order = good and [s["metric"] for s in ours["data"]["result"]] if case[0] == "query_range" and good else None
        their_order = [s["metric"] for s in theirs["data"]["result"]] if order is not None else None
        a, b = normal(ours), normal(theirs)
        if ours["status"] == "error":
            good = good and ours["errorType"] == theirs["errorType"]
        else:
            good = good and close(a, b, REL)
        c.ok(good, f"{what}: {case[0]} {case[1]}", f"{ours_status} {status} {ours.get('warnings')} {ours.get('error')} {theirs.get('error')} "
             f"{difference(a, b, REL)}")
        if good and order is not None:
            c.ok(order == their_order, f"{what}: order of the series: {case[1]}")


def without(body, labels):
    """A matrix or vector body without the series whose labels hold all of these."""
    body = json.loads(json.dumps(body))
    body["data"]["result"] = [s for s in body["data"]["result"] if not labels.items() <= s["metric"].items()]
    return body


def check_dedup(c, query):
    """Dedup on: each series once, without the replica label; a value at each step where a replica has one, and one of theirs."""
    selectors = ("up", "http_requests_total", "temperature_celsius", "memory_bytes", "visitor")
    for q in selectors:
        seen = {}
        for r in REPLICAS:
            for name, _, rows in families(1 + (r.external["cluster"] == "us")):
                for suffix, labels, value in rows if q.startswith(name) else ():
                    if name + suffix != q:
                        continue
                    k = key({"__name__": q, **labels, "cluster": r.external["cluster"]})
                    seen.setdefault(k, []).extend((t, r.name, v) for t in times(r) for v in (value(t),) if v is not None)
        for v in seen.values():
            v.sort()
        for start, end, step in RANGES:
            body = query.api("query_range", query=q, start=start, end=end, step=step)[1]
            got = {}
            for k, t, v in points(body["data"]):
                got.setdefault(k, {})[t] = float(v)
            c.ok(len(body["data"]["result"]) == len(got), f"dedup on: {q}: a series twice")
            c.ok(not any("replica" in s["metric"] for s in body["data"]["result"]), f"dedup on: {q}: the replica label is there")
            bad, missing = [], []
            for k, samples in seen.items():
                for t in range(start, end + 1, step):
                    window = [(r, v) for at, r, v in samples if t - 300 < T0 + at <= t]
                    have = got.get(k, {}).get(t)
                    if have is None and len(window) > 12:
                        missing.append((k, t, len(window)))
                    elif have is not None and not any(close(have, v, REL) for _, v in window):
                        bad.append((k, t, have))
            c.ok(set(got) <= set(seen), f"dedup on: {q}: series that nobody has", sorted(set(got) - set(seen))[:3])
            c.ok(not bad, f"dedup on: {q}: values of no replica", bad[:3])
            c.ok(not missing, f"dedup on: {q}: gaps that a replica fills", missing[:3])
    for q, want in (("count(up)", 10), ("count(up) by (cluster)", 5), ("count(http_requests_total)", 30)):
        data = query.api("query", query=q, time=T0 + 3900)[1]["data"]
        c.ok(all(p[2] == str(want) for p in points(data)) and data["result"], f"dedup on: {q} is {want}", data)
    data = query.api("series", **span({"match": "up"}))[1]["data"]
    c.ok(len(data) == 10 and len({key(s) for s in data}) == 10 and not any("replica" in s for s in data),
         "dedup on: series lists each once", data)


def check_killed(c, query, victim, external, cases, whole):
    """A sidecar is killed: 200, a warning that names it, the data of the others; restarted: whole, without a warning."""
    victim.kill()
    for n in range(2):  # at once, and when the querier knows
        for (api, params), (_, body) in list(whole.items()):
            status, ours = query.api(api, **json.loads(params))
            c.ok(status == 200 and victim.grpc in json.dumps(ours.get("warnings", [])), f"sidecar killed: a warning names it: {params}",
                 f"{status} {json.dumps(ours)[:600]}")
            if ours["status"] == "success":
                a, b = normal(ours), normal(without(body, external))
                c.ok(close(a, b, REL), f"sidecar killed: the rest of the data: {params}", difference(a, b, REL))
        wait(lambda: victim.grpc not in healthy_stores(query), 20)
    c.ok(victim.grpc not in healthy_stores(query), "a dead sidecar is shown as such")
    victim.start()
    victim.ready()
    c.ok(wait(lambda: victim.grpc in healthy_stores(query), 30), "a restarted sidecar is seen again", healthy_stores(query))
    compare(c, "sidecar restarted", answers_of(query, cases), whole)


def check_shipped(c, p, bucket_dir, bucket, proms, sidecars, want, want_meta):
    """The sidecars ship, Prometheus stops, a store over the bucket gives the same answers."""
    count = lambda: [d for d in os.listdir(bucket_dir) if os.path.exists(os.path.join(bucket_dir, d, "meta.json"))]
    blocks = [d for prom in proms for d in os.listdir(prom.data) if os.path.exists(os.path.join(prom.data, d, "meta.json"))]
    c.ok(wait(lambda: len(count()) >= len(blocks), 75), f"{len(blocks)} blocks are shipped", count())
    c.ok(sorted(count()) == sorted(blocks), "the bucket holds the blocks of all three")
    for s, prom in zip(sidecars, proms):
        c.ok(s.stop() == 0, f"{s.name} ends with 0")
        prom.stop()
    store = p.store(bucket)
    query = p.query([store.grpc], replica=(), name="query-store")
    compare(c, "from the bucket", answers_of(query, [(a, json.loads(q)) for a, q in want]), want)
    compare(c, "from the bucket", answers_of(query, [(a, json.loads(q)) for a, q in want_meta]), want_meta)
    check_dedup(c, p.query([store.grpc], name="query-store-dedup"))


def ask_reference(c, reference):
    """The cases and what Debian's Prometheus answers; changed_since_242.def takes queries out."""
    table, used, left_out, cases = changed(), set(), [], []
    for q in queries():
        row = changed_row(table, q)
        if row:
            used.add(row)
            left_out.append(q)
        else:
            cases += requests(q)
    for row in table:
        c.ok(row in used and row.why, f"a row of changed_since_242.def without a query or a reason: {row}")
    print(f"note: {len(queries())} queries, {len(left_out)} of them changed since Prometheus 2.42 ({len(table)} rows)")
    want = answers_of(reference, cases)
    full = sum(1 for _, b in want.values() if b["status"] == "success" and b["data"]["result"])
    c.ok(full > 0.9 * len(want), f"the reference answers with data: {full} of {len(want)}")
    return cases, want, left_out


def check_blocks(c, p):
    external = [r.external for r in REPLICAS]
    reference = p.prometheus("reference", make_blocks(openmetrics(REPLICAS, True), p.dir("reference")))
    proms = [p.prometheus(r.name, make_blocks(openmetrics([r], False), p.dir("data", r.name)), r.external) for r in REPLICAS]
    bucket_dir = p.dir("bucket")
    bucket = p.bucket(bucket_dir)
    sidecars = [p.sidecar(prom, bucket) for prom in proms]
    off = p.query([s.grpc for s in sidecars], replica=(), name="query-raw")
    on = p.query([s.grpc for s in sidecars], name="query-dedup")
    cases, want, left_out = ask_reference(c, reference)
    compare(c, "through sidecars", answers_of(off, cases), want)
    for q in left_out:
        status, body = off.api("query_range", query=q, start=RANGES[0][0], end=RANGES[0][1], step=RANGES[0][2])
        c.ok(status == 200, f"answered: {q}", body)
    some = [("query", {"query": q, "time": INSTANTS[1], "dedup": "false"}) for q in ("up", "rate(http_requests_total[5m])")]
    compare(c, "dedup=false", answers_of(on, some), answers_of(reference, [(a, {**q}) for a, q in some]))
    meta = [(api, span(params)) for api, params in META]
    want_meta = answers_of(reference, meta)
    compare(c, "through sidecars", answers_of(off, meta), want_meta)
    check_dedup(c, on)
    whole_cases = [("query_range", {"query": q, "start": a, "end": b, "step": s}) for q in ("up", "http_requests_total", "rate(cpu_seconds_total[5m])")
                   for a, b, s in RANGES[:1]]
    check_killed(c, off, sidecars[1], external[1], whole_cases, answers_of(reference, whole_cases))
    for proc in (off, *sidecars):
        why = promtool_clean(proc)
        c.ok(not why, f"promtool check metrics: {proc.name}", why)
    check_shipped(c, p, bucket_dir, bucket, proms, sidecars, want, want_meta)


def main():
    with Procs() as p:
        c = Checks(p)
        check_blocks(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
