"""thanosc store on the recorded bucket and thanosc query in front of it, as a user starts them, against the answers that a
real `thanos query` gave (answers/thanos.jsonl, server "stores").

Compared: HTTP status, error type, presence of warnings, series and values (1e-12 relative). Functions of counters near a
reset deviate in Thanos itself (see answers/README.md): for these 10% of the values may be off by up to 25%.
Ends with "N passed, N failed, N skipped".
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from compare import close, mostly, normal  # noqa: E402
from procs import THANOSC, Checks, Procs, promtool_clean  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = sys.argv[1] if len(sys.argv) > 1 else THANOSC
COUNTER = re.compile(r"\b(rate|irate|increase|resets)\(")


def same(row, status, ours):
    theirs = json.loads(row["body"])
    if isinstance(theirs.get("data"), dict):
        theirs["data"].pop("analysis", None)  # Thanos' own addition to Prometheus' bodies
    if status != row["status"] or ours["status"] != theirs["status"]:
        return False
    if ours["status"] == "error":
        return ours["errorType"] == theirs["errorType"]
    if bool(ours.get("warnings")) != bool(theirs.get("warnings")):
        return False
    a, b = normal(ours), normal(theirs)
    query = row["params"].get("query", "")
    if close(a, b, 1e-12):
        return True
    return bool(COUNTER.search(query)) and isinstance(a, dict) and mostly(a, b)


def main():
    rows = [json.loads(l) for l in open(os.path.join(HERE, "answers/thanos.jsonl"))]
    rows = [r for r in rows if r["server"] == "stores" and re.match(r"(query|query_range|series|labels|label/.*)$", r["api"])]
    with Procs() as p:
        c = Checks(p)
        store = p.store(p.bucket(os.path.join(HERE, "blocks/bucket")), binary=BIN)
        query = p.query([store.grpc], binary=BIN)
        for r in rows:
            status, ours = query.api(r["api"], **r["params"])
            c.ok(same(r, status, ours), f"{r['api']} {r['params']}",
                 f"ours {status}: {json.dumps(ours)[:500]}\n  theirs {r['status']}: {r['body'][:500]}")
        for proc in (store, query):
            why = promtool_clean(proc)
            c.ok(not why, f"promtool on {proc.name}", why)
        store.kill()
        status, body = query.api("query", query="up", time=1789995900)
        c.ok(status == 200 and store.grpc in json.dumps(body.get("warnings", [])), "a dead store is named", body)
        c.ok(query.stop() == 0, "query ends with 0")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
