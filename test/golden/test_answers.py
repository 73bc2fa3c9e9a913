"""The recorded answers of Prometheus 3.14 (answers/prometheus.jsonl.gz) against our engine over the same blocks.

Bodies must be equal after label-sorting the vectors that the query leaves unordered; where libm's last digit may differ
from Go's, numbers may differ by 2 ulp. What needs HTTP (parameters, other endpoints) is asked by test_http_answers.py.
Usage: test_answers.py [PATH_OF_TOOL]. Ends with "N passed, N failed, N skipped".
"""
import datetime
import gzip
import json
import os
import re
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = sys.argv[1] if len(sys.argv) > 1 else "build/asan/test/tool_answer"
LIBM = re.compile(r"\b(exp|ln|log2|log10|sin|cos|tan|asin|acos|atan|sinh|cosh|tanh|asinh|acosh|atanh)\(|\^|atan2")
ORDERED = re.compile(r"\b(sort|sort_desc|sort_by_label|topk|bottomk|limitk)\b")


def blocks_of(server):
    rows = [l.split("\t") for l in open(os.path.join(HERE, "blocks/blocks.tsv")).read().splitlines()[1:]]
    special = {"values", "hist", "floathist", "ooo"}
    want = {"us": {"us-a"}, "eu-a": {"eu-a"}, "special": special}[server]
    return [os.path.join(HERE, "blocks/bucket", r[2]) for r in rows if r[0] in want and r[3] == "bucket"]


def ms(text):
    try:
        return round(float(text) * 1000)
    except ValueError:
        return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def duration(text):
    try:
        return round(float(text) * 1000)
    except ValueError:
        units = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000}
        return sum(int(n) * units[u] for n, u in re.findall(r"(\d+)(ms|s|m|h|d)", text))


def request(row):
    p = row["params"]
    one = lambda k: p[k][0] if isinstance(p[k], list) else p[k]
    q = one("query").replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    if row["api"] == "query":
        t = ms(one("time"))
        return f"{t}\t{t}\t0\t{q}"
    return f"{ms(one('start'))}\t{ms(one('end'))}\t{duration(one('step'))}\t{q}"


def sort_vectors(body, query):
    data = body.get("data")
    if isinstance(data, dict) and data.get("resultType") in ("vector", "matrix") and not ORDERED.search(query):
        data["result"].sort(key=lambda s: json.dumps(s["metric"], sort_keys=True))
    for k in ("warnings", "infos"):
        if k in body:
            # Prometheus counts a sample anew each time it merges annotations; ours counts it once.
            body[k] = sorted(re.sub(r"over \d+ samples from", "over N samples from", t) for t in body[k])
    return body


def ulps(a, b):
    ia, ib = (struct.unpack("<q", struct.pack("<d", x))[0] for x in (a, b))
    return abs((ia if ia >= 0 else -(2**63) - ia) - (ib if ib >= 0 else -(2**63) - ib))


def equal(a, b, loose):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k], loose) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(equal(x, y, loose) for x, y in zip(a, b))
    if a == b:
        return True
    if loose and isinstance(a, str):
        try:
            return ulps(float(a), float(b)) <= 2
        except ValueError:
            return False
    return False


def main():
    rows = [json.loads(l) for l in gzip.open(os.path.join(HERE, "answers/prometheus.jsonl.gz"), "rt")]
    rows = [r for r in rows if r["api"] in ("query", "query_range")]
    passed = failed = 0
    runnable = []
    for r in rows:
        try:
            request(r)
            p = r["params"]
            if r["api"] == "query_range" and not 0 < duration(str(p["step"])) or set(p) - {"query", "time", "start", "end", "step"}:
                raise ValueError
            if r["api"] == "query_range" and not 0 <= ms(p["end"]) - ms(p["start"]) <= 11000 * duration(p["step"]):
                raise ValueError
            runnable.append(r)
        except (ValueError, KeyError, TypeError):
            pass  # a test of HTTP parameters
    for server in ("us", "eu-a", "special"):
        mine = [r for r in runnable if r["server"] == server]
        out = subprocess.run([TOOL, *blocks_of(server)], input="\n".join(map(request, mine)) + "\n",
                             capture_output=True, text=True)
        if out.returncode != 0:
            print(out.stderr[-3000:])
        answers = out.stdout.splitlines()
        for r, got in zip(mine, answers + [""] * (len(mine) - len(answers))):
            query = r["params"]["query"]
            query = query[0] if isinstance(query, list) else query
            ours = json.loads(got) if got else {"status": "none", "error": "no answer (crashed?)"}
            theirs = json.loads(r["body"])
            same = equal(sort_vectors(ours, query), sort_vectors(theirs, query), bool(LIBM.search(query)))
            if same:
                passed += 1
                continue
            failed += 1
            print(f"FAILED {server} {r['api']} {query}\n  ours:   {json.dumps(ours)[:600]}\n  theirs: {json.dumps(theirs)[:600]}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
