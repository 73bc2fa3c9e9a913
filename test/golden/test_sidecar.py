"""thanosc sidecar beside Debian's Prometheus on recorded blocks, asked what a real `thanos sidecar` was asked (storeapi/sidecar):
the same requests as bytes, the same gRPC status, the same series in the same order, the same samples.

Differences on purpose, each in compare(): limits are obeyed to the letter, answers without chunks are filtered by shard. Debian's
Prometheus encodes histograms in a dialect of its own, so that of their chunks only kind and times are compared (their samples:
test/unit/store/test_prom.c), and does not know custom buckets.
Ends with "N passed, N failed, N skipped".
"""
import glob
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
import grpc  # noqa: E402

from procs import Checks, Procs  # noqa: E402
from storeapi import MSG  # noqa: E402
from xor import decode  # noqa: E402

RECORDED = os.path.join(HERE, "storeapi/sidecar")
BLOCKS = os.path.join(HERE, "blocks")
ANSWER = {"Series": "SeriesResponse", "LabelNames": "LabelNamesResponse", "LabelValues": "LabelValuesResponse",
          "Info": "InfoResponse"}


def blocks_of(what):
    with open(os.path.join(BLOCKS, "blocks.tsv")) as f:
        for line in list(f)[1:]:
            cols = line.rstrip("\n").split("\t")
            if cols[0] == what:
                yield os.path.join(BLOCKS, cols[3], cols[2])


def frames(data):
    while data:
        n = int.from_bytes(data[1:5], "big")
        yield data[5:5 + n]
        data = data[5 + n:]


def chunk(c):
    """A chunk as what it holds: samples, or for histograms the kind and times."""
    if c.raw.type == 0:
        return [(t, v if v == v else "NaN") for t, v in decode(c.raw.data)]
    return (c.min_time, c.max_time, c.raw.type)


def series_of(messages):
    """[(labels, samples and histogram chunks)], frames of one series joined."""
    out = []
    for m in messages:
        for s in [m.series] if m.HasField("series") else m.batch.series:
            labels = tuple((x.name, x.value) for x in s.labels)
            if not out or out[-1][0] != labels:
                out.append((labels, []))
            for c in s.chunks:
                got = chunk(c)
                out[-1][1].extend(got if isinstance(got, list) else [got])
    return out


def call(channel, method, request):
    """(status name, [messages])"""
    ask = channel.unary_stream(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    try:
        return "OK", list(ask(request, timeout=30))
    except grpc.RpcError as e:
        return "".join(w.capitalize() for w in e.code().name.split("_")), e.details()


def shards(channel, method, request):
    """The label sets of all shards of a request, or None where one comes twice."""
    q = MSG["SeriesRequest"].FromString(request)
    out = []
    for q.shard_info.shard_index in range(q.shard_info.total_shards):
        out += [s[0] for s in series_of(MSG["SeriesResponse"].FromString(m)
                                        for m in call(channel, method, q.SerializeToString())[1])]
    return sorted(out) if len(set(out)) == len(out) else None


def compare(name, method, theirs, ours):
    if name == "series limit":  # Thanos' sidecar ignores it
        return series_of(ours) == series_of(theirs)[:3]
    if name == "names without replica, limit":  # ... and adds an external label to what the limit gave
        return list(ours[0].names) == list(theirs[0].names)[:4]
    if method.endswith("/Series"):
        return series_of(ours) == series_of(theirs)
    if method.endswith("/Info"):
        ours[0].ClearField("exemplars")
        for m in (theirs[0], ours[0]):  # what else a component serves is another test's affair
            for f in ("rules", "targets", "metadata", "metric_metadata", "exemplars", "status"):
                if f in m.DESCRIPTOR.fields_by_name:
                    m.ClearField(f)
    return [m.SerializeToString(deterministic=True) for m in ours] == [m.SerializeToString(deterministic=True) for m in theirs]


def main():
    with Procs() as procs:
        checks = Checks(procs)
        data = procs.dir("prom-eu-a")
        for b in blocks_of("eu-a"):
            shutil.copytree(b, os.path.join(data, os.path.basename(b)))
        prom = procs.prometheus("eu-a", data, {"cluster": "eu", "replica": "a"})
        side = procs.sidecar(prom)
        channel = grpc.insecure_channel(side.grpc)
        for path in sorted(glob.glob(os.path.join(RECORDED, "*.json"))):
            with open(path) as f:
                row = json.load(f)
            if row["name"] == "series custom histogram":
                continue
            kind = row["method"].rsplit("/", 1)[1]
            request = open(path[:-5] + ".request.bin", "rb").read()[5:]
            code, got = call(channel, row["method"], request)
            what = f"{os.path.basename(path)} {row['name']}"
            if row["code"] != "OK" or code != "OK":
                checks.ok(code == row["code"], f"{what}: status {code}, recorded {row['code']}", got)
                continue
            theirs = [MSG[ANSWER[kind]].FromString(m) for m in frames(open(path[:-5] + ".response.bin", "rb").read())]
            ours = [MSG[ANSWER[kind]].FromString(m) for m in got]
            if row["name"] == "series shard 1 of 3 without le":  # Thanos does not filter answers without chunks
                checks.ok(shards(channel, row["method"], request) == sorted(s[0] for s in series_of(theirs)), what)
                continue
            checks.ok(compare(row["name"], row["method"], theirs, ours), what,
                      f"{len(ours)} messages, recorded {len(theirs)}:\n  {str(ours)[:700]}\n  {str(theirs)[:700]}")
        return checks.end()


sys.exit(main())
