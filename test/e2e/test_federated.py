"""Rules, alerts, targets, metadata, exemplars and TSDB statistics: two replicas of Debian's Prometheus behind sidecars, a
querier over both, a querier over that one; by HTTP and by gRPC. With THANOS in the environment a real Thanos is asked the same.

Usage: test_federated.py. Ends with "N passed, N failed, N skipped".
"""
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc  # noqa: E402

from procs import Checks, Procs, port, wait  # noqa: E402
from storeapi import MSG, Client  # noqa: E402

PAGE = """# HELP app_requests Requests, with exemplars.
# TYPE app_requests counter
app_requests_total{code="200"} %d # {trace_id="t%d"} 1.5 %d.25
# HELP app_size_bytes Size.
# TYPE app_size_bytes gauge
# UNIT app_size_bytes bytes
app_size_bytes 7
# EOF
"""
RULES = """
groups:
- name: alerts
  interval: 1s
  rules:
  - alert: AlwaysOn
    expr: vector(1)
    labels: {severity: page}
    annotations: {summary: 'value {{ $value }}'}
  - alert: Waiting
    expr: app_size_bytes > 0
    for: 1h
    labels: {severity: '{{ $labels.job }}'}
- name: records
  interval: 1s
  rules:
  - record: job:app:sum
    expr: sum by (job) (app_requests_total)
    labels: {kind: recorded}
"""
MORE = """- job_name: dropped
  static_configs: [{{targets: ['127.0.0.1:2']}}]
  relabel_configs: [{{source_labels: [job], regex: dropped, action: drop}}]
rule_files: ['{rules}']
"""
THANOS = os.environ.get("THANOS")


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        n = int(time.time())
        body = (PAGE % (n, n, n)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def data(c, proc, path, what="", warnings=0, **params):
    status, body = proc.api(path, **params)
    c.ok(status == 200 and len(body.get("warnings", [])) == warnings, f"{what or proc.name}: {path} {params}: 200, {warnings} warnings", body)
    return body.get("data")


def rules_of(groups):
    return {(r["type"], r["name"]): r for g in groups["groups"] for r in g["rules"]}


def check_rules(c, query, proms):
    groups = data(c, query, "rules")
    c.ok([g["name"] for g in groups["groups"]] == ["alerts", "records"], "groups of both replicas are one", groups)
    rules = rules_of(groups)
    c.ok(list(rules) == [("alerting", "AlwaysOn"), ("alerting", "Waiting"), ("recording", "job:app:sum")], "each rule once", list(rules))
    c.ok(rules["alerting", "AlwaysOn"]["labels"] == {"cluster": "eu", "severity": "page"}, "external labels but for the replica", rules)
    c.ok(rules["alerting", "AlwaysOn"]["state"] == "firing" and rules["alerting", "Waiting"]["state"] == "pending", "states", rules)
    theirs = rules_of(proms[0].api("rules")[1]["data"])
    for key, r in rules.items():
        for field in ("name", "query", "health", "duration", "annotations", "type"):
            c.ok(r.get(field) == theirs[key].get(field), f"{key}: {field} as Prometheus tells", f"{r} {theirs[key]}")
    latest = max(rules_of(p.api("rules")[1]["data"])["recording", "job:app:sum"]["lastEvaluation"] for p in proms)
    c.ok(rules["recording", "job:app:sum"]["lastEvaluation"] <= latest and len(latest) > 20, "a time", latest)
    for params, names in (({"type": "alert"}, ["AlwaysOn", "Waiting"]), ({"type": "RECORD"}, ["job:app:sum"]),
                          ({"rule_name[]": ["Waiting", "job:app:sum"]}, ["Waiting", "job:app:sum"]), ({"rule_group[]": "records"}, ["job:app:sum"]),
                          ({"file[]": "nothere"}, []), ({"match": '{severity="page"}'}, ["AlwaysOn"]), ({"match": '{severity="app"}'}, []),
                          ({"match": ['{cluster="eu"}', '{kind="recorded"}']}, ["job:app:sum"])):
        got = [r["name"] for g in data(c, query, "rules", **params)["groups"] for r in g["rules"]]
        c.ok(got == names, f"rules by {params}", got)
    for params in ({"type": "none"}, {"match": "{"}, {"partial_response": "maybe"}):
        status, body = query.api("rules", **params)
        c.ok(status == 400 and body["errorType"] == "bad_data", f"rules: {params} is refused", body)
    alerts = data(c, query, "alerts")["alerts"]
    c.ok(sorted(a["labels"]["alertname"] for a in alerts) == ["AlwaysOn", "Waiting"] and alerts[0]["annotations"] == {"summary": "value 1"},
         "alerts", alerts)


def check_targets(c, query):
    targets = data(c, query, "targets")
    health = {t["labels"]["job"]: t for t in targets["activeTargets"]}
    c.ok({k: t["health"] for k, t in health.items()} == {"app": "up", "down": "down"} and len(targets["activeTargets"]) == 2,
         "each target once, up or down", targets)
    c.ok("connection refused" in health["down"]["lastError"] and health["app"]["scrapePool"] == "app", "why it is down", health["down"])
    c.ok(health["app"]["labels"] == {"cluster": "eu", "instance": health["app"]["discoveredLabels"]["__address__"], "job": "app"}, "labels", health["app"])
    c.ok([t["discoveredLabels"]["job"] for t in targets["droppedTargets"]] == ["dropped"], "the dropped target", targets["droppedTargets"])
    for state, n in (("active", (2, 0)), ("dropped", (0, 1)), ("any", (2, 1))):
        got = data(c, query, "targets", state=state)
        c.ok((len(got["activeTargets"]), len(got["droppedTargets"])) == n, f"targets: {state}", got)
    status, body = query.api("targets", state="asleep")
    c.ok(status == 400 and "invalid targets parameter state='asleep'" in body["error"], "targets: another state is refused", body)


def check_metadata(c, query):
    got = data(c, query, "metadata")
    c.ok(got.get("app_requests") == [{"type": "counter", "help": "Requests, with exemplars.", "unit": ""}]
         and got["app_size_bytes"][0]["unit"] == "bytes", "metadata", got)
    c.ok(list(got) == sorted(got), "metadata: sorted by metric", list(got))
    c.ok(list(data(c, query, "metadata", metric="app_size_bytes")) == ["app_size_bytes"], "metadata of one metric")
    c.ok(len(data(c, query, "metadata", limit=1)) == 1 and data(c, query, "metadata", limit=0) == {}, "metadata: limit")
    c.ok(query.api("metadata", limit="x")[0] == 400, "metadata: a limit that is no number")


def check_exemplars(c, query, proms):
    now = time.time()
    window = {"start": now - 60, "end": now + 60}

    def asked(q):
        return data(c, query, "query_exemplars", query=q, **window)
    got = wait(lambda: asked("app_requests_total"), 15, 0.5) or [{}]
    c.ok(len(got) == 1 and got[0]["seriesLabels"] == {"__name__": "app_requests_total", "cluster": "eu", "code": "200", "job": "app",
                                                     "instance": got[0]["seriesLabels"]["instance"]}, "exemplars: one series of two replicas", got)
    own = {(e["labels"]["trace_id"], e["value"], e["timestamp"]) for p in proms
           for s in p.api("query_exemplars", query="app_requests_total", **window)[1]["data"] for e in s["exemplars"]}
    mine = [(e["labels"]["trace_id"], e["value"], e["timestamp"]) for e in got[0].get("exemplars", [])]
    c.ok(mine and len(set(mine)) == len(mine) and set(mine) <= own and mine == sorted(mine, key=lambda e: e[2]),
         "exemplars: each once, in order, all known to a Prometheus", f"{mine} {own}")
    c.ok(bool(asked('rate(app_requests_total{cluster="eu",replica="a"}[1m])')), "exemplars: external labels choose the sidecar and are left out")
    c.ok(bool(asked('{cluster="eu"}')), "exemplars: nothing but external labels")
    c.ok(asked('app_requests_total{cluster="us"}') == [], "exemplars: external labels of nobody")
    for q in ("(", ""):
        status, body = query.api("query_exemplars", query=q, **window)
        c.ok(status == 400 and body["errorType"] == "bad_data", f"exemplars: a bad query {q!r}", body)
    form = urllib.parse.urlencode({"query": "app_requests_total", **window}).encode()
    with urllib.request.urlopen(query.url + "/api/v1/query_exemplars", form, 30) as r:
        c.ok(json.load(r)["data"], "exemplars: POST")


def check_statistics(c, query, proms):
    got = data(c, query, "status/tsdb")
    heads = [p.api("status/tsdb")[1]["data"]["headStats"] for p in proms]
    total = sum(h["numSeries"] for h in heads)
    c.ok(abs(got["headStats"]["numSeries"] - total) <= 4 and got["headStats"]["maxTime"] > (time.time() - 60) * 1000,
         "statistics: the series of both heads", f"{got['headStats']} {heads}")
    c.ok(list(got) == ["headStats", "seriesCountByMetricName", "labelValueCountByLabelName", "memoryInBytesByLabelName",
                       "seriesCountByLabelValuePair"], "statistics: members", list(got))
    values = [s["value"] for s in got["seriesCountByMetricName"]]
    c.ok(values == sorted(values, reverse=True) and 1 < len(values) <= 10, "statistics: in order", values)
    c.ok(len(data(c, query, "status/tsdb", limit=2)["seriesCountByMetricName"]) == 2, "statistics: limit")
    one = data(c, query, "status/tsdb", match='{replica="a"}')["headStats"]["numSeries"]
    c.ok(0 < one < got["headStats"]["numSeries"], "statistics: of one replica", one)
    c.ok(data(c, query, "status/tsdb", match='{replica="c"}')["headStats"]["numSeries"] == 0, "statistics: of nobody")


def check_grpc(c, proc, replicas):
    client = Client(proc.grpc)
    info = client.info()
    for api in ("rules", "targets", "metadata", "exemplars", "status"):
        c.ok(info.HasField(api), f"{proc.name}: Info offers {api}", info)
    groups, warnings = client.federated("Rules/Rules", "RulesResponse", MSG["RulesRequest"](type=1))
    groups = [g for g in groups if g.rules]  # Prometheus 2.42 gives groups that have none left, too
    c.ok([g.name for g in groups] == ["alerts"] * replicas and not warnings, f"{proc.name}: gRPC Rules", groups)
    rule = groups[0].rules[0].alert
    c.ok(rule.name == "AlwaysOn" and [(x.name, x.value) for x in rule.labels.labels][0] == ("cluster", "eu") and rule.alerts[0].active_at.seconds > 0
         and groups[0].PartialResponseStrategy == 1, f"{proc.name}: gRPC rule", rule)
    targets, _ = client.federated("Targets/Targets", "TargetsResponse", MSG["TargetsRequest"](state=1))
    c.ok(len(targets) == 1 and len(targets[0].activeTargets) == 2 * replicas and not targets[0].droppedTargets, f"{proc.name}: gRPC Targets", targets)
    metadata, _ = client.federated("Metadata/MetricMetadata", "MetricMetadataResponse", MSG["MetricMetadataRequest"](limit=-1))
    c.ok("app_requests" in [m.key for m in metadata[0].metadata], f"{proc.name}: gRPC MetricMetadata", metadata)
    request = MSG["ExemplarsRequest"](query="app_requests_total", start=0, end=int(time.time() + 60) * 1000)
    exemplars, _ = client.federated("Exemplars/Exemplars", "ExemplarsResponse", request)
    c.ok(len(exemplars) == replicas and exemplars[0].exemplars[0].value == 1.5, f"{proc.name}: gRPC Exemplars", exemplars)
    request.query = "("
    try:
        client.federated("Exemplars/Exemplars", "ExemplarsResponse", request)
        c.ok(False, f"{proc.name}: gRPC Exemplars: a bad query")
    except grpc.RpcError as e:
        want = "unclosed left parenthesis" if proc.name == "query" else "expected 2xx response, got 400. Body: "
        c.ok(e.code() == grpc.StatusCode.INVALID_ARGUMENT and (want in e.details() or "parse error" in e.details()),
             f"{proc.name}: gRPC Exemplars: a bad query is InvalidArgument", e)
    stats, _ = client.federated("Status/TSDBStatistics", "TSDBStatisticsResponse", MSG["TSDBStatisticsRequest"](limit=1))
    c.ok(len(stats) == 1 and stats[0].statistics[0].key == "" and stats[0].statistics[0].value.head_statistics.num_series > 0,
         f"{proc.name}: gRPC TSDBStatistics", stats)
    client.close()


def check_partial(c, query, sidecar):
    """One of two endpoints goes away."""
    sidecar.kill()
    paths = [("rules", {}), ("alerts", {}), ("targets", {}), ("metadata", {}), ("query_exemplars", {"query": "app_requests_total"}), ("status/tsdb", {})]
    for path, params in paths:
        got = query.api(path, **params)
        c.ok(got[0] == 200 and got[1]["data"] and any(sidecar.grpc in w for w in got[1].get("warnings", [])),
             f"{path}: what is left, and a warning that names the endpoint", got)
        got = query.api(path, partial_response="false", **params)
        c.ok(got[0] == 500 and got[1]["errorType"] == "internal" and sidecar.grpc in got[1]["error"], f"{path}: partial_response=false", got)


def clean(value):
    """Without what differs from one moment to the next."""
    text = json.dumps(value, sort_keys=True)
    text = re.sub(r'"(evaluationTime|lastScrapeDuration)": [0-9.e-]+', r'"\1": 0', text)
    return re.sub(r'"(lastEvaluation|lastScrape|activeAt)": "[^"]+"', r'"\1": ""', text)


def check_thanos(c, p, query, sidecars, proms):
    """A real Thanos over our sidecars says the same as our querier, and so do we over sidecars of Thanos."""
    theirs = p.query([s.grpc for s in sidecars], binary=THANOS, name="thanos-query")
    over = p.query([p.sidecar(prom, binary=THANOS, name="thanos-" + prom.name).grpc for prom in proms], name="over-thanos")
    now = time.time()
    for path, params in (("rules", {}), ("rules", {"type": "record"}), ("alerts", {}), ("targets", {}), ("targets", {"state": "dropped"}), ("metadata", {}),
                         ("query_exemplars", {"query": 'app_requests_total{cluster="eu"}', "start": now - 60, "end": now - 3})):
        a = query.api(path, **params)
        for other in (theirs, over):
            b = other.api(path, **params)
            c.ok(a[0] == b[0] == 200 and clean(a[1]) == clean(b[1]), f"{path} {params}: as {other.name} answers", f"{clean(a[1])}\n{clean(b[1])}")
    check_statistics(c, over, proms)


def main():
    app = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with Procs() as p:
        c = Checks(p)
        extra = MORE.format(rules=p.file("rules.yml", RULES))
        proms = [p.prometheus(r, external={"cluster": "eu", "replica": r}, flags=["--enable-feature=exemplar-storage"],
                              scrape=[("app", f"127.0.0.1:{app.server_address[1]}"), ("down", "127.0.0.1:1")], extra=extra) for r in "ab"]
        for prom in proms:
            c.ok(wait(lambda: prom.value("job:app:sum") and 'Waiting' in json.dumps(prom.api("alerts")[1])
                      and {t["health"] for t in prom.api("targets")[1]["data"]["activeTargets"]} == {"up", "down"}, 30), f"{prom.name} has all there is")
        sidecars = [p.sidecar(prom) for prom in proms]
        query = p.query([s.grpc for s in sidecars])
        upper = p.query([query.grpc], name="upper")
        check_exemplars(c, query, proms)
        for q in (query, upper):
            check_rules(c, q, proms)
            check_targets(c, q)
            check_metadata(c, q)
            check_statistics(c, q, proms)
        check_exemplars(c, upper, proms)
        check_grpc(c, sidecars[0], 1)
        check_grpc(c, query, 2)
        if THANOS:
            check_thanos(c, p, query, sidecars, proms)
        else:
            c.skip("comparison with Thanos: THANOS is not set")
        nobody = p.query([f"127.0.0.1:{port()}"], "--rule.partial-response=false", name="nobody", see=0)
        got = nobody.api("rules")
        c.ok(got[0] == 500, "--rule.partial-response=false: an endpoint that never answered ends the request", got)
        got = nobody.api("targets")
        c.ok(got[0] == 200 and got[1]["data"] == {"activeTargets": [], "droppedTargets": []} and got[1]["warnings"], "targets of nobody, with a warning", got)
        check_partial(c, query, sidecars[1])
    app.shutdown()
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
