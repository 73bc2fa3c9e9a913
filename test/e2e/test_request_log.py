"""--request.logging-config: lines about requests of both ports with the peers' fields, their levels and choice; the request id goes along
from the querier to its stores; what is wrong in the file. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
import grpc  # noqa: E402

from procs import Checks, Procs, get, wait  # noqa: E402

BUCKET = os.path.abspath(os.path.join(HERE, "../golden/blocks/bucket"))
ALL = "{level: DEBUG, decision: {log_start: true, log_end: true}}"
# Keys behind ts and caller, as Thanos 0.42 writes them (level apart, which stands elsewhere in its HTTP lines). `component` is not in its.
HTTP = ["protocol", "http.component", "component", "http.method", "http.request_id", "http.user_agent"]
HTTP_KEYS = {"started": HTTP + ["http.start_time", "thanos.method_name", "msg"],
             "finished": HTTP + ["http.status_code", "http.time_ms", "http.remote_addr", "thanos.method_name", "msg"]}
GRPC = ["service", "component", "msg", "requestID", "protocol", "grpc.component", "grpc.service", "grpc.method", "grpc.method_type",
        "peer.address", "grpc.start_time", "grpc.request.deadline"]
GRPC_KEYS = {"started": GRPC + ["grpc.time_ms"], "finished": GRPC + ["grpc.code", "grpc.time_ms"]}


def lines(proc, protocol, **fields):
    """Lines about requests whose fields have these values, as dictionaries in the order of the line."""
    out = []
    for line in proc.text().splitlines():
        if line.startswith("{"):
            got = json.loads(line)
        else:
            got = {k: json.loads(v) if v.startswith('"') else v for k, v in re.findall(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S*)', line)}
        if got.get("protocol") == protocol and all(got.get(k.replace("_", ".")) == v for k, v in fields.items()):
            out.append(got)
    return out


def keys(line):
    return [k for k in line if k not in ("ts", "caller", "level")]


def check_fields(c, p):
    bucket = p.file("bucket.yml", f"type: FILESYSTEM\nconfig: {{directory: {BUCKET}}}\n")
    config = p.file("log.yml", f"options: {ALL}\n")
    store = p.store(bucket, f"--request.logging-config-file={config}", "--log.level=debug", "--log.format=json")
    query = p.query([store.grpc], "--request.logging-config=options: " + ALL, "--log.level=debug")
    at = query.api("stores")[1]["data"]["store"][0]["maxTime"] // 1000 - 1
    target = f"/api/v1/query?query=up&time={at}"
    got = get(query.url + target, headers={"X-Request-ID": "id-1", "User-Agent": "test/1"})
    c.ok(got[0] == 200, "an answer", got)
    get(query.url + "/api/v1/query?query=up%7B", headers={"X-Request-ID": "id-2"})
    get(query.url + "/-/healthy")
    wait(lambda: len(lines(store, "grpc", grpc_method="Series")) == 2, 10)
    for msg, want in HTTP_KEYS.items():
        found = [x for x in lines(query, "http") if x["msg"] == msg + " call" and x["http.request_id"] == "id-1"]
        c.ok(len(found) == 1 and keys(found[0]) == want, f"HTTP, {msg}: fields", found)
    end = [x for x in lines(query, "http") if "http.status_code" in x]
    want = {"level": "debug", "http.method": "GET " + target, "http.user_agent": "test/1", "http.status_code": "200",
            "thanos.method_name": "query", "component": "query"}
    c.ok(any(x.items() >= want.items() for x in end), "HTTP: values", end)
    bad = [x for x in end if x["http.request_id"] == "id-2"]
    c.ok(len(bad) == 1 and bad[0]["http.status_code"] == "400" and bad[0]["level"] == "debug", "HTTP: a bad request", bad)
    c.ok(not [x for x in end if "healthy" in x["http.method"]], "HTTP: probes are not logged", end)
    for msg, want in GRPC_KEYS.items():
        found = [x for x in lines(store, "grpc", grpc_method="Series") if x["msg"] == msg + " call"]
        c.ok(len(found) == 1 and keys(found[0]) == want, f"gRPC, {msg}: fields", found)
        c.ok(found and found[0].items() >= {"requestID": "id-1", "grpc.service": "thanos.Store", "grpc.method_type": "server_stream",
                                            "component": "store", "level": "debug"}.items(), f"gRPC, {msg}: values", found)
    c.ok(lines(store, "grpc", grpc_method="Info", grpc_code="OK"), "gRPC: the querier's polls, too")
    unary = grpc.insecure_channel(store.grpc).unary_unary("/thanos.Store/LabelNames")
    try:
        unary(b"\xff", timeout=5)
        c.ok(False, "a request that is no message is refused")
    except grpc.RpcError as e:
        code = e.code()
    found = wait(lambda: [x for x in lines(store, "grpc", grpc_method="LabelNames") if "grpc.error" in x], 10)
    c.ok(found and found[0]["grpc.error"].startswith("rpc error: code = ") and found[0]["grpc.code"].lower() == code.name.replace("_", "").lower(),
         "gRPC: an error", f"{found} {code}")
    query.stop()
    store.stop()


def check_choice(c, p):
    bucket = p.file("bucket.yml", f"type: FILESYSTEM\nconfig: {{directory: {BUCKET}}}\n")
    config = p.file("some.yml", "http:\n  options: $(OPTIONS)\n  config:\n  - {path: /x/api/v1/labels, port: 1}\n"
                    "  - {path: /x/api/v1/query, port: 8080}\n  - path: /metrics\n"
                    "grpc:\n  options: {level: ERROR, decision: {log_end: true}}\n"
                    "  config:\n  - {service: thanos.Store, method: LabelNames}\n")
    q = p.query([], f"--request.logging-config-file={config}", "--log.level=debug", "--web.route-prefix=x", name="query-some",
                env={**os.environ, "OPTIONS": "{level: DEBUG, decision: {log_end: true}}"})
    for path in ("/x/api/v1/labels", "/x/api/v1/query?query=1", "/metrics", "/x/api/v1/stores"):
        get(q.url + path, headers={"Host": "q.example:8080"})
    found = [x["http.method"] for x in lines(q, "http")]
    c.ok(found == ["GET /x/api/v1/query?query=1", "GET /metrics"], "rows choose by path and port", found)
    c.ok(all(x["msg"] == "finished call" for x in lines(q, "http")), "only the end")
    q.stop()
    quiet = p.store(bucket, "--request.logging-config=options: " + ALL, name="store-quiet")
    off = p.store(bucket, "--log.level=debug", name="store-off")
    q = p.query([quiet.grpc, off.grpc], name="query-quiet")
    c.ok(q.api("labels")[0] == 200 and not lines(quiet, "grpc") and not lines(off, "grpc"), "--log.level counts; off is off")
    for proc in (q, quiet, off):
        proc.stop()
    prom = p.prometheus("one", external={"cluster": "a"})
    side = p.sidecar(prom, None, "--request.logging-config=options: " + ALL, "--log.level=debug")
    q = p.query([side.grpc], name="query-side")
    c.ok(wait(lambda: lines(side, "grpc", grpc_method="Info", component="sidecar"), 10), "the sidecar logs calls")
    for proc in (q, side, prom):
        proc.stop()


def check_bad(c, p):
    for text, want in (("optionz: {}", "--request.logging-config: 1:1: optionz: unknown key, did you mean 'options'?"),
                       ("options: {level: info}", "options.level: must be one of INFO,DEBUG,ERROR,WARNING"),
                       ("http:\n  options:\n    level: INFO\n    decision: {log_start: true}", "4:15: http.options: log_start without log_end"),
                       ("grpc: {options: {decision: {log_end: true}}}", "grpc.options: level is missing"),
                       ("http: {config: [{path: /a, port: 99999}]}", "1:34: http.config[0].port")):
        q = p.thanosc("query", "--request.logging-config=" + text, ready=False, name="bad")
        c.ok(wait(lambda: not q.alive(), 10) and q.p.returncode == 1 and want in q.text().replace('\\"', '"'), want, q.text())


def main():
    with Procs() as p:
        c = Checks(p)
        check_fields(c, p)
        check_choice(c, p)
        check_bad(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
