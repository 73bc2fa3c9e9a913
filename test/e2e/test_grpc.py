"""A gRPC that nobody here wrote (python3-grpcio, python3-protobuf) against ours: as client of thanosc store, query and
sidecar; as stores, good and bad, under thanosc query; as a reader that does not read.

Usage: test_grpc.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import sys
import threading
import time
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc  # noqa: E402

from compare import close, key, points  # noqa: E402
from procs import THANOSC, Checks, Procs, wait  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, make_blocks, make_noise, openmetrics, samples, to_bucket  # noqa: E402
from storeapi import MSG, Client, FakeStore, labels_of, make_series, samples_of  # noqa: E402

SPAN = {"min_time": T0 * 1000, "max_time": (T0 + LENGTH) * 1000}


def status(call):
    """The gRPC status of a call that should fail; None where it does not."""
    try:
        call()
        return None
    except grpc.RpcError as e:
        return e.code()


def joined(series):
    """[(labels, samples sorted)]: frames that continue a series put together; chunks of a frame may overlap."""
    out = []
    for s in series:
        if out and out[-1][0] == labels_of(s):
            out[-1][1].extend(samples_of(s))
        else:
            out.append((labels_of(s), samples_of(s)))
    return [(k, sorted(v, key=lambda p: p[0])) for k, v in out]


def same_samples(a, b):
    return len(a) == len(b) and all(t == u and (v == w or v != v and w != w) for (t, v), (u, w) in zip(a, b))


def matching(want, **labels):
    return {k: v for k, v in want.items() if labels.items() <= dict(k).items()}


def check_series(c, what, client, matchers, want, **request):
    got, warnings = client.series(matchers=matchers, **{**SPAN, **request})
    got = joined(got)
    order = [k for k, _ in got]
    c.ok(not warnings, f"{what}: no warnings", warnings)
    c.ok(order == sorted(order) and len(set(order)) == len(order), f"{what}: series are sorted, each once", order[:4])
    c.ok(set(order) == set(want), f"{what}: the series", f"{sorted(set(order) ^ set(want))[:3]}")
    bad = [k for k, v in got if k in want and not same_samples(v, want[k])]
    c.ok(not bad, f"{what}: samples", bad[:2])


def check_service(c, name, addr, want, component):
    """What any of our StoreAPIs answers to a foreign client; want: samples by labels."""
    client = Client(addr)
    c.ok(client.health() == 1, f"{name}: health SERVING")
    info = client.info()
    external = {tuple((k, v) for k, v in labels if k in ("cluster", "replica")) for labels in want}
    sets = {tuple((l.name, l.value) for l in s.labels) for s in info.label_sets}
    c.ok(info.component == component and info.HasField("store") and sets == external, f"{name}: Info", info)
    c.ok(info.store.min_time <= (T0 + 60) * 1000 and info.store.max_time >= (T0 + LENGTH - 60) * 1000, f"{name}: times in Info", info.store)
    tsdb = {tuple((l.name, l.value) for l in t.labels.labels) for t in info.store.tsdb_infos}
    c.ok(tsdb == external, f"{name}: TSDB infos", info.store.tsdb_infos)
    check_series(c, f"{name}: everything", client, ["__name__=~.+"], want)
    check_series(c, f"{name}: in batches", client, ["__name__=~.+"], want, response_batch_size=64)
    check_series(c, f"{name}: by external label", client, ["cluster=" + REPLICAS[0].external["cluster"], "job=db"],
                 matching(want, cluster="eu", job="db"))
    check_series(c, f"{name}: by name", client, ["__name__=up"], matching(want, __name__="up"))
    check_series(c, f"{name}: nothing", client, ["__name__=nothing"], {})
    only_eu = {k: v for k, v in matching(want, __name__="up").items() if dict(k)["replica"] != "b"}
    check_series(c, f"{name}: not replica b", client, ["__name__=up", "replica!=b"], only_eu)
    got, _ = client.series(matchers=["__name__=up"], skip_chunks=True, **SPAN)
    c.ok([labels_of(s) for s in got] == sorted(matching(want, __name__="up")) and not any(s.chunks for s in got), f"{name}: skip_chunks")
    lo, hi = (T0 + 5000) * 1000, (T0 + 5600) * 1000
    got = joined(client.series(matchers=["__name__=http_requests_total"], min_time=lo, max_time=hi)[0])
    bad = [k for k, v in got if not set(p for p in want[k] if lo <= p[0] <= hi) <= set(v) or not set(v) <= set(want[k])]
    c.ok(got and not bad, f"{name}: ten minutes", bad[:2])
    names = sorted({k for labels in want for k, _ in labels})
    c.ok(client.names() == names, f"{name}: LabelNames", client.names())
    c.ok(client.names(matchers=["__name__=up"]) == ["__name__", "cluster", "instance", "job", "replica"],
         f"{name}: LabelNames of up", client.names(matchers=["__name__=up"]))
    for label in ("__name__", "cluster", "job", "replica", "nope"):
        vals = sorted({v for labels in want for k, v in labels if k == label})
        c.ok(client.values(label) == vals, f"{name}: LabelValues of {label}", client.values(label))
    c.ok(client.values("instance", matchers=["job=db"]) == ["i0", "i3"], f"{name}: LabelValues with a matcher")
    code = status(lambda: client.series(matchers=["job=~("], **SPAN))
    c.ok(code == grpc.StatusCode.INVALID_ARGUMENT, f"{name}: a bad regular expression is INVALID_ARGUMENT", code)
    code = status(lambda: client.unary("/thanos.Store/Nope", MSG["InfoRequest"](), MSG["InfoRequest"]))
    c.ok(code == grpc.StatusCode.UNIMPLEMENTED, f"{name}: an unknown method is UNIMPLEMENTED", code)
    stream = client.stream(matchers=["__name__=~.+"], **SPAN)
    next(iter(stream))
    stream.cancel()
    check_series(c, f"{name}: after a call that was cancelled", client, ["__name__=up"], matching(want, __name__="up"))
    client.close()


def foreign_client(c, p):
    bucket_dir, wants = p.dir("bucket"), {}
    for n, r in enumerate(REPLICAS):
        blocks = make_blocks(openmetrics([r], False), p.dir("data", r.name))
        to_bucket(blocks, bucket_dir, r.external, 10 * n)
        wants[r.name] = samples(r)
    everything = {k: v for w in wants.values() for k, v in w.items()}
    bucket = p.bucket(bucket_dir)
    store = p.store(bucket)
    check_service(c, "store", store.grpc, everything, "store")
    query = p.query([store.grpc], replica=())
    check_service(c, "query", query.grpc, everything, "query")
    r = REPLICAS[0]
    prom = p.prometheus(r.name, p.dir("data", r.name), r.external)
    sidecar = p.sidecar(prom)
    check_service(c, "sidecar", sidecar.grpc, wants[r.name], "sidecar")
    code = status(lambda: Client(sidecar.grpc).series(matchers=[], **SPAN))
    c.ok(code == grpc.StatusCode.INVALID_ARGUMENT, "sidecar: no matchers is INVALID_ARGUMENT", code)
    c.ok(Client(store.grpc).series(matchers=[], **SPAN) == ([], []), "store: no matchers is an empty answer")
    return store


# ---- foreign stores under a querier of ours ----

AT = T0 + 3600
FAKE = (("cluster", "fake"), ("replica", "x"))


def fake_series(n, start=0, count=40, name="fake"):
    labels = sorted([("__name__", name), ("n", f"{n:03}"), *FAKE])
    return make_series(labels, [((AT - 600 + 15 * i) * 1000 + 3, float(n + i)) for i in range(start, count)], 12)


def good(request, context):
    """Four series: plain, in two frames, and two in a batch; hints, a warning, fields nobody knows."""
    yield fake_series(0)
    yield fake_series(1, 0, 24)
    yield fake_series(1, 24, 40)
    yield MSG["SeriesResponse"](hints=MSG["Any"](type_url="nobody/knows", value=b"\x01\x02"))
    unknown = b"\xfa\x3f\x03abc\xf8\x40\x05"  # fields 1023 and 1033
    yield MSG["SeriesResponse"](batch=MSG["SeriesBatch"](series=[fake_series(2), fake_series(3)])).SerializeToString() + unknown
    yield MSG["SeriesResponse"](warning="the cellar is wet")


def unsorted_series(request, context):
    for n in (3, 0, 2, 1):
        yield fake_series(n)


def twice(request, context):
    for n in (0, 1, 2, 3, 1):
        yield fake_series(n)


def shuffled_labels(request, context):
    for n in range(4):
        s = fake_series(n)
        labels = list(reversed(s.labels))
        del s.labels[:]
        s.labels.extend(labels)
        yield s


def chunks_in_disorder(request, context):
    for n in range(4):
        s = fake_series(n)
        chunks = list(s.chunks)
        del s.chunks[:]
        s.chunks.extend(chunks[::-1] + chunks[:1])
        yield s


def more_than_asked(request, context):
    for n in range(4):
        labels = [(l.name, l.value) for l in fake_series(n).labels]
        yield make_series(labels, [((AT - 7200 + 15 * i) * 1000 + 3, float(n + i - 440)) for i in range(900)])


def error_mid_stream(request, context):
    yield fake_series(0)
    context.abort(grpc.StatusCode.UNAVAILABLE, "the disk burns")


def error_at_once(request, context):
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many crabs")
    yield


def no_message(request, context):
    yield fake_series(0)
    yield b"\xff" * 40


def cut_message(request, context):
    yield fake_series(0)
    yield MSG["SeriesResponse"](series=fake_series(1)).SerializeToString()[:-5]


def cut_chunk(request, context):
    s = fake_series(0)
    s.chunks[1].raw.data = s.chunks[1].raw.data[:9]
    yield s


def unknown_encoding(request, context):
    s = fake_series(0)
    s.chunks[1].raw.type = 77
    yield s


def hangs(request, context):
    yield fake_series(0)
    released.wait(60)


def early_deadline(request, context):
    """Reports the deadline that it was given a moment before it is over."""
    yield fake_series(0)
    while context.time_remaining() > 0.05:
        time.sleep(0.005)
    context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no time left")


released = threading.Event()
RIGHT = {"a good store": good, "series out of order": unsorted_series, "a series twice": twice,
         "labels out of order": shuffled_labels, "chunks out of order, one twice": chunks_in_disorder,
         "more time than asked for": more_than_asked}
WRONG = {"an error mid-stream": (error_mid_stream, "the disk burns"), "an error at once": (error_at_once, "too many crabs"),
         "a message of noise": (no_message, ""), "a cut message": (cut_message, ""),
         "a chunk of an unknown encoding": (unknown_encoding, "")}


def values_at(body):
    return {k: float(v) for k, _, v in points(body["data"])} if body["status"] == "success" else {}


def ask(query, **params):
    begin = time.monotonic()
    code, body = query.api("query", query='{__name__=~"fake|up"}', time=AT, **params)
    return code, body, time.monotonic() - begin


def foreign_stores(c, p, store):
    ups = {key({k: v for k, v in labels if k != "replica"}) for r in REPLICAS for labels in samples(r) if dict(labels)["__name__"] == "up"}
    fakes = {key({"__name__": "fake", "n": f"{n:03}", "cluster": "fake"}): float(n + 39) for n in range(4)}
    for what, behave in RIGHT.items():
        fake = FakeStore(behave, FAKE)
        query = p.query([store.grpc, fake.grpc])
        code, body, _ = ask(query)
        got = values_at(body)
        warnings = [w for w in body.get("warnings", []) if "cellar" not in w]
        c.ok(code == 200 and fake.calls and not warnings, f"{what}: answered", f"{code} {json.dumps(body)[:500]}")
        c.ok({k: v for k, v in got.items() if "fake" in k} == fakes, f"{what}: its series", sorted(got.items())[:5])
        c.ok({k for k in got if "fake" not in k} == ups, f"{what}: those of the others")
        c.ok(any("cellar" in w for w in body.get("warnings", [])) == (behave is good), f"{what}: the warning it sent", body.get("warnings"))
        code, body = query.api("query_range", query="sum(fake)", start=AT - 300, end=AT, step=30)
        sums = [float(v) for _, _, v in points(body["data"])]
        c.ok(sums == [float(6 + 4 * (39 - (AT - t) // 15)) for t in range(AT - 300, AT + 1, 30)],
             f"{what}: sums over it", sums)
        query.kill()
        fake.stop()
    for what, (behave, why) in WRONG.items():
        fake = FakeStore(behave, FAKE)
        query = p.query([store.grpc, fake.grpc])
        code, body, _ = ask(query)
        warned = [w for w in body.get("warnings", []) if fake.grpc in w and why in w]
        c.ok(code == 200 and warned, f"{what}: a warning names the store and why", f"{code} {json.dumps(body)[:700]}")
        c.ok(ups <= set(values_at(body)), f"{what}: the data of the others", body.get("warnings"))
        code, body, _ = ask(query, partial_response="false")
        c.ok(code >= 400 and fake.grpc in body.get("error", "") and why in body["error"], f"{what}: an error without partial response",
             f"{code} {json.dumps(body)[:500]}")
        query.kill()
        fake.stop()
    check_unsorted(c, p)
    check_cut_chunk(c, p, store)
    check_hanging(c, p, store, ups)


def check_unsorted(c, p):
    """A store that claims to leave replica labels out itself is believed until its order breaks: then a warning names it,
    and from the next query on its series are sorted before they are merged."""
    def claims(behave):
        fake = FakeStore(lambda q, context: (without_labels(s, q.without_replica_labels) for s in behave(q, context)), FAKE)
        fake.info.store.supports_without_replica_labels = True
        return fake

    for what, behave in (("series out of order", unsorted_series), ("a series twice", twice)):
        stores = [claims(behave), claims(lambda q, context: (fake_series(n) for n in range(4)))]
        query = p.query([s.grpc for s in stores])
        first, second = (query.api("query", query="sum(fake)", time=AT) for _ in range(2))
        c.ok(first[0] == 200 and stores[0].grpc in json.dumps(first[1].get("warnings", [])) and "out of order" in json.dumps(first[1]),
             f"believed, {what}: a warning names the store", first)
        c.ok(second[0] == 200 and not second[1].get("warnings") and second[1]["data"]["result"][0]["value"][1] == str(4 * 39 + 6),
             f"believed, {what}: the next answer is right", second)
        got = query.api("query", query="fake", time=AT)[1]
        c.ok(got["status"] == "success" and len(got["data"]["result"]) == 4, f"believed, {what}: each series once", got)
        query.kill()
        for s in stores:
            s.stop()


def without_labels(series, names):
    keep = [l for l in series.labels if l.name not in names]
    del series.labels[:]
    series.labels.extend(keep)
    return series


def check_cut_chunk(c, p, store):
    """Chunks are decoded behind the merge: a warning, or an error without partial response, still names store and series."""
    fake = FakeStore(cut_chunk, FAKE)
    query = p.query([store.grpc, fake.grpc])
    code, body, _ = ask(query)
    told = [w for w in body.get("warnings", []) if fake.grpc in w and 'n="000"' in w and "XOR chunk" in w]
    c.ok(code == 200 and told, "a cut chunk: a warning names store and series", f"{code} {body}")
    code, body, _ = ask(query, partial_response="false")
    c.ok(code == 422 and fake.grpc in body["error"] and 'n="000"' in body["error"] and "XOR chunk" in body["error"],
         "a cut chunk, no partial response: the error names store and series", f"{code} {body}")
    query.kill()
    fake.stop()


def check_hanging(c, p, store, ups):
    fake = FakeStore(hangs, FAKE)
    query = p.query([store.grpc, fake.grpc], "--store.response-timeout=700ms")
    code, body, seconds = ask(query)
    c.ok(code == 200 and any(fake.grpc in w for w in body.get("warnings", [])), "a store that hangs: a warning names it", f"{code} {json.dumps(body)[:500]}")
    c.ok(0.6 < seconds < 10, "a store that hangs: response-timeout is kept", seconds)
    c.ok(ups <= set(values_at(body)), "a store that hangs: the data of the others")
    patient = p.query([store.grpc, fake.grpc], name="query-patient")
    code, body, seconds = ask(patient, timeout="1s")
    c.ok(code == 503 and body.get("errorType") == "timeout" and seconds < 10, "a store that hangs: the query's own timeout", f"{code} {seconds} {body}")
    early = FakeStore(early_deadline, FAKE)
    query_early = p.query([store.grpc, early.grpc], name="query-early")
    code, body, _ = ask(query_early, timeout="1s")
    c.ok(code == 503 and body.get("errorType") == "timeout", "a store that reports the query's own deadline is not at fault", f"{code} {body}")
    early.stop()
    query_early.kill()
    released.set()
    code, body, _ = ask(patient)
    c.ok(code == 200 and not body.get("warnings"), "a store that hung answers again", body)
    fake.stop()
    query.kill()
    patient.kill()


# ---- a reader that does not read, and many readers with one slot ----

def slow_reader(c, p):
    """Back-pressure: what a client does not read stays in the blocks, not in our memory."""
    copies, series, count = 60, 600, 480
    blocks, bucket_dir = make_noise(p.dir("noise"), series, count), p.dir("noise-bucket")
    for n in range(copies):
        to_bucket(blocks, bucket_dir, {"copy": f"{n:03}"}, 10 * n)
    total = copies * sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(blocks) for f in fs if "chunks" in d)
    store = p.store(p.bucket(bucket_dir), name="store-noise")
    client = Client(store.grpc)
    client.series(matchers=["__name__=noise", "n=00001"], **SPAN)
    before = store.rss()
    stream = client.stream(matchers=["__name__=noise"], timeout=120, **SPAN)
    first = next(iter(stream))
    peak = 0
    for _ in range(30):
        time.sleep(0.1)
        peak = max(peak, store.rss())
    c.ok(total > 100 << 20, f"there is much to send: {total >> 20} MiB")
    c.ok(peak - before < 64 << 20, f"a reader that does not read costs {(peak - before) >> 20} MiB of memory")
    other = Client(store.grpc)
    c.ok(other.info(2).HasField("store"), "Info answers meanwhile")
    got, _ = other.series(matchers=["__name__=noise", "copy=007", "n=00003"], timeout=10, **SPAN)
    c.ok(len(got) == 1 and len(samples_of(got[0])) == count, "another reader is served meanwhile")
    seen, n = {labels_of(first.series)} if first.HasField("series") else {labels_of(s) for s in first.batch.series}, 0
    for r in stream:
        for s in [r.series] if r.HasField("series") else r.batch.series:
            seen.add(labels_of(s))
        n += 1
        if n % 2000 == 0:
            peak = max(peak, store.rss())
    c.ok(len(seen) == copies * series, f"read on, all comes: {len(seen)} series")
    c.ok(peak - before < 96 << 20, f"reading all costs {(peak - before) >> 20} MiB of memory")
    store.kill()


def one_slot(c, p):
    """Two stores with one slot each, 50 concurrent queries with two selectors: all end, and Info answers meanwhile."""
    dirs = []
    blocks = p.dir("noise")
    for n in range(2):
        dirs.append(p.dir(f"slot-bucket-{n}"))
        for k in range(4):
            to_bucket(blocks, dirs[n], {"store": str(n), "k": str(k)}, 10 * k)
    stores = [p.store(p.bucket(d), "--store.grpc.series-max-concurrency=1", name=f"store-slot-{n}") for n, d in enumerate(dirs)]
    query = p.query([s.grpc for s in stores], "--query.max-concurrent=50", replica=())
    stop, slow, asked = threading.Event(), [], []

    def watch(addr):
        client = Client(addr)
        while not stop.is_set():
            begin = time.monotonic()
            client.info(10)
            asked.append(1)
            slow.append(time.monotonic() - begin)
            time.sleep(0.02)

    watchers = [threading.Thread(target=watch, args=(s.grpc,)) for s in stores]
    for w in watchers:
        w.start()
    begin = time.monotonic()
    with futures.ThreadPoolExecutor(50) as pool:
        jobs = [pool.submit(query.api, "query", query='count(noise{n=~"000.."}) + count(noise{n=~"001.."})', time=T0 + 3600)
                for _ in range(50)]
        answers = [j.result() for j in jobs]
    seconds = time.monotonic() - begin
    stop.set()
    for w in watchers:
        w.join()
    bad = [a for a in answers if a[0] != 200 or a[1].get("warnings") or a[1]["data"]["result"][0]["value"][1] != str(2 * 2 * 4 * 100)]
    c.ok(not bad, f"50 two-leg queries over two stores with one slot each end ({seconds:.1f} s)", bad[:1])
    c.ok(len(asked) >= 2 and max(slow) < 2, f"Info answers meanwhile: {len(asked)} times, the slowest in {max(slow or [0]):.3f} s")


def main():
    with Procs() as p:
        c = Checks(p)
        store = foreign_client(c, p)
        foreign_stores(c, p, store)
        slow_reader(c, p)
        one_slot(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
