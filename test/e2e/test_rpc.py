"""The transport of gRPC as foreign clients and servers use it (python3-grpcio): server reflection, compression.

Usage: test_rpc.py. Ends with "N passed, N failed, N skipped".
"""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc  # noqa: E402

from procs import Checks, Procs, promtool_clean  # noqa: E402
from storeapi import FULL, MSG, FakeStore, make_series, matcher  # noqa: E402
from reflection import MSG as REFLECT, Reflection  # noqa: E402

SERVICES = {"thanos.Store", "thanos.Rules", "thanos.Targets", "thanos.Metadata", "thanos.Exemplars", "thanos.Status", "thanos.info.Info",
            "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


def reflection(c, addr, version):
    r = Reflection(grpc.insecure_channel(addr), version)
    c.ok(set(r.services()) == SERVICES, f"{version}: the services", r.services())
    for s in SERVICES:
        r.learn(s)
    pool = r.pool()
    for s in SERVICES:
        c.ok(pool.FindServiceByName(s).methods, f"{version}: {s} has methods")
    info = r.call(pool, "thanos.info.Info", "Info")
    c.ok(len(info) == 1 and info[0].component == "query" and info[0].store.supports_sharding,
         f"{version}: Info through its descriptors", info)
    series = r.call(pool, "thanos.Store", "Series", min_time=0, max_time=10,
                    matchers=[{"type": "RE", "name": "__name__", "value": ".+"}], aggregates=["COUNT", "SUM"],
                    partial_response_strategy="WARN")
    c.ok(series == [], f"{version}: Series, enums by name", series)
    names = r.call(pool, "thanos.Store", "LabelNames", end=10)
    c.ok(len(names) == 1 and list(names[0].names) == [], f"{version}: LabelNames", names)
    health = r.call(pool, "grpc.health.v1.Health", "Check")
    c.ok(health[0].DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[health[0].status].name == "SERVING",
         f"{version}: health by name", health)
    m = pool.FindServiceByName(f"grpc.reflection.{version}.ServerReflection").methods_by_name["ServerReflectionInfo"]
    c.ok(m.input_type.full_name == f"grpc.reflection.{version}.ServerReflectionRequest", f"{version}: its own messages",
         m.input_type.full_name)
    any_type = pool.FindMessageTypeByName("thanos.SeriesResponse").fields_by_name["hints"].message_type
    c.ok(any_type.full_name == "google.protobuf.Any", f"{version}: hints are an Any", any_type.full_name)

    answers = r.ask({"host": "h", "file_by_filename": "store/storepb/rpc.proto"}, {"file_containing_symbol": "thanos.Store.Series"},
                    {"file_containing_symbol": "thanos.Nope"}, {"file_by_filename": "nope.proto"},
                    {"all_extension_numbers_of_type": "thanos.Series"}, {"all_extension_numbers_of_type": "x.Y"},
                    {"file_containing_extension": {"containing_type": "thanos.Series", "extension_number": 7}},
                    {"file_containing_symbol": "hintspb.SeriesResponseHints"},
                    {"file_containing_symbol": "thanos.LabelMatcher.Type"})
    kinds = [a.WhichOneof("message_response") for a in answers]
    files, error = "file_descriptor_response", "error_response"
    c.ok(kinds == [files, files, error, error, "all_extension_numbers_response", error, error, files, files],
         f"{version}: nine questions on one stream, answered in order", kinds)
    c.ok(answers[0].valid_host == "h" and answers[0].original_request.file_by_filename == "store/storepb/rpc.proto",
         f"{version}: answers repeat the question", answers[0].original_request)
    c.ok(answers[2].error_response.error_code == 5, f"{version}: NOT_FOUND", answers[2])
    c.ok(answers[0].file_descriptor_response == answers[1].file_descriptor_response, f"{version}: by name and by symbol the same")


def conversation(c, addr):
    """Questions that wait for answers; a question about nothing; a client that leaves in the middle."""
    r = Reflection(grpc.insecure_channel(addr))
    got, more = [], threading.Semaphore(1)

    def questions():
        for _ in range(200):
            if not more.acquire(timeout=10):
                return
            yield REFLECT["Request"](list_services="")

    for a in r.method(questions(), timeout=20):
        got.append(a)
        more.release()
    c.ok(len(got) == 200, "200 questions, each after the answer to the last", len(got))
    try:
        list(r.method(iter([REFLECT["Request"](host="x")]), timeout=10))
        c.ok(False, "a question about nothing is refused")
    except grpc.RpcError as e:
        c.ok(e.code() == grpc.StatusCode.INVALID_ARGUMENT, "a question about nothing is refused", e)
    many = r.ask(*[{"list_services": ""}] * 5000)
    c.ok(len(many) == 5000, "5000 questions without waiting", len(many))
    stop = threading.Event()

    def forever():
        yield REFLECT["Request"](list_services="")
        stop.wait(10)

    calls = [r.method(forever(), timeout=20) for _ in range(150)]
    for call in calls:
        next(call)
    c.ok(len(r.ask({"list_services": ""})) == 1, "150 calls that stay open take no thread from others")
    for call in calls:
        call.cancel()
    stop.set()
    c.ok(len(r.ask({"list_services": ""})) == 1, "after calls that were cancelled")


SERIES = [((("__name__", "m"), ("n", f"{n:04d}"), ("pad", "x" * 200)), [(1000 * t, float(n)) for t in range(3)]) for n in range(500)]


def values(query):
    """{n: value} of the series that a querier gives."""
    code, body = query.api("query", query="m", time=2)
    return {r["metric"]["n"]: r["value"][1] for r in body["data"]["result"]} if code == 200 else body


def compression(c, p):
    """A foreign store that compresses, or not, under queriers of ours that do; a foreign client that compresses."""
    want = {dict(k)["n"]: f"{v[-1][1]:.0f}" for k, v in SERIES}
    seen = []

    def behave(request, context):
        seen.append(dict(context.invocation_metadata()))
        if len(seen) % 2:
            context.set_compression(grpc.Compression.Gzip)
        for k, v in SERIES:
            yield make_series(k, v)

    fake = FakeStore(behave, labels=[("store", "fake")])
    for encoding in ("none", "gzip"):
        query = p.query([fake.grpc], f"--grpc-compression={encoding}", name=f"query-{encoding}")
        for _ in range(2):
            got = values(query)
            c.ok(got == want, f"{encoding}: a store that answers compressed or not", str(got)[:300])
    inner = p.query([fake.grpc], name="query-inner")
    for encoding in ("snappy", "gzip", "none"):
        outer = p.query([inner.grpc], f"--grpc-compression={encoding}", name=f"query-over-{encoding}")
        got = values(outer)
        c.ok(got == want, f"{encoding}: a querier over a querier", str(got)[:300])
    fake.stop()

    store = FakeStore(lambda q, _: (make_series(k, v) for k, v in SERIES))
    inner = p.query([store.grpc], name="query-compressed")
    ask = MSG["SeriesRequest"](min_time=FULL[0], max_time=FULL[1], matchers=[matcher("__name__=m")])
    for how, name in ((grpc.Compression.NoCompression, "none"), (grpc.Compression.Gzip, "gzip")):
        channel = grpc.insecure_channel(inner.grpc, [("grpc.max_receive_message_length", -1)], compression=how)
        call = channel.unary_stream("/thanos.Store/Series", MSG["SeriesRequest"].SerializeToString, MSG["SeriesResponse"].FromString)
        answers = call(ask, timeout=30)
        n = sum(len(r.batch.series) + r.HasField("series") for r in answers)
        c.ok(n == len(SERIES), f"a foreign client with {name}", n)
        head = dict(answers.initial_metadata())
        c.ok("grpc-encoding" not in head or head["grpc-encoding"] == name, f"a foreign client with {name}: the answer's encoding", head)
        info = channel.unary_unary("/thanos.info.Info/Info", MSG["InfoRequest"].SerializeToString, MSG["InfoResponse"].FromString)
        c.ok(info(MSG["InfoRequest"](), timeout=10).component == "query", f"Info with {name}")
        listed = Reflection(channel).services()
        c.ok(set(listed) == SERVICES, f"reflection with {name}", listed)
        health = channel.unary_stream("/grpc.health.v1.Health/Watch", MSG["HealthRequest"].SerializeToString,
                                      MSG["HealthResponse"].FromString)
        for service, status in (("", 1), ("thanos.Store", 1), ("nope", 3)):
            watch = health(MSG["HealthRequest"](service=service), timeout=10)
            c.ok(next(watch).status == status, f"a watcher of health of {service!r} with {name}")
            watch.cancel()
        channel.close()
    store.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        query = p.query([])
        for version in ("v1", "v1alpha"):
            reflection(c, query.grpc, version)
        conversation(c, query.grpc)
        compression(c, p)
        c.ok(promtool_clean(query) == "", "promtool finds nothing", promtool_clean(query))
        c.ok(query.stop() == 0, "an orderly end", query.text()[-500:])
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
