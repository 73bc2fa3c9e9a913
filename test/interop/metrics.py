#!/usr/bin/env python3
"""Metric families of both makes, mode by mode: a part of `run`, or alone: THANOS=/path/to/thanos test/interop/metrics.py.

Each family that a real Thanos shows after the same requests is shown by ours, of the same type and with the labels that Thanos gives it;
what is left out stands in LEFT_OUT with the reason.
"""
import os
import re
import shutil
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from procs import THANOSC, Checks, Procs, get, port, wait  # noqa: E402

THANOS = os.environ.get("THANOS", "")
OURS, THEIRS = "thanosc", "Thanos"
BIN = {OURS: THANOSC, THEIRS: THANOS}
BUCKET = os.path.abspath(os.path.join(HERE, "../golden/blocks/bucket"))
AT = 1789997400  # within the blocks
LEFT_OUT = [
    (r"go_|promhttp_|net_conntrack_|prometheus_template_|prometheus_sd_|prometheus_treecache_", "of the Go runtime and of libraries that are not in use here"),
    (r"process_network_", "of the whole host"),
    (r"prometheus_tsdb_compaction_(chunk_|populating_block)", "of first compactions, which a compactor of buckets never makes"),
    (r"thanos_blocks_meta_base_cache_busts_total", "there is no such cache"),
    (r"thanos_store_index_cache_|thanos_cache_|thanos_bucket_store_cached_postings_", "there is no index cache"),
    (r"thanos_bucket_store_indexheader_|thanos_bucket_store_lazy_expanded_", "index-headers are not loaded lazily, nor postings left out"),
    (r"thanos_bucket_store_(series_data_|postings_|empty_postings|series_merge_|series_fetch_|chunks_fetch_)", "phases that Thanos has; ours fetches while it merges"),
]
LABELS_LEFT_OUT = {"thanos_build_info": {"branch", "goarch", "goos", "goversion", "tags"}}


def families(url):
    """Family -> type; family -> label names ever seen."""
    types, labels = {}, {}
    for line in get(url + "/metrics")[1].decode().splitlines():
        m = re.match(r"# TYPE (\S+) (\S+)", line)
        if m:
            types[m.group(1)] = m.group(2)
        m = re.match(r"(\w+)(?:\{(.*)\})? ", line)
        if m:
            name = m.group(1) if m.group(1) in types else re.sub(r"_(bucket|sum|count)$", "", m.group(1))
            labels.setdefault(name, set()).update(set(re.findall(r'(\w+)="', m.group(2) or "")) - {"le", "quantile"})
    return types, labels


def compare(c, mode, ours, theirs):
    (have, our_labels), (want, their_labels) = families(ours), families(theirs)
    c.ok(len(want) > 50, f"{mode}: Thanos shows families", len(want))
    for name in sorted(want):
        why = next((w for pattern, w in LEFT_OUT if re.match(pattern, name)), None)
        if why:
            continue
        c.ok(have.get(name) == want[name], f"{mode}: {name}: {want[name]}", have.get(name, "missing"))
        missing = their_labels.get(name, set()) - our_labels.get(name, set()) - LABELS_LEFT_OUT.get(name, set())
        if name in have:
            c.ok(not missing, f"{mode}: labels of {name}", missing)


def ask(query):
    params = [("query", {"query": "count(up)", "time": AT}), ("query_range", {"query": "sum(rate({__name__=~\".+_total\"}[5m]))", "start": AT - 1800, "end": AT, "step": 60}),
              ("labels", {}), ("label/job/values", {}), ("series", {"match[]": "up"}), ("query", {"query": "(("})]
    for api, p in params:
        get(f"{query.url}/api/v1/{api}?{urllib.parse.urlencode(p)}")


def compactor(p, make):
    bucket = p.dir(f"bucket-{make}")
    shutil.copytree(BUCKET, bucket, dirs_exist_ok=True)
    n = port()
    proc = p.run(f"compact-{make}", [BIN[make], "compact", "--wait", "--wait-interval=1s", f"--http-address=127.0.0.1:{n}", f"--data-dir={p.dir('data-' + make)}",
                                     f"--objstore.config-file={p.bucket(bucket)}", "--consistency-delay=0s", "--delete-delay=0s"])
    proc.url = f"http://127.0.0.1:{n}"
    wait(lambda: families(proc.url)[0].get("thanos_compact_iterations_total") and re.search(r"^thanos_compact_iterations_total [2-9]", get(proc.url + "/metrics")[1].decode(), re.M), 60)
    return proc


def same_metrics(c, p):
    bucket = p.file("bucket.yml", f"type: FILESYSTEM\nconfig: {{directory: {BUCKET}}}\n")
    prom = p.prometheus("metrics", external={"cluster": "live"}, scrape=[("self", "self")])
    store = {m: p.store(bucket, binary=BIN[m], name=f"store-{m}") for m in BIN}
    sidecar = {m: p.sidecar(prom, None, binary=BIN[m], name=f"sidecar-{m}") for m in BIN}
    query = {m: p.query([store[m].grpc, sidecar[m].grpc], binary=BIN[m], see=2, name=f"query-{m}") for m in BIN}
    for m in BIN:
        ask(query[m])
    for mode, procs in (("store", store), ("sidecar", sidecar), ("query", query), ("compact", {m: compactor(p, m) for m in BIN})):
        compare(c, mode, procs[OURS].url, procs[THEIRS].url)


def main():
    if not THANOS:
        print("skipped: no Thanos given; THANOS=/path/to/thanos test/interop/metrics.py")
        return 0
    with Procs() as p:
        c = Checks(p)
        same_metrics(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
