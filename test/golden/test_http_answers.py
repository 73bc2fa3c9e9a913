"""All recorded answers of Prometheus 3.14 (answers/prometheus.jsonl.gz), HTTP parameters included, against `thanosc query`
in front of a `thanosc store` that serves the same blocks: status and bytes of the body.

Prometheus had no external labels: they are replica labels here, and so taken off. Vectors that the query leaves unordered
are label-sorted before; numbers of functions that go through libm may differ by 2 ulp (listed at the end). Where
Prometheus counts the samples behind an annotation anew at each merge, the number is left out.
Usage: test_http_answers.py. Ends with "N passed, N failed, N skipped".
"""
import gzip
import json
import os
import re
import shutil
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import Checks, Procs, get  # noqa: E402
from test_answers import LIBM, blocks_of, equal, sort_vectors  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FEATURES = "promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers"
# What cannot be equal: part of the request -> why.
DIFFERENT = {
    '"limit": "3"': "external labels are among the names here",
    '"step": ""': "without a step Thanos, and we, choose one",
}


def sorted_text(body, query):
    """The bytes with unordered vectors sorted, spaces as they were."""
    doc = json.loads(body)
    sortable = isinstance(doc.get("data"), dict) and "resultType" in doc["data"]
    return json.dumps(sort_vectors(doc, query), ensure_ascii=False, separators=(",", ":")) if sortable else body


def serve(p, server, *flags):
    """A store over the server's blocks and a querier with these flags, without the labels that the blocks' stores have."""
    bucket = p.dir("bucket-" + server)
    for path in blocks_of(server):
        shutil.copytree(path, os.path.join(bucket, os.path.basename(path)), dirs_exist_ok=True)
    store = p.thanosc("store", f"--objstore.config={{type: FILESYSTEM, config: {{directory: {bucket}}}}}", f"--data-dir={p.dir('data-' + server)}",
                      name="store-" + server)
    labels = {l for b in os.listdir(bucket) for l in json.load(open(os.path.join(bucket, b, "meta.json")))["thanos"]["labels"]}
    return p.thanosc("query", f"--endpoint={store.grpc}", f"--enable-feature={FEATURES}", "--query.metadata.default-time-range=0s",
                     *(f"--query.replica-label={l}" for l in sorted(labels)), *flags, name="query-" + server)


def main():
    rows = [json.loads(l) for l in gzip.open(os.path.join(HERE, "answers/prometheus.jsonl.gz"), "rt")]
    c, ulp = Checks(), []
    with Procs() as p:
        servers = {s: serve(p, s) for s in ("us", "eu-a", "special")}
        for r in rows:
            query = r["params"].get("query", "")
            query = query[0] if isinstance(query, list) else query
            url = f"{servers[r['server']].url}/api/v1/{urllib.parse.quote(r['api'])}?{urllib.parse.urlencode(r['params'], doseq=True)}"
            status, body = get(url)[:2]
            body = body.decode()
            what = f"{r['server']} {r['api']} {json.dumps(r['params'], ensure_ascii=False)}"
            theirs, ours = json.loads(r["body"]), json.loads(body or "{}")
            same = status == r["status"] and sorted_text(body, query) == sorted_text(r["body"], query)
            if not same and status == r["status"] and LIBM.search(query):
                same = equal(sort_vectors(ours, query), sort_vectors(theirs, query), True)
                if same:
                    ulp.append(query)
            if not same and r["api"] not in ("query", "query_range"): # Thanos' JSON escapes < > &; names of external labels
                if r["api"] == "labels" and ours.get("data"):
                    ours["data"] = [l for l in ours["data"] if l not in ("cluster", "replica")]
                same = status == r["status"] and ours == theirs
            why = next((w for k, w in DIFFERENT.items() if k in what), None)
            if not same and why:
                same = True
                print(f"note: not compared: {what}: {why}")
            if not same and status == r["status"] and "over " in r["body"]:
                same = equal(sort_vectors(ours, query), sort_vectors(theirs, query), False)
            c.ok(same, what, f"\n  ours:   {status} {body[:500]}\n  theirs: {r['status']} {r['body'][:500]}")
    for q in sorted(set(ulp)):
        print(f"note: within 2 ulp: {q}")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
