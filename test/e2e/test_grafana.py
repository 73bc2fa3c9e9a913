"""What Grafana's Prometheus data source asks, asked of thanosc query and of the Prometheus behind it: the answers have the
same shape, and the same content but for external labels.

The requests are those that the data source makes: health check, build information and rules (to find out what the
server can do), variables (label names and values, series, query_result), the metrics browser and metadata, panels (range
queries as POST forms with resolved $__rate_interval and $__interval, instant queries, exemplars), the query editor.

Usage: test_grafana.py. Ends with "N passed, N failed, N skipped".
"""
import gzip
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import Checks, Procs, wait  # noqa: E402

EXTERNAL = {"cluster": "eu"}
RULES = """
groups:
- name: grafana
  interval: 1s
  rules:
  - alert: Scraped
    expr: up == 1
    labels: {severity: page}
  - record: job:up:sum
    expr: sum by (job) (up)
"""
HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "Grafana/12.0.0", "X-Grafana-Org-Id": "1", "X-Dashboard-Uid": "abc",
           "X-Datasource-Uid": "prom", "X-Panel-Id": "2"}


def ask(url, method, path, params):
    form = urllib.parse.urlencode(params, doseq=True)
    post = method == "POST"
    r = urllib.request.Request(f"{url}/api/v1/{path}" + ("" if post or not form else "?" + form), data=form.encode() if post else None,
                               headers={**HEADERS, **({"Content-Type": "application/x-www-form-urlencoded"} if post else {})})
    try:
        a = urllib.request.urlopen(r, timeout=60)
    except urllib.error.HTTPError as e:
        a = e
    with a:
        body = a.read()
        return a.status, json.loads(gzip.decompress(body) if a.headers.get("Content-Encoding") == "gzip" else body)


def plain(v):
    """Without external labels, and without what two processes cannot have in common."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items() if k not in EXTERNAL and k not in ("evaluationTime", "lastEvaluation", "interval", "activeAt", "warnings", "infos")}
    if isinstance(v, list):
        return sorted((plain(x) for x in v if x not in list(EXTERNAL)), key=lambda x: json.dumps(x, sort_keys=True))
    return v


def shape(v):
    """Of a matrix: which series have a value when. Rates of counters that are a few samples old changed since 2.42."""
    return sorted((json.dumps(plain(s["metric"]), sort_keys=True), [t for t, _ in s["values"]]) for s in v["data"]["result"])


def panels(start, end):
    """[(method, path, parameters)] of a dashboard: ends lie behind what is still being scraped."""
    span = {"start": f"{start}", "end": f"{end}"}
    ranges = [  # $__rate_interval and $__interval are resolved by Grafana; the step is what the panel's width gives
        "rate(prometheus_http_requests_total[1m0s])", "sum by (code) (increase(prometheus_http_requests_total[15s]))", "up", "up{job=~\".+\"} == 1",
        "histogram_quantile(0.95, sum by (le, handler) (rate(prometheus_http_request_duration_seconds_bucket[1m0s])))", "topk(1, sum by (handler) (prometheus_http_requests_total))",
        "vector(1)", "avg_over_time(up[5s])", "nothing_has_this_name"]
    out = [("POST", "query_range", {"query": q, **span, "step": step}) for q in ranges for step in ("1", "15")]
    out += [("POST", "query", {"query": q, "time": f"{end}"}) for q in ("up", "sum(up)", "1+1", "count by (job) (up)", "up[5s]", "time() * 0", '"text"')]
    out += [("GET", "query_range", {"query": "up", "start": f"{start}.000", "end": f"{end}.000", "step": "1.000"}),
            ("POST", "query_range", {"query": "sum(", **span, "step": "1"}), ("POST", "query_range", {"query": "up", **span, "step": "0"}),
            ("POST", "query_range", {"query": "up", "start": f"{end - 40000}", "end": f"{end}", "step": "1"})]
    return out


def variables(start, end):
    span = {"start": f"{start}", "end": f"{end}"}
    return [("POST", "labels", span), ("GET", "labels", {**span, "match[]": "up"}), ("GET", "label/job/values", span),
            ("GET", "label/__name__/values", {**span, "match[]": 'up{job="self"}'}), ("GET", "label/handler/values", {**span, "match[]": "prometheus_http_requests_total", "limit": "40000"}),
            ("POST", "series", {**span, "match[]": "up"}), ("GET", "series", {**span, "match[]": ["up", 'job:up:sum{job="self"}']}),
            ("POST", "query", {"query": "query_result_is(up)", "time": f"{end}"}), ("POST", "query", {"query": "max by (instance) (up)", "time": f"{end}"})]


def compare(c, prom, query, requests, what):
    for method, path, params in requests:
        theirs, ours = ask(prom.url, method, path, params), ask(query.url, method, path, params)
        name = f"{what}: {method} {path} {params}"
        if not c.ok(theirs[0] == ours[0], f"{name}: status", (theirs, ours)):
            continue
        if theirs[0] != 200:
            c.ok(theirs[1]["errorType"] == ours[1]["errorType"] and ours[1]["status"] == "error" and ours[1]["error"], f"{name}: error", (theirs, ours))
            continue
        view = shape if "[1m0s]" in params.get("query", "") or "[15s]" in params.get("query", "") else plain
        c.ok(view(theirs[1]) == view(ours[1]), f"{name}: answer", json.dumps([view(theirs[1]), view(ours[1])]))


def first_contact(c, prom, query):
    """What the data source asks when it is saved or opened."""
    for method in ("GET", "POST"):
        status, body = ask(query.url, method, "query", {"query": "1+1", "time": f"{time.time():.3f}"})
        c.ok(status == 200 and body["data"]["resultType"] == "scalar" and body["data"]["result"][1] == "2", f"health check by {method}", body)
    status, body = ask(query.url, "GET", "status/buildinfo", {})
    theirs = ask(prom.url, "GET", "status/buildinfo", {})[1]
    c.ok(status == 200 and set(theirs["data"]) <= set(body["data"]) and body["data"]["version"], "build information", body)
    status, body = ask(query.url, "GET", "rules", {})
    groups = plain(ask(prom.url, "GET", "rules", {})[1]["data"]["groups"])
    for g in (ours := plain(body["data"]["groups"])):
        g.pop("partialResponseStrategy", None)
    c.ok(status == 200 and [g["name"] for g in ours] == [g["name"] for g in groups] == ["grafana"]
         and [r["type"] for r in ours[0]["rules"]] == [r["type"] for r in groups[0]["rules"]], "rules", (groups, ours))
    for params in ({}, {"metric": "up"}, {"metric": "prometheus_http_requests_total", "limit": "10"}):
        theirs, ours = (ask(p.url, "GET", "metadata", params) for p in (prom, query))
        c.ok(theirs[0] == ours[0] == 200 and plain(theirs[1]["data"]) == plain(ours[1]["data"]), f"metadata {params}", (theirs, ours))
    for method in ("GET", "POST"):
        status, body = ask(query.url, method, "query_exemplars", {"query": "prometheus_http_requests_total", "start": "0", "end": f"{time.time():.3f}"})
        c.ok(status == 200 and body["data"] == [], f"exemplars by {method}", body)
    for path in ("format_query", "parse_query"):
        status, body = ask(query.url, "POST", path, {"query": "sum(rate(x[1m0s]))by(a)"})
        c.ok(status == 200 and body["data"], f"the editor's {path}", body)


def main():
    with Procs() as p:
        c = Checks(p)
        rules = p.file("rules.yml", RULES)
        prom = p.prometheus("a", external=EXTERNAL, scrape=[("self", "self")], extra=f"rule_files: ['{rules}']\n")
        query = p.query([p.sidecar(prom).grpc])
        # some scrapes, then a stretch of time that is over for both
        wait(lambda: float(prom.value("count_over_time(up[1m])") or 0) >= 12, 60)
        wait(lambda: query.value("job:up:sum"), 30)
        end = int(time.time()) - 2
        start = end - 8
        first_contact(c, prom, query)
        compare(c, prom, query, panels(start, end), "panel")
        compare(c, prom, query, variables(start, end), "variable")
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
