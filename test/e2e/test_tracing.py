"""Tracing: spans of a query over a sidecar and a store arrive at a collector, by OTLP over HTTP and over gRPC, as one tree; W3C trace
context comes in and goes out; sampling; a collector that is away. Ends with "N passed, N failed, N skipped".
"""
import http.server
import os
import sys
import threading
import urllib.request
from concurrent import futures

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
import grpc  # noqa: E402

from procs import Checks, Procs, port, wait  # noqa: E402

BUCKET = os.path.abspath(os.path.join(HERE, "../golden/blocks/bucket"))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def fields(data):
    """[(number, value)] of a protobuf message: bytes, or an int."""
    out, i = [], 0

    def varint():
        nonlocal i
        v = shift = 0
        while True:
            b = data[i]
            i += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v
    while i < len(data):
        tag = varint()
        if tag & 7 == 0:
            out.append((tag >> 3, varint()))
        elif tag & 7 == 1:
            out.append((tag >> 3, int.from_bytes(data[i:i + 8], "little")))
            i += 8
        else:
            n = varint()
            out.append((tag >> 3, data[i:i + n]))
            i += n
    return out


def one(message, number, default=None):
    return next((v for n, v in fields(message) if n == number), default)


def attributes(message, number):
    found = {}
    for n, kv in fields(message):
        if n == number:
            value = fields(one(kv, 2))[0]
            found[one(kv, 1).decode()] = value[1].decode() if value[0] == 1 else value[1]
    return found


class Spans:
    """What was exported: dicts with service, name, trace, id, parent, attributes, ok."""

    def __init__(self):
        self.all, self.headers = [], []

    def take(self, request, headers):
        self.headers.append(headers)
        for _, rs in fields(request):
            service = attributes(one(rs, 1), 1)
            for n, scope in fields(rs):
                for m, s in fields(scope) if n == 2 else []:
                    if m == 2:
                        self.all.append({"resource": service, "name": one(s, 5).decode(), "trace": one(s, 1).hex(), "id": one(s, 2).hex(),
                                         "parent": one(s, 4, b"").hex(), "attributes": attributes(s, 9), "kind": one(s, 6),
                                         "time": (one(s, 7), one(s, 8)), "ok": one(s, 15) is None})

    def named(self, name, trace=TRACE):
        return [s for s in self.all if s["name"] == name and s["trace"] == trace]


def http_collector(spans):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                spans.take(body, dict(self.headers))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def grpc_collector(spans):
    def export(request, context):
        spans.take(request, dict(context.invocation_metadata()))
        return b""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        {"Export": grpc.unary_unary_rpc_method_handler(export, lambda b: b, lambda b: b)}),))
    number = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return number, server


def config(client, number, **more):
    lines = [f"client_type: {client}", f"endpoint: 127.0.0.1:{number}", "insecure: true"] + [f"{k}: {v}" for k, v in more.items()]
    return "--tracing.config=type: OTLP\nconfig:\n  " + "\n  ".join(lines)


def ask(q, **headers):
    """The headers of an answer to a query."""
    r = urllib.request.Request(q.url + "/api/v1/query?query=count(up)&time=1789997400", headers={k.replace("_", "-"): v for k, v in headers.items()})
    with urllib.request.urlopen(r, timeout=20) as answer:
        answer.read()
        return answer.headers


with Procs() as procs:
    checks = Checks(procs)
    over_http, over_grpc = Spans(), Spans()
    http_port = http_collector(over_http)
    grpc_port, keep = grpc_collector(over_grpc)
    prom = procs.prometheus("live", external={"cluster": "live", "replica": "a"}, scrape=[("self", "self")])
    side = procs.sidecar(prom, None, config("http", http_port))
    store = procs.store(procs.bucket(BUCKET), config("grpc", grpc_port, service_name="my-store", resource_attributes="{env: test}"))
    q = procs.query([side.grpc, store.grpc], config("http", http_port, headers="{X-Token: abc}", sampler_type="parentbasedneversample"))
    checks.ok("X-Thanos-Trace-Id" not in ask(q), "not sampled: no trace is told")
    told = ask(q, traceparent=f"00-{TRACE}-{PARENT}-01")
    checks.ok(told.get("X-Thanos-Trace-Id") == TRACE, "the trace that came in is told", dict(told))
    q2 = procs.thanosc("query", config("http", http_port, sampler_type="neversample"), name="never")
    ask(q2, traceparent=f"00-{TRACE}-{PARENT}-01")
    forced = ask(q, X_Thanos_Force_Tracing="1").get("X-Thanos-Trace-Id")
    checks.ok(forced and forced != TRACE, "a forced trace is a new one", forced)
    wait(lambda: over_http.named("promql_exec", forced) and over_grpc.named("/thanos.Store/Series") and over_http.named("query_prometheus"), 20)
    root, run = over_http.named("HTTP /api/v1/query"), over_http.named("promql_exec")
    series = over_http.named("/thanos.Store/Series") + over_grpc.named("/thanos.Store/Series")
    read = over_http.named("query_prometheus")
    checks.ok(len(root) == 1 and root[0]["parent"] == PARENT and root[0]["kind"] == 2, "one root, the caller's child", root)
    checks.ok(len(run) == 1 and run[0]["parent"] == root[0]["id"] and run[0]["attributes"].get("query") == "count(up)",
              "the evaluation is the root's child", run)
    checks.ok(sorted(s["resource"]["service.name"] for s in series) == ["my-store", "thanos-sidecar"]
              and all(s["parent"] == run[0]["id"] for s in series), "each store's call is the evaluation's child", series)
    checks.ok(len(read) == 1 and read[0]["parent"] in [s["id"] for s in series], "the remote read is the sidecar call's child", read)
    checks.ok(all(s["ok"] and s["time"][0] <= s["time"][1] for s in root + run + series + read), "times and status are right")
    checks.ok(over_grpc.all and all(s["resource"].get("env") == "test" for s in over_grpc.all), "resource attributes are sent")
    checks.ok(any(h.get("X-Token") == "abc" for h in over_http.headers), "configured headers are sent")
    checks.ok({s["trace"] for s in over_http.all} == {TRACE, forced}, "nothing else was sampled", {s["trace"] for s in over_http.all})
    away = procs.thanosc("query", config("http", port(), sampler_type="alwayssample", timeout="1s"), name="away")
    for _ in range(50):
        ask(away)
    checks.ok(wait(lambda: "spans are lost" in away.text() and away.metric("thanosc_trace_spans_dropped_total") > 0, 20),
              "a collector that is away is said once", away.text()[-300:])
    checks.ok(away.stop() == 0, "and does not hold up the end")
sys.exit(checks.end())
