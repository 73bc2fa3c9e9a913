"""Chunk encodings 4 to 6 (XOR2, histograms with start timestamps): a bucket of such blocks is read by a foreign gRPC
client, which knows encodings 1 to 3 only, and through thanosc query; a store that fails on them is named by query.

Usage: test_newer.py. Ends with "N passed, N failed, N skipped".
"""
import collections
import gzip
import json
import math
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc  # noqa: E402

from procs import ROOT, Checks, Procs  # noqa: E402
from storeapi import MSG, Client, FakeStore, labels_of  # noqa: E402
from xor import decode  # noqa: E402

GOLDEN = os.path.join(ROOT, "test/golden/blocks")
RECORDED = os.path.join(ROOT, "test/golden/storeapi/store-newer-encodings")
IDS = sorted(os.listdir(os.path.join(GOLDEN, "newer")))


def dump(block):
    """[(labels, samples)] of the recorded dump, external label included."""
    path = os.path.join(GOLDEN, "expected", block + ".samples.jsonl")
    f = open(path) if os.path.exists(path) else gzip.open(path + ".gz", "rt")
    with f:
        for line in f:
            d = json.loads(line)
            yield tuple(sorted({**d["labels"], "cluster": "newer"}.items())), [s[:2] for s in d["samples"]]


def expected():
    out = collections.defaultdict(list)
    for b in IDS:
        for k, v in dump(b):
            out[k].extend(v)
    return {k: sorted(v, key=lambda s: s[0]) for k, v in out.items()}


def ship(bucket):
    for b in IDS:
        shutil.copytree(os.path.join(GOLDEN, "newer", b), os.path.join(bucket, b))
        os.remove(os.path.join(bucket, b, "tombstones"))
        path = os.path.join(bucket, b, "meta.json")
        with open(path) as f:
            meta = json.load(f)
        meta["thanos"] = {"version": 1, "labels": {"cluster": "newer"}, "downsample": {"resolution": 0}, "source": "sidecar"}
        os.remove(path)
        with open(path, "w") as f:
            json.dump(meta, f)


def hex_of(v):
    return struct.pack(">d", v).hex()


def number(hexa):
    return struct.unpack(">d", bytes.fromhex(hexa))[0]


def raw_call(c, addr, want):
    client = Client(addr)
    got, warnings = client.series(matchers=["cluster=newer", "zzz="], aggregates=[0])
    c.ok(not warnings, "gRPC: no warnings", warnings)
    c.ok({labels_of(s) for s in got} == set(want), "gRPC: the series", len(got))
    types, bad, bounds = collections.Counter(), [], []
    for s in got:
        rows = want[labels_of(s)]
        for chunk in s.chunks:
            part = [r for r in rows if chunk.min_time <= r[0] <= chunk.max_time]
            types[chunk.raw.type] += 1
            if not part or part[0][0] != chunk.min_time or part[-1][0] != chunk.max_time:
                bounds.append((labels_of(s), chunk.min_time))
            if chunk.raw.type == 0:
                if [[t, hex_of(v)] for t, v in decode(chunk.raw.data)] != part:
                    bad.append(labels_of(s))
            elif struct.unpack(">H", chunk.raw.data[:2])[0] != len(part):
                bad.append(labels_of(s))
    c.ok(set(types) == {0, 1, 2} and min(types.values()) > 40, "gRPC: chunks are XOR, HISTOGRAM and FLOAT_HISTOGRAM", types)
    c.ok(not bounds, "gRPC: times of chunks are those of their samples", bounds[:3])
    c.ok(not bad, "gRPC: samples", bad[:3])


def same_histogram(got, want):
    """Count and sum of the API's JSON against the dump; counts of integer histograms stand there in decimal."""
    count = float(want["count"]) if want["type"] == "int" else number(want["count"])
    total = number(want["sum"])
    return float(got["count"]) == count and (float(got["sum"]) == total or total != total)


def through_query(c, query, want):
    # no stale markers in a matrix, and one more for each that stands in a histogram's sum
    stale = "7ff0000000000002"
    status, body = query.api("query", query='{cluster="newer",zzz=""}[7d]', time=1789999200)
    c.ok(status == 200 and not body.get("warnings"), "query: no warnings", str(body)[:300])
    got = {tuple(sorted(r["metric"].items())): r for r in body["data"]["result"]}
    live = {k: [s for s in v if (s[1] if isinstance(s[1], str) else s[1]["sum"]) != stale] for k, v in want.items()}
    live = {k: v for k, v in live.items() if v}
    c.ok(set(got) == set(live), "query: the series", sorted(set(got) ^ set(live))[:3])
    bad = []
    for k in set(got) & set(live):
        floats = [s for s in live[k] if isinstance(s[1], str)]
        hists = [s for s in live[k] if not isinstance(s[1], str)]
        values, histograms = got[k].get("values", []), got[k].get("histograms", [])
        if len(values) != len(floats) or len(histograms) != len(hists):
            bad.append((k, len(values), len(floats), len(histograms), len(hists)))
            continue
        if any(round(t * 1000) != w or not (float(v) == number(x) or math.isnan(number(x)))
               for (t, v), (w, x) in zip(values, floats)):
            bad.append((k, "floats"))
        if any(round(t * 1000) != w or not same_histogram(h, x) for (t, h), (w, x) in zip(histograms, hists)):
            bad.append((k, "histograms"))
    c.ok(not bad, "query: every sample of the dumps", bad[:3])


def failing(request, context):
    """What Thanos' store says to a request for such chunks, as recorded."""
    name = "03" if request.skip_chunks else "04" if any(m.value == "h_one_sample" for m in request.matchers) else "02"
    with open(os.path.join(RECORDED, name + ".json")) as f:
        call = json.load(f)
    with open(os.path.join(RECORDED, name + ".response.bin"), "rb") as f:
        frames = f.read()
    while frames:
        n = struct.unpack(">I", frames[1:5])[0]
        yield frames[5:5 + n]
        frames = frames[5 + n:]
    if call["code"] != "OK":
        context.abort(grpc.StatusCode.UNKNOWN, call["message"])


def thanos_beside(c, p, store):
    fake = FakeStore(failing, labels=[("cluster", "thanos")])
    query = p.query([fake.grpc, store.grpc], name="query-thanos")
    for metric, enc in (("one_sample", 4), ("h_one_sample", 6)):
        status, body = query.api("query", query=f"count_over_time({metric}[7d])" if enc == 4 else f"{metric}[7d]", time=1789999200)
        warnings = body.get("warnings") or []
        c.ok(any(fake.grpc in w and f"unsupported chunk encoding {enc}" in w for w in warnings),
             f"query: a store that cannot read encoding {enc} is named with it", warnings)
        result = body.get("data", {}).get("result", [])
        c.ok(status == 200 and result and all(r["metric"]["cluster"] == "newer" for r in result),
             f"query: the other store's {metric} is shown", str(body)[:300])
    status, body = query.api("series", match="one_sample", start=1789970400, end=1789999200)
    got = {s["cluster"] for s in body.get("data", [])}
    c.ok(status == 200 and got == {"newer"} and not body.get("warnings"), "query: without chunks it does not fail", body)
    fake.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        bucket = p.dir("newer")
        ship(bucket)
        store = p.store(p.bucket(bucket))
        want = expected()
        raw_call(c, store.grpc, want)
        through_query(c, p.query([store.grpc]), want)
        thanos_beside(c, p, store)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
