"""Expressions over HTTP: /api/v1/format_query and /api/v1/parse_query answer what Prometheus answers, and --enable-feature decides what parses.

Usage: test_expressions.py. Ends with "N passed, N failed, N skipped".
"""
import gzip
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from procs import Checks, Procs, get  # noqa: E402

PROMQL = "promql-experimental-functions,promql-extended-range-selectors"


def recorded():
    with gzip.open(os.path.join(HERE, "../golden/parse/prometheus.jsonl.gz"), "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def ask(proc, path, post, **params):
    """(status, body as text)"""
    form = urllib.parse.urlencode(params)
    url = f"{proc.url}/api/v1/{path}"
    if not post:
        status, body = get(f"{url}?{form}")
        return status, body.decode()
    try:
        with urllib.request.urlopen(url, form.encode(), 30) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def check_recorded(c, proc, features):
    rows = [r for r in recorded() if r["features"] == features]
    bad = []
    for i, r in enumerate(rows):
        answers = [(p, *ask(proc, p, i % 2, query=r["query"])) for p in ("format_query", "parse_query")]
        for path, status, body in answers:
            if "error" in r:
                want = {"status": "error", "errorType": "bad_data", "error": 'invalid parameter "query": ' + r["error"]}
                same = status == 400 and json.loads(body) == want
            elif path == "format_query":
                same = status == 200 and json.loads(body) == {"status": "success", "data": r["format"]}
            else:
                same = status == 200 and body == '{"status":"success","data":' + r["ast"] + "}"
            if not same:
                bad.append((path, r["query"], status, body))
    c.ok(len(rows) > 50 and not bad, f"{len(rows)} expressions with features {features}", f"{len(bad)}: {bad[:3]}")


def error(proc, query, path="query", **params):
    body = json.loads(ask(proc, path, False, query=query, **params)[1])
    return body.get("error")


def check_features(c, p):
    on = p.query([], f"--enable-feature={PROMQL}, promql-binop-fill-modifiers", "--enable-feature=promql-delayed-name-removal,use-start-timestamps",
                 "--enable-feature=promql-at-modifier,promql-no-such,query-pushdown,", name="query-on")
    off = p.query([], name="query-off")
    check_recorded(c, on, 7)
    check_recorded(c, off, 0)
    log = on.text()
    c.ok("unknown option for --enable-feature: promql-no-such" in log, "an unknown feature is warned about", log)
    c.ok("promql-at-modifier is always on" in log and "query-pushdown is no longer supported" in log, "features without effect are warned about", log)
    for name in PROMQL.split(",") + ["promql-binop-fill-modifiers", "promql-delayed-name-removal", "use-start-timestamps"]:
        c.ok(f"experimental feature {name} is on" in log, f"{name} is logged", log)
    pre = 'invalid parameter "query": '
    c.ok(error(off, "max_of(1, 2)") == pre + '1:1: parse error: function "max_of" is not enabled', "query without features", error(off, "max_of(1, 2)"))
    got = error(off, "mad_over_time(x[5m])", "query_exemplars")
    c.ok(got == pre + '1:1: parse error: function "mad_over_time" is not enabled', "exemplars without features", got)
    got = error(on, "mad_over_time(x[5m])", "query_exemplars")
    c.ok(got is None, "exemplars with features", got)
    got = error(off, "xrate(x[5m])", "format_query")
    c.ok(got == pre + '1:1: parse error: unknown function with name "xrate"', "xrate without its flag", got)
    x = p.query([], "--query.enable-x-functions", name="query-x")
    got = ask(x, "format_query", True, query="xrate( x [5m] )")
    c.ok(got == (200, '{"status":"success","data":"xrate(x[5m])"}'), "xrate with its flag", got)
    # durations are told the window of the query
    got = error(off, "x[range() - 1m]", time=1000)
    c.ok(got == pre + "2:14: duration must be greater than 0", "an instant query has no range", got)
    got = error(off, "rate(x[range() - 1m])", "query_range", start=1000, end=1060, step=15)
    c.ok(got == pre + "7:19: duration must be greater than 0", "a range query of one minute", got)
    got = error(off, "rate(x[range() - 1m])", "query_range", start=1000, end=1061, step=15)
    c.ok(got is None, "a range query longer than a minute", got)
    got = error(off, "rate(x[step() - 15])", "query_range", start=1000, end=1061, step=15)
    c.ok(got == pre + "7:18: duration must be greater than 0", "the step of a range query", got)
    for proc in (on, off, x):
        proc.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        check_features(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
