"""The life of a query: its limits, the queues it waits in, its end by timeout or by its client, what is said about it in
logs, statistics and plans, and answers that go out while they are made.

A bucket of 300 series that do not compress, and a store of python3-grpcio whose streams hang, stand behind thanosc query.
LIFE_QUERIES (60) queries exceed their limit, LIFE_AT_ONCE (12) at a time; LIFE_QUERIES=1000 LIFE_AT_ONCE=50 is the full size.

Usage: test_query_life.py [PART...]. Ends with "N passed, N failed, N skipped".
"""
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from cgroup import Cgroup  # noqa: E402
from procs import THANOSC, Checks, Procs, get, wait  # noqa: E402
from promdata import T0, make_noise, to_bucket  # noqa: E402
from storeapi import MSG, FakeStore  # noqa: E402

SERIES, SAMPLES = 300, 479
QUERIES, AT_ONCE = int(os.environ.get("LIFE_QUERIES", 60)), int(os.environ.get("LIFE_AT_ONCE", 12))
MIB = 1 << 20
START, END = T0 + 60, T0 + 7100
RANGE = {"start": START, "end": END, "step": 1}
ROWS = SERIES * (END - START + 1) * 8  # bytes of the answer's rows: about 17 MiB
LATE = 2  # seconds after which an end counts as late here; what it took is printed


class World:
    def __init__(self, c, p):
        self.c, self.p = c, p
        self.bucket = p.bucket(to_bucket(make_noise(p.path("noise"), SERIES, SAMPLES), p.dir("bucket"), {"cluster": "eu"}))
        self.store = p.store(self.bucket)
        self.ends = threading.Event()
        self.hanging = FakeStore(self.series, (("replica", "h"),))

    def series(self, q, context):
        """Whoever asks for `hang` waits until it leaves, for `wide` gets a series of 9 MiB."""
        if any(m.value == "wide" for m in q.matchers):
            yield MSG["Series"](labels=[{"name": "__name__", "value": "wide"}],
                                chunks=[{"min_time": START * 1000, "max_time": END * 1000, "raw": {"data": b"x" * (9 * MIB)}}])
        if any(m.value == "hang" for m in q.matchers):
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(60)

    def query(self, *flags, hang=False, name="query", **more):
        stores = [self.store.grpc] + ([self.hanging.grpc] if hang else [])
        return self.p.query(stores, *flags, name=name, **more)


def call(q, path, params, headers=None, post=False, timeout=120):
    """(status, headers, body)."""
    form = urllib.parse.urlencode(params, doseq=True)
    url = f"{q.url}/api/v1/{path}" + ("" if post else "?" + form)
    r = urllib.request.Request(url, data=form.encode() if post else None, headers=headers or {})
    try:
        with urllib.request.urlopen(r, timeout=timeout) as a:
            return a.status, a.headers, a.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


class Holder:
    """A client that asks and does not read: its query has ended, the rows of its answer are held."""

    def __init__(self, q, params=None, path="query_range"):
        form = urllib.parse.urlencode(params or {"query": "noise", **RANGE})
        self.s = socket.create_connection(("127.0.0.1", q.http))
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.sendall(f"GET /api/v1/{path}?{form} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def close(self):
        self.s.close()


def high_water(proc, reset=False):
    if reset:
        with open(f"/proc/{proc.pid}/clear_refs", "w") as f:
            f.write("5")
        return proc.rss()
    with open(f"/proc/{proc.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) << 10


def one_limit(w):
    """--query.max-memory: refused by name, many at a time, small queries beside them answered, nothing kept."""
    c = w.c
    q = w.query("--query.max-memory=12MiB", f"--query.max-concurrent={AT_ONCE}", name="limited")
    status, _, body = call(q, "query_range", {"query": "count(abs(noise) > 0) + sum(rate(noise[5m]))", **RANGE})
    c.ok(status == 200, "what folds its series needs less than the limit", body[:300])
    status, _, body = call(q, "query_range", {"query": 'sort(noise{n!="x"})', **RANGE})
    error = json.loads(body)
    c.ok(status == 422 and error["errorType"] == "execution", "a query over its limit is 422 execution", body[:300])
    for part in ("query memory limit of 12582912 bytes", "--query.max-memory", 'noise{n!="x"}', " series and ", " bytes were read"):
        c.ok(part in error["error"], f"the refusal says {part}", error["error"])
    top = {"query": "topk(2, max by (n) (max_over_time(noise[2h])))", **RANGE}
    status, _, body = call(q, "query_range", top)
    c.ok(status == 200, f"topk over {ROWS >> 20} MiB of groups is read some steps at a time", body[:300])
    rich = w.query(name="rich")
    c.ok(json.loads(call(rich, "query_range", top)[2])["data"] == json.loads(body).get("data"), "and answers as if it were not")
    rich.stop()
    wider = w.query("--query.max-memory=26MiB", name="wider")
    status, _, body = call(wider, "query_range", {"query": "max(sum by (n) (rate(noise[1m])))", **RANGE})
    c.ok(status == 200, f"sums of one series each hold {ROWS >> 20} MiB, no compensations", body[:300])
    wider.stop()
    few = w.query("--query.max-samples=10000", name="few")
    status, _, body = call(few, "query_range", {"query": "noise", **RANGE})
    error = json.loads(body)["error"]
    c.ok(status == 422 and error.startswith("query processing would load too many samples into memory in query execution "
                                            "(limit of 10000 set by --query.max-samples) in noise, after "), "--query.max-samples", error)
    c.ok(call(few, "query_range", {"query": 'noise{n="00001"}', **RANGE})[0] == 200, "one series is below it")
    few.stop()
    wide = w.query("--query.max-memory=6MiB", hang=True, name="wide")
    status, _, body = call(wide, "query", {"query": "wide or noise", "time": END})
    c.ok(status == 422 and b"--query.max-memory" in body, "a message larger than the limit ends the query: no partial answer", body[:300])
    wide.stop()
    flood(c, q, room=AT_ONCE * 12 * MIB, what="12 MiB each")
    refused = q.metric("thanosc_query_refused_total")
    c.ok(refused == QUERIES + 1, "refusals are counted", refused)
    q.stop()


def flood(c, q, room, what):
    """QUERIES that exceed their limit, AT_ONCE at a time, small ones beside them; room: what all of them may hold."""
    small, stop = [], threading.Event()

    def beside():
        while not stop.is_set():
            t = time.monotonic()
            s, _, _ = call(q, "query", {"query": 'sum(noise{n=~"0000."})', "time": END})
            small.append((s, time.monotonic() - t))
            time.sleep(0.02)

    base = high_water(q, reset=True)
    t = threading.Thread(target=beside)
    t.start()
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        got = list(pool.map(lambda n: call(q, "query_range", {"query": f"noise + {n}", **RANGE})[::2], range(QUERIES)))
    stop.set()
    t.join()
    peak = high_water(q) - base
    bad = [g for g in got if g[0] != 422 or b"-memory) in noise" not in g[1]]
    c.ok(not bad, f"{what}: each of {QUERIES} queries over the limit is refused by name", bad[:1])
    slow = [s for s in small if s[0] != 200 or s[1] > 5]
    c.ok(small and not slow, f"{what}: small queries beside them are answered", slow[:3])
    # what is not charged: stacks, tables by label sets, what malloc keeps for a tenth of a second
    c.ok(peak < room + room // 10 + 24 * MIB, f"{what}: memory stays within the limits of those under way", f"{peak} of {room}")
    c.ok(q.alive() and q.metric("thanosc_query_memory_bytes") == 0, f"{what}: nothing is held afterwards")
    print(f"note: {QUERIES} queries over their limit, {AT_ONCE} at a time, {what}: peak {peak / MIB:.1f} MiB over idle, allowed {room / MIB:.0f}; "
          f"{len(small)} small ones beside, the slowest {max(s[1] for s in small):.2f} s")


def total_limit(w):
    """The same with less for all than for those that are under way."""
    total = AT_ONCE * 5
    q = w.query("--query.max-memory=12MiB", f"--query.total-memory={total}MiB", f"--query.max-concurrent={AT_ONCE}", name="flooded")
    flood(w.c, q, room=total * MIB, what=f"{total} MiB for all")
    q.stop()


def in_a_cgroup(w):
    """The same where the kernel kills whatever passes the budget by more than a tenth."""
    total = AT_ONCE * 10
    # the program itself, stacks and what malloc keeps do not grow with the budget: 48 MiB are a tenth of it with 50 at a time
    with Cgroup(total * MIB + max(total * MIB // 10, 48 * MIB)) as g:
        if g.why:
            w.c.skip(g.why)
            return
        q = w.query("--query.max-memory=12MiB", f"--query.total-memory={total}MiB", f"--query.max-concurrent={AT_ONCE}", name="caged",
                    binary=g.starter(w.p, THANOSC))
        flood(w.c, q, room=total * MIB, what=f"{total} MiB for all and a cgroup of {g.limit // MIB} MiB")
        w.c.ok(g.kills() == 0 and q.alive(), "the kernel killed nothing", g.kills())
        print(f"note: the group of {g.limit / MIB:.0f} MiB held {(g.peak() or 0) / MIB:.1f} MiB at most")
        q.stop()


def all_limits(w):
    """--query.total-memory: large ones wait for each other, small ones do not; who cannot be helped fails by name."""
    c = w.c
    q = w.query("--query.total-memory=48MiB", name="total")
    with futures.ThreadPoolExecutor(5) as pool:
        got = list(pool.map(lambda n: call(q, "query_range", {"query": f"noise * {n}", **RANGE})[0], range(5)))
    c.ok(got == [200] * 5, "queries that do not fit together wait for each other", got)
    c.ok(q.metric("thanosc_query_memory_wait_seconds_count") > 0, "some did wait")
    status, _, body = call(q, "query_range", {"query": " or ".join(["noise"] + [f'label_replace(noise, "n", "{x}$1", "n", "(.*)")' for x in "abc"]), **RANGE})
    c.ok(status == 422 and b"all queries' memory limit of 50331648 bytes exceeded (set by --query.total-memory)" in body,
         "what never fits is refused by name", body[:300])
    held = [Holder(q) for _ in range(2)]
    wait(lambda: q.metric("thanosc_query_memory_bytes") > ROWS, 20)
    t = time.monotonic()
    status, _, body = call(q, "query_range", {"query": "noise * 3", **RANGE, "timeout": 1})
    took = time.monotonic() - t
    c.ok(status == 422 and b"--query.total-memory" in body and b"waited" in body, "who waits until the timeout fails by name", body[:300])
    c.ok(took < 1 + LATE, "at the timeout", took)
    status, _, body = call(q, "query", {"query": 'sum(noise{n="00001"})', "time": END, "timeout": 5})
    c.ok(status == 200 and json.loads(body)["data"]["result"], "a small one is answered while large ones hold everything", body[:300])
    with futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(call, q, "query_range", {"query": "noise * 4", **RANGE, "timeout": 60})
        time.sleep(0.5)
        c.ok(not late.done(), "another one waits")
        for h in held:
            h.close()
        c.ok(late.result()[0] == 200, "and is answered when memory is free", late.result()[2][:300])
    c.ok(wait(lambda: q.metric("thanosc_query_memory_bytes") == 0), "nothing is held afterwards")
    q.stop()


def queue(w):
    """--query.max-concurrent, --query.timeout, cancelling."""
    c = w.c
    q = w.query("--query.max-concurrent=1", "--query.timeout=20s", hang=True, name="queue")
    gate = "thanos_query_concurrent_gate_queries_"
    c.ok(q.metric(gate + "max") == 1, "the metric of the limit")
    h = Holder(q, {"query": "hang"}, "query")
    c.ok(wait(lambda: q.metric(gate + "in_flight") == 1), "a query is in flight")
    t = time.monotonic()
    status, _, body = call(q, "query", {"query": "1", "timeout": "300ms"})
    took = time.monotonic() - t
    c.ok(status == 503 and json.loads(body)["error"] == "query timed out in query queue", "a timeout in the queue", body)
    c.ok(took < 0.3 + LATE, "in time", took)
    c.ok(q.metric("prometheus_engine_queries") >= 1, "queries are counted as the engine's", q.metric("prometheus_engine_queries"))
    h.close()
    c.ok(wait(lambda: q.metric(gate + "in_flight") == 0), "who leaves gives its place back")
    c.ok(call(q, "query", {"query": "1"})[0] == 200, "the next one gets it")
    c.ok(q.metric(gate + "duration_seconds_count") == q.metric(gate + "total") > 2, "waits are measured")
    status, _, body = call(q, "query", {"query": "hang", "timeout": "200ms"})
    c.ok(status == 503 and json.loads(body) == {"status": "error", "errorType": "timeout",
                                                "error": "query timed out in expression evaluation"}, "a timeout", body)
    # work for many seconds in windows that hold every sample of a series
    heavy = {"query": "stddev_over_time(noise[2h]) + mad_over_time(noise[2h])", **RANGE}
    if call(q, "query_range", {**heavy, "timeout": "100ms"})[0] != 503:
        heavy["query"] = "stddev_over_time(sum_over_time(noise[30m:1s])[1h:1s])"
    for ms in (100, 400):
        t = time.monotonic()
        status, _, body = call(q, "query_range", {**heavy, "timeout": f"{ms}ms"})
        took = time.monotonic() - t
        c.ok(status == 503 and took < ms / 1000 + LATE, f"a timeout of {ms} ms ends work in large windows", f"{status} {took} {body[:200]}")
        print(f"note: a timeout of {ms} ms was answered {took * 1000 - ms:.0f} ms late")
    h = Holder(q, heavy)
    c.ok(wait(lambda: q.metric(gate + "in_flight") == 1), "work is under way")
    time.sleep(0.2)
    h.close()
    t = time.monotonic()
    c.ok(wait(lambda: q.metric(gate + "in_flight") == 0, LATE, 0.005), "it ends when its client leaves")
    print(f"note: a query in large windows ended {(time.monotonic() - t) * 1000:.0f} ms after its client left")
    q.stop()


def told(w):
    """What metrics tell of whom: tenants, what stores sent, selects; of a store its gate and its limits."""
    c, header = w.c, "x-who"
    q = w.query(f"--query.tenant-header={header}", "--query.default-tenant-id=nobody", "--query.telemetry.request-samples-quantiles=10",
                "--query.telemetry.request-samples-quantiles=1e6", "--query.telemetry.request-series-seconds-quantiles=7,300.5",
                "--query.telemetry.request-duration-seconds-quantiles=60", "--query.promql-engine=thanos", name="told")

    def shown(line, of=q):
        return line in get(of.url + "/metrics")[1].decode().splitlines()

    narrow = {"query": 'noise{n="00001"} + ignoring (n) noise{n="00002"}', "time": END}
    for who, params in (({}, {"query": "count(noise)", "time": END}), ({header: "acme"}, narrow), ({header: "acme"}, {"query": "nothing", "time": END})):
        status, _, body = call(q, "query", params, headers=who)
        c.ok(status == 200, f"{params} as {who}", body[:300])
    for line in ('http_requests_total{code="200",handler="query",method="get",tenant="nobody"} 1', 'http_requests_total{code="200",handler="query",method="get",tenant="acme"} 2',
                 'http_inflight_requests{handler="query",method="get",tenant="acme"} 0',
                 'thanos_store_api_query_duration_seconds_bucket{samples_le="1000000",series_le="300.5",tenant="nobody",le="60"} 1',
                 'thanos_store_api_query_duration_seconds_count{samples_le="1000000",series_le="300.5",tenant="nobody"} 1',
                 "thanos_query_concurrent_selects_gate_selects_total 4", "thanos_query_concurrent_selects_gate_selects_in_flight 0", "thanos_query_concurrent_selects_gate_selects_max 4",
                 'thanos_engine_queries_total{engine="prometheus",mode="local"} 3', "thanos_proxy_store_empty_stream_responses_total 1"):
        c.ok(shown(line), line, [l for l in get(q.url + "/metrics")[1].decode().splitlines() if l.startswith(line[:20])])
    c.ok(q.metric("thanos_store_api_query_duration_seconds_count") == 2, "a query without series is not told", q.metric("thanos_store_api_query_duration_seconds_count"))
    stopped = [q]
    for flag, dropped in (("--store.limits.request-series=5", 'thanos_store_selects_dropped_total{reason="series"}'),
                          ("--store.grpc.downloaded-bytes-limit=9000", 'thanos_bucket_store_queries_dropped_total{reason="bytes",tenant="default-tenant"}')):
        few = w.p.store(w.bucket, flag, name="store-few")
        asker = w.p.query([few.grpc], name="told-few")
        call(asker, "query_range", {"query": "count(noise)", **RANGE})
        gate = "thanos_bucket_store_series_gate_queries_"
        c.ok(few.metric(gate + "total") == few.metric(gate + "duration_seconds_count") == 1 and few.metric(gate + "in_flight") == 0 < few.metric(gate + "max"),
             f"{flag}: the store tells of its gate", few.metric(gate + "total"))
        c.ok(shown(dropped + " 1", few), f"{flag}: and of what passed the limit", [l for l in get(few.url + "/metrics")[1].decode().splitlines() if "dropped_total" in l])
        stopped += [asker, few]
    for p in stopped:
        p.stop()
    for flag, said in (("request-samples-quantiles=1,x", '"x" is not a number'), ("request-duration-seconds-quantiles=2,2", "2 does not ascend")):
        out = subprocess.run([THANOSC, "query", f"--query.telemetry.{flag}"], capture_output=True, text=True, timeout=20)
        c.ok(out.returncode != 0 and said in out.stderr and flag.partition("=")[0] in out.stderr, f"--query.telemetry.{flag} is refused", out.stderr)


def unfinished(text):
    """What Prometheus does with queries.active."""
    text = text.replace("\0", "")
    return json.loads(text[:-1] + "]") if len(text) > 1 else []


def logs(w):
    c, p = w.c, w.p
    folder, log = p.path("active"), p.path("queries.log")
    q = w.query(f"--query.active-query-path={folder}", f"--query.log-file={log}", "--query.slow-query-threshold=1ms", "--query.max-concurrent=3",
                hang=True, name="logs")
    active = os.path.join(folder, "queries.active")
    c.ok(os.path.getsize(active) == 3001, "the active-query log has a place for each query", os.path.getsize(active))
    text = 'hang{x="<&é\\n' + "é" * 900 + '"}'
    holders = [Holder(q, {"query": "hang"}, "query"), Holder(q, {"query": text}, "query")]

    def entries():
        with open(active, encoding="utf-8") as f:
            return unfinished(f.read())

    c.ok(wait(lambda: len(entries()) == 2), "queries under way stand in it")
    have = sorted(e["query"] for e in entries())
    c.ok(have[0] == "hang" and text.startswith(have[1]) and len(have[1].encode()) > 700, "cut where they are long", have)
    c.ok(all(abs(e["timestamp_sec"] - time.time()) < 60 for e in entries()), "with their time")
    status, _, body = call(q, "query_range", {"query": "sum(rate(noise[5m]))", **RANGE})
    c.ok(status == 200 and len(entries()) == 2, "one that has ended is taken out", body[:200])
    call(q, "query", {"query": "hang", "timeout": "50ms"})
    with open(log) as f:
        lines = [json.loads(line) for line in f]
    c.ok([entry["params"]["query"] for entry in lines] == ["sum(rate(noise[5m]))", "hang"], "the query log has a line for each that ended", lines)
    first = lines[0]
    c.ok(first["params"]["step"] == 1 and first["stats"]["samples"]["totalQueryableSamples"] > 0 and "error" not in first
         and first["httpRequest"] == {"clientIP": "127.0.0.1", "method": "GET", "path": "/api/v1/query_range"}, "with its fields", first)
    c.ok("timed out" in lines[1]["error"], "with the error", lines[1])
    said = [line for line in q.text().splitlines() if '"slow query"' in line]
    c.ok(len(said) == 2 and "query=sum(rate(noise[5m])) " in said[0] and "peak_bytes=" in said[0], "slow queries are logged", said)
    c.ok(q.metric("prometheus_engine_query_log_enabled") == 1 and q.metric("prometheus_engine_query_log_failures_total") == 0, "metrics of the query log")
    q.kill()
    for h in holders:
        h.close()
    q.start()
    q.ready()
    told = [line for line in q.text().splitlines() if "did not finish in the last run" in line]
    c.ok(len(told) == 2 and any("query=hang " in t for t in told), "after a crash the next start tells what did not finish", told)
    c.ok(entries() == [], "and begins with an empty list")
    q.stop()
    q.start()
    q.ready()
    c.ok(q.text().count("did not finish in the last run") == 2, "after an orderly end it has nothing to tell")
    suspects(c, q, folder, text, entries)
    q.stop()
    dead = p.thanosc("query", "--query.active-query-path=/proc/nowhere", ready=False, name="refused")
    c.ok(wait(lambda: not dead.alive()) and "--query.active-query-path" in dead.text(), "a folder that cannot be made is refused by name", dead.text())


def suspects(c, q, folder, text, entries):
    """`hang` and a long text were under way at one kill -9 already: at the second one they are refused for an hour."""
    file = os.path.join(folder, "queries.suspects")

    def answer(query):
        status, _, body = call(q, "query", {"query": query, "timeout": "50ms"})
        return status, json.loads(body).get("error", "")

    c.ok(answer("hang")[0] == 503, "one abnormal end refuses nothing", answer("hang"))
    holders = [Holder(q, {"query": x}, "query") for x in ("hang", "hang", text, "hang * 2")]
    wait(lambda: len(entries()) == 3)  # there are three places
    q.kill()
    for h in holders:
        h.close()
    q.start()
    q.ready()
    told = [line for line in q.text().splitlines() if "is refused for an hour" in line]
    twice = [e["query"] for e in json.load(open(file)) if e["ends"] == 2]
    want = [x for x in ("hang", text) if x in twice or any(len(t) > 300 and x.startswith(t) for t in twice)]
    c.ok("hang" in want and len(told) == len(want), "after a second one the next start tells what is refused", told)
    for x in want:
        status, error = answer(x)
        c.ok(status == 422 and re.match(r"query refused until \d{4}-\d\d-\d\dT[\d:]+Z: it was under way at 2 abnormal ends of this process", error),
             f"which has its reason: {x[:20]}", (status, error))
    other = [answer(x)[0] for x in ("hang + 1", text[:-2] + 'x"}', "vector(1)")]
    c.ok(other == [503, 503, 200], "other queries are answered as before", other)
    c.ok(q.metric("thanosc_query_refused_total") == len(want), "refusals are counted", q.metric("thanosc_query_refused_total"))
    q.stop()
    q.start()
    q.ready()
    c.ok(answer("hang")[0] == 422, "an orderly end changes nothing about it")
    q.stop()
    kept = json.load(open(file))
    for e in kept:
        e["last_sec"] -= 3601
    with open(file, "w") as f:
        json.dump(kept, f)
    q.start()
    q.ready()
    c.ok(answer("hang")[0] == 503, "an hour later it is evaluated again", answer("hang"))
    q.stop()
    with open(file, "w") as f:
        f.write('[{"query":')
    q.start()
    q.ready()
    c.ok("unfinished queries of earlier runs are not known" in q.text() and answer("vector(1)")[0] == 200, "a damaged file is told, and no obstacle")


def names(plan):
    return [plan["name"], *(n for child in plan.get("children", ()) for n in names(child))]


def answers(w):
    c = w.c
    q = w.query(name="answers")
    expr = 'sum by (n) (rate(noise{n=~"0000[0-3]"}[5m])) / on (n) group_left () noise * 2'
    for path, more in (("query", {"time": END}), ("query_range", {"start": START, "end": END, "step": 60})):
        params = {"query": expr, **more}
        plan = json.loads(call(q, path + "_explain", params)[2])
        shown = names(plan["data"])
        c.ok(plan["status"] == "success" and len(shown) == 6 + shown.count("[unique]") and any("sum by (n)" in n for n in shown)
             and any('rate(noise{n=~"0000[0-3]"}[5m])' in n for n in shown), f"{path}_explain shows the plan", plan)
        c.ok(call(q, path + "_explain", params, post=True)[2] == call(q, path + "_explain", params)[2], f"{path}_explain by POST")
        plain = json.loads(call(q, path, params)[2])
        c.ok(set(plain["data"]) == {"resultType", "result"}, f"{path} says nothing more unasked", list(plain["data"]))
        full = json.loads(call(q, path, {**params, "stats": "all", "analyze": "true"}, post=True)[2])
        c.ok(full["data"]["result"] == plain["data"]["result"], f"{path}: the same result with statistics")
        c.ok(names(full["data"]["analysis"]) == shown and "executionTime" in full["data"]["analysis"], f"{path}: analyze", full["data"].get("analysis"))
        s = full["data"]["stats"]
        c.ok(set(s["timings"]) == {"evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime"}
             and s["timings"]["execTotalTime"] >= s["timings"]["innerEvalTime"] > 0, f"{path}: timings", s)
        steps = s["samples"]["totalQueryableSamplesPerStep"]
        c.ok(len(steps) == (1 if path == "query" else (END - START) // 60 + 1) and sum(n for _, n in steps) == s["samples"]["totalQueryableSamples"]
             and steps[0][0] == more.get("start", END) and s["samples"]["peakSamples"] > 0, f"{path}: samples", s["samples"])
        ours = s["thanosc"]
        c.ok(ours["series"] == 4 + SERIES and ours["chunks"] >= ours["series"] and ours["bytes"] > 1000 and ours["peakMemoryBytes"] > 1000
             and [o["name"] for o in ours["operators"]] == shown, f"{path}: what was read, by which operators", ours)
        got = ours["fanout"]
        c.ok(len(got) == 1 and got[0]["store"] == w.store.grpc and got[0]["series"] == ours["series"] and got[0]["chunks"] == ours["chunks"]
             and got[0]["bytes"] >= ours["bytes"], f"{path}: what came from which store", got)
    old = json.loads(call(q, "query", {"query": "1", "stats": "yes"})[2])
    c.ok("stats" in old["data"] and "is deprecated and will be rejected" in old["warnings"][0], "another value of stats works, with a warning", old)
    for query, path, more in (("noise", "query", {"time": END}), ("noise[1m]", "query", {"time": END}), ("noise", "query_range", RANGE)):
        got = json.loads(call(q, path, {"query": query, **more, "limit": 3})[2])
        c.ok(len(got["data"]["result"]) == 3 and got["warnings"] == ["results truncated due to limit"], f"limit: {query} of {path}", got.get("warnings"))
        got = json.loads(call(q, path, {"query": query + "", **more, "limit": SERIES})[2])
        c.ok(len(got["data"]["result"]) == SERIES and "warnings" not in got, f"a limit that is not passed: {query} of {path}", got.get("warnings"))
    got = json.loads(call(q, "query", {"query": "1", "limit": 0})[2])
    c.ok(got["data"]["resultType"] == "scalar" and "warnings" not in got, "limit of a scalar")
    for bad in ("limit=-1", "limit=x", "timeout=x", "lookback_delta=x", "analyze=2", "engine=x"):
        status, _, body = call(q, "query", dict([bad.split("=")], query="1"))
        c.ok(status == 400 and json.loads(body)["errorType"] == "bad_data", f"{bad} is refused", body)
    q.stop()


def streaming(w):
    """A large answer takes its rows, not its text; what comes is the same in one piece or many, plain or gzip."""
    c = w.c
    q = w.query(name="streaming")
    params = {"query": "noise", **RANGE}
    base = high_water(q, reset=True)
    status, headers, body = call(q, "query_range", params)
    peak = high_water(q) - base
    c.ok(status == 200 and headers["Transfer-Encoding"] == "chunked" and len(body) > 4 * ROWS // 2, "a large answer comes in pieces", headers)
    c.ok(peak < ROWS + 24 * MIB and peak < len(body), "which take no memory", f"{peak} for {len(body)}")
    print(f"note: an answer of {len(body) / MIB:.0f} MiB (rows {ROWS / MIB:.0f} MiB) took {peak / MIB:.1f} MiB")
    c.ok(wait(lambda: q.rss() < base + 6 * MIB, 2), "and the rows go back to the system, though nothing is asked any more",
         f"{q.rss() - base} bytes")
    base = high_water(q, reset=True)
    late = call(q, "query_range", {"query": "noise offset 5m", **RANGE})[2]
    peak = high_water(q) - base
    c.ok(len(late) > len(body) // 2 and peak < ROWS + 10 * MIB, "rows that begin later share their times, too", f"{peak} for {len(late)}")
    zipped = call(q, "query_range", params, {"Accept-Encoding": "gzip"})
    c.ok(zipped[1]["Content-Encoding"] == "gzip" and gzip.decompress(zipped[2]) == body, "the same by gzip")
    c.ok(call(q, "query_range", params, post=True)[2] == body, "the same by POST")
    data = json.loads(body)["data"]["result"]
    c.ok(len(data) == SERIES and all(len(s["values"]) >= 6900 for s in data) and data == sorted(data, key=lambda s: s["metric"]["n"]),
         "all series, sorted")
    h = Holder(q)
    c.ok(wait(lambda: q.metric("thanosc_query_memory_bytes") > ROWS), "who does not read holds its rows")
    h.close()
    c.ok(wait(lambda: q.metric("thanosc_query_memory_bytes") == 0), "until it leaves")
    c.ok(q.metric("prometheus_engine_query_samples_total") > SERIES * SAMPLES, "samples are counted")
    c.ok(0 < q.metric("prometheus_engine_query_samples_read_total") <= q.metric("prometheus_engine_query_samples_total"), "and those that were read")
    quantiles = {"0.5", "0.9", "0.99"}
    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        text = get(q.url + "/metrics", headers={"Accept": accept})[1].decode()
        lines = [l for l in text.splitlines() if l.startswith('prometheus_engine_query_duration_seconds{') and 'slice="inner_eval"' in l]
        c.ok("# TYPE prometheus_engine_query_duration_seconds summary\n" in text and {l.split('quantile="')[1].split('"')[0] for l in lines} == quantiles
             and all(0 < float(l.rsplit(" ", 1)[1]) < 60 for l in lines), f"quantiles of the engine's times: {accept}", lines)
    c.ok(q.metric("thanos_query_range_requested_timespan_duration_seconds_count") == 5, "spans of range queries are counted",
         q.metric("thanos_query_range_requested_timespan_duration_seconds_count"))
    q.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        w = World(c, p)
        for part in (one_limit, total_limit, in_a_cgroup, all_limits, queue, told, logs, answers, streaming):
            if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
                part(w)
        w.hanging.stop()
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
