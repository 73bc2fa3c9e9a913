"""Stores that lie, in what they say and in how they say it, under thanosc query beside a good one. For each lie: the answer
is right, or a warning or an error names the store and what it did; the querier's memory stays small, and queries to
the good store are answered meanwhile.

Usage: test_lying.py [CASE...]. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import struct
import sys
import threading
import time
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import rawstore  # noqa: E402
from procs import Checks, Procs, healthy_stores, wait  # noqa: E402
from rawstore import Gone, RawStore, prefixed  # noqa: E402
from storeapi import MSG, Client, FakeStore, make_series, matcher  # noqa: E402

AT = 1767225600
FAKE = (("cluster", "fake"), ("replica", "x"))
GOOD = (("cluster", "good"),)
MEMORY = 160 << 20  # more than this is not read-ahead
PATIENCE_S = 12     # no case has reason to take longer: each has a timeout of a second or two


def fake(n, external=FAKE, name="fake", count=40, at=AT):
    labels = sorted([("__name__", name), ("n", f"{n:03}"), *external])
    return make_series(labels, [((at - 600 + 15 * i) * 1000 + 3, float(n + i)) for i in range(count)], 12)


def frame(series):
    return MSG["SeriesResponse"](series=series)


def warning(text):
    return MSG["SeriesResponse"](warning=text)


FRAMES = [frame(fake(n)) for n in range(4)]
VALUES = {f"{n:03}": float(n + 39) for n in range(4)}


# ---- what they send ----

def sends(*series):
    """A store that answers with these."""
    return FakeStore(lambda q, context: iter(series), FAKE)


def with_chunk(n, change):
    """fake(n) whose last chunk is changed: change(chunk, its bytes)."""
    s = fake(n)
    change(s.chunks[-1], s.chunks[-1].raw.data)
    return s


def set_data(make):
    return lambda chunk, data: setattr(chunk.raw, "data", make(data))


def set_times(mint, maxt):
    def change(chunk, _):
        chunk.min_time, chunk.max_time = mint, maxt
    return change


def set_type(n):
    return lambda chunk, _: setattr(chunk.raw, "type", n)


def damaged(change):
    return sends(fake(0), with_chunk(1, change), fake(2), fake(3))


def claims(series):
    """Unsorted, though it says that it takes replica labels away itself: believed until its order breaks."""
    def behave(q, context):
        for n in series:
            yield fake(n, [l for l in FAKE if l[0] not in q.without_replica_labels])
    store = FakeStore(behave, FAKE)
    store.info.store.supports_without_replica_labels = True
    return store


def raw(*steps, **more):
    """A store of hand-made frames: steps(conn, stream id) one after the other behind the answer's header."""
    def behave(conn, sid):
        conn.headers(sid)
        for s in steps:
            s(conn, sid)
    return RawStore(behave, FAKE, **more)


def messages(*frames):
    return lambda conn, sid: [conn.data(sid, prefixed(f)) for f in frames]


def octets(data):
    return lambda conn, sid: conn.data(sid, data)


def trailers(conn, sid):
    conn.trailers(sid)


def hang(conn, sid):
    conn.hang(sid)


def endless(make):
    def step(conn, sid):
        n = 0
        while True:
            conn.data(sid, prefixed(make(n)))
            n += 1
    return step


def big_series(n):
    """A MiB, of a time that nobody asked for."""
    s = MSG["Series"](labels=[MSG["Label"](name=k, value=v) for k, v in (("__name__", "fake"), ("cluster", "fake"), ("n", f"{n:09}"))])
    s.chunks.add(min_time=1, max_time=2).raw.data = bytes(1 << 20)
    return frame(s)


def big_message(conn, sid):
    """One series that never ends."""
    conn.data(sid, struct.pack(">BI", 0, (1 << 30) - 1))
    for _ in range(150):
        conn.data(sid, bytes(1 << 20))
    conn.hang(sid)


def after_trailers(conn, sid):
    conn.trailers(sid)
    for _ in range(3):
        conn.frame(rawstore.DATA, 0, sid, prefixed(frame(fake(7))))


def rst(code):
    return lambda conn, sid: conn.frame(rawstore.RST_STREAM, 0, sid, struct.pack(">I", code))


def goaway(conn, sid):
    conn.frame(rawstore.GOAWAY, 0, 0, struct.pack(">II", sid, 0))


def close(conn, sid):
    conn.close()


def end_of_data(conn, sid):
    conn.frame(rawstore.DATA, rawstore.END_STREAM, sid)


def html(status, kind="text/html"):
    def behave(conn, sid):
        conn.headers(sid, status, kind)
        conn.data(sid, b"<html><body>The proxy is on holiday</body></html>" * 50, end=True)
    return RawStore(behave, FAKE)


def no_credit(conn):
    """From now on nobody may send a request's body."""
    conn.frame(rawstore.SETTINGS, 0, 0, struct.pack(">HI", 4, 0))


def goes_deaf(conn):
    conn.deaf = True


# ---- what is to come of it ----

def values(body):
    return {s["metric"]["n"]: float(s["value"][1]) for s in body["data"]["result"] if s["metric"]["__name__"] == "fake"} if body["status"] == "success" else {}


def right(case, code, body):
    return code == 200 and values(body) == VALUES and not body.get("warnings")


def warned(text, **rest):
    """The series named in `lost` are missing, or all are; a warning says the store and why."""
    def check(case, code, body):
        want = {k: v for k, v in VALUES.items() if k not in rest.get("lost", VALUES)}
        named = [w for w in body.get("warnings", []) if case.addr in w and text in w]
        return code == 200 and named and values(body) == rest.get("values", want)
    return check


def failed(code, text, names=False):
    return lambda case, status, body: status == code and text in body.get("error", "") and (not names or case.addr in json.dumps(body))


class Case:
    def __init__(self, what, store, check, query='{__name__=~"fake|good"}', flags=("--store.response-timeout=1s",), asked=None, memory=MEMORY):
        self.what, self.store, self.check, self.query, self.flags, self.memory = what, store, check, query, flags, memory
        self.asked = asked or {}


LATE = 'fake{n="001"}'
HOUR = 3600000
SAID = "receive series from"
ABORT = {"partial_response": "false"}
CASES = [
    Case("a good store", lambda: sends(*FRAMES), right),
    Case("hand-made frames of a good store", lambda: raw(messages(*FRAMES), trailers), right),
    # series
    Case("series unsorted", lambda: sends(*(fake(n) for n in (3, 1, 0, 2))), right),
    Case("series doubled", lambda: sends(*(fake(n) for n in (0, 0, 1, 1, 2, 3, 3))), right),
    Case("series unsorted, though believed", lambda: claims((3, 1, 0, 2)), warned("out of order", values=VALUES), query="fake"),
    Case("series unsorted and doubled, though believed, under a function", lambda: claims((0, 3, 1, 3, 2)),
         lambda case, code, body: code in (200, 422) and any(case.addr in w and "out of order" in w for w in body.get("warnings", [])),
         query="last_over_time(fake[1h])"),
    Case("series without the labels that were announced", lambda: sends(*(fake(n, ()) for n in range(4))), right),
    Case("series with other labels than announced", lambda: sends(*(fake(n, (("zone", "moon"),)) for n in range(4))), right),
    Case("series that were not asked for", lambda: sends(*(fake(n, (("cluster", "other" if n == 1 else "fake"),)) for n in range(4))),
         warned("not asked for", lost=("001",)), query='fake{cluster="fake"}'),
    # chunks
    Case("a chunk cut short", lambda: damaged(set_data(lambda d: d[:9])), warned(SAID, values={**VALUES, "001": 36.0}), query="fake"),
    Case("a chunk cut short, no partial response", lambda: damaged(set_data(lambda d: d[:9])), failed(422, SAID, True), asked=ABORT),
    Case("a chunk with too high a count", lambda: damaged(set_data(lambda d: b"\xff\xff" + d[2:])),
         warned(SAID, values={**VALUES, "001": 36.0})),
    Case("a chunk of noise", lambda: damaged(set_data(lambda d: bytes((i * 167 + 13) & 255 for i in range(60)))),
         warned(SAID, values={**VALUES, "001": 36.0})),
    Case("an empty chunk", lambda: damaged(set_data(lambda d: b"")), warned(SAID, values={**VALUES, "001": 36.0})),
    Case("a float chunk that says it is a histogram", lambda: damaged(set_type(1)), warned(SAID, values={**VALUES, "001": 36.0})),
    Case("damage below a range function", lambda: damaged(set_data(lambda d: d[:9])),
         lambda case, code, body: code == 200 and any(case.addr in w for w in body["warnings"]) and body["data"]["result"][0]["value"][1] == "156",
         query="sum(count_over_time(fake[1h]))"),
    Case("damage in a matrix", lambda: damaged(set_data(lambda d: d[:9])),
         lambda case, code, body: code == 200 and any(case.addr in w for w in body["warnings"])
         and sorted(len(s["values"]) for s in body["data"]["result"]) == [36, 40, 40, 40], query="fake[1h]"),
    Case("a chunk type that nobody knows", lambda: damaged(set_type(77)), warned("chunk type 77", lost=("001", "002", "003"))),
    Case("a chunk that ends before it begins", lambda: damaged(set_times(AT * 1000, AT * 1000 - HOUR)), warned("ends before it begins", lost=("001", "002", "003"))),
    Case("chunks with too wide a time", lambda: damaged(set_times((AT - 700) * 1000, AT * 1000 + HOUR)), right),
    Case("chunks with too narrow a time", lambda: damaged(set_times((AT - 60) * 1000 + 3, (AT - 60) * 1000 + 3)), right),
    Case("samples outside the range that was asked for", lambda: sends(*(fake(n, count=2000) for n in range(4))),
         lambda case, code, body: code == 200 and not body.get("warnings") and values(body) == {k: v for k, v in VALUES.items()}),
    # streams
    Case("frames after the trailers", lambda: raw(messages(*FRAMES), after_trailers), right),
    Case("a hang mid-stream", lambda: raw(messages(FRAMES[0]), hang), warned(SAID, lost=("001", "002", "003"))),
    Case("a hang mid-stream, no response timeout", lambda: raw(messages(FRAMES[0]), hang), failed(503, "timed out"), flags=(), asked={"timeout": "1s"}),
    Case("a hang before the header", lambda: RawStore(lambda conn, sid: conn.hang(sid), FAKE), warned(SAID)),
    Case("gigabytes of series", lambda: raw(endless(big_series)), failed(503, "timed out"), query="count(fake)", asked={"timeout": "2s"}),
    Case("a message without end", lambda: raw(big_message), warned(SAID), memory=MEMORY + (300 << 20)),
    Case("a GiB announced, then silence", lambda: raw(octets(struct.pack(">BI", 0, 1 << 30)), hang), warned(SAID), memory=32 << 20),
    Case("more announced than may be", lambda: raw(octets(b"\0\xff\xff\xff\xff"), hang), warned("larger than the limit")),
    Case("a reset mid-message", lambda: raw(messages(FRAMES[0]), octets(prefixed(FRAMES[1])[:20]), rst(2)), warned(SAID, lost=("001", "002", "003"))),
    Case("GOAWAY mid-stream", lambda: raw(messages(FRAMES[0]), goaway, messages(*FRAMES[1:]), trailers), right),
    Case("GOAWAY mid-stream and away", lambda: raw(messages(FRAMES[0]), goaway, close), warned(SAID, lost=("001", "002", "003"))),
    Case("a cut message before good trailers", lambda: raw(octets(prefixed(FRAMES[0])[:20]), trailers), warned("cut short")),
    Case("HTML with status 200", lambda: html("200"), warned(SAID)),
    Case("HTML with status 503", lambda: html("503"), warned("HTTP status 503")),
    Case("HTML with status 404, as gRPC", lambda: html("404", "application/grpc"), warned("HTTP status 404")),
    Case("an end without trailers", lambda: raw(messages(*FRAMES), end_of_data), warned("without a status", values=VALUES)),
    Case("a compressed message without an encoding", lambda: raw(octets(prefixed(FRAMES[0], 1)), hang), warned("compressed")),
    Case("an unknown flag", lambda: raw(octets(prefixed(FRAMES[0], 9)), hang), warned("unknown flag")),
    Case("no credit for the request", lambda: raw(messages(*FRAMES), trailers, after_info=no_credit), warned(SAID)),
    Case("a store that reads no more", lambda: raw(messages(*FRAMES), trailers, after_info=goes_deaf), warned(SAID)),
    # warnings
    Case("a warning of megabytes", lambda: sends(warning("w" * (3 << 20)), *FRAMES),
         lambda case, code, body: code == 200 and values(body) == VALUES and len(json.dumps(body)) < 10000 and case.addr in body["warnings"][0]),
    Case("many warnings of megabytes", lambda: raw(endless(lambda n: warning(f"{n}" + "w" * (1 << 20)))), failed(503, "timed out"), asked={"timeout": "2s"}),
    Case("a million warnings", lambda: raw(octets(b"".join(prefixed(warning(str(n))) for n in range(20000)) * 50),
                                           messages(*FRAMES), trailers),
         lambda case, code, body: code == 200 and values(body) == VALUES and len(body["warnings"]) <= 100 and case.addr in body["warnings"][-1]),
    Case("a million empty messages", lambda: raw(octets(prefixed(b"") * 1000000), messages(*FRAMES), trailers), right),
]


def good_ones(query, stop, slow):
    """Asks for what the good store has until it is told to stop; what went wrong, or took long, into slow."""
    while not stop.is_set():
        begin = time.monotonic()
        code, body = query.api("query", query='good{cluster="good"}', time=AT)
        seconds = time.monotonic() - begin
        if code != 200 or body.get("warnings") or len(body["data"]["result"]) != 4 or seconds > 5:
            slow.append((seconds, code, body))
        time.sleep(0.02)


def run(c, p, case, good, number):
    store = case.store()
    case.addr = store.grpc
    query = p.query([good.grpc, store.grpc], *case.flags, name=f"query-{number}")
    query.api("query", query='good{cluster="good"}', time=AT)
    before, peak, stop, slow = query.rss(), 0, threading.Event(), []
    beside = threading.Thread(target=good_ones, args=(query, stop, slow))
    with futures.ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        asked = pool.submit(query.api, "query", query=case.query, time=AT, **case.asked)
        beside.start()
        while not asked.done():
            peak = max(peak, query.rss())
            time.sleep(0.01)
        seconds = time.monotonic() - begin
        code, body = asked.result()
    peak = max(peak, query.rss())
    stop.set()
    beside.join()
    c.ok(case.check(case, code, body), f"{case.what}: the outcome", f"{case.addr}: {code} {json.dumps(body)[:1300]}")
    c.ok(store.calls or "credit" in case.what or "reads no more" in case.what, f"{case.what}: the store was asked")
    c.ok(peak - before < case.memory, f"{case.what}: costs {(peak - before) >> 20} MiB")
    c.ok(seconds < PATIENCE_S, f"{case.what}: takes {seconds:.1f} s")
    c.ok(not slow, f"{case.what}: the good store is asked meanwhile", slow[:1])
    c.ok(query.alive() and query.api("query", query='good{cluster="good"}', time=AT)[0] == 200, f"{case.what}: the querier is well afterwards")
    query.kill()
    store.stop()


def many_label_sets(c, p, good):
    """100 000 label sets in one Info: the querier knows them, answers, and tells them on in reasonable time."""
    store = sends(*FRAMES)
    for n in range(100000):
        store.info.label_sets.add().labels.add(name="tenant", value=f"{n}")
    query = p.query([good.grpc, store.grpc], name="query-sets")
    code, body = query.api("query", query="fake", time=AT)
    case = Case("", None, None)
    c.ok(right(case, code, body), "many label sets: the answer", body)
    begin = time.monotonic()
    info = Client(query.grpc).info(PATIENCE_S)
    seconds = time.monotonic() - begin
    c.ok(len(info.label_sets) == 100002 and seconds < 5, f"many label sets: Info tells them on: {len(info.label_sets)} in {seconds:.2f} s")
    code, body = query.api("query", query='fake{tenant="77"}', time=AT)
    c.ok(code == 200, "many label sets: one of them is asked for", body)
    query.kill()
    store.stop()


def changing_info(c, p, good):
    """Info says something else each time: labels, times, noise; queries go by what it said last, and nothing breaks."""
    said = [0]

    def tell():
        said[0] += 1
        info = MSG["InfoResponse"]()
        info.CopyFrom(store.info)
        if said[0] > 1:
            del info.label_sets[:], info.store.tsdb_infos[:]
            info.label_sets.add().labels.add(name="cluster", value="changed")
        return info if said[0] < 3 else b"\xff" * 30

    store = raw(messages(*FRAMES), trailers, tell_info=tell)
    query = p.query([good.grpc, store.grpc], name="query-changing")
    c.ok(query.api("query", query='count(fake{cluster="changed"})', time=AT)[1]["data"]["result"] == [], "Info that changes: before")
    c.ok(wait(lambda: "changed" in json.dumps(query.api("stores")[1]), 15), "Info that changes: the change is seen")
    calls = store.calls
    code, body = query.api("query", query='good{cluster="good"}', time=AT)
    c.ok(code == 200 and not body.get("warnings") and store.calls == calls, "Info that changes: what it said last decides", body)
    c.ok(wait(lambda: store.grpc not in healthy_stores(query), 15), "Info of noise: the store is out")
    code, body = query.api("query", query='{__name__=~"fake|good"}', time=AT)
    c.ok(code == 200 and any(store.grpc in w and "not available" in w for w in body["warnings"]), "Info of noise: a warning names the store", body)
    query.kill()
    store.stop()


def main():
    wanted = sys.argv[1:]
    with Procs() as p:
        c = Checks(p)
        good = FakeStore(lambda q, context: (fake(n, GOOD, "good") for n in range(4) if matcher("__name__=fake") not in q.matchers), GOOD)
        jobs = [(run, case, good, n) for n, case in enumerate(CASES) if not wanted or case.what in wanted]
        with futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(fn, c, p, *rest) for fn, *rest in jobs]
            if not wanted or "info" in wanted:
                running += [pool.submit(fn, c, p, good) for fn in (changing_info, many_label_sets)]
            for r in running:
                r.result()
        good.stop()
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
