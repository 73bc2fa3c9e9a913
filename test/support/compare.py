"""Comparing answers of the HTTP API: order where the API leaves it open, numbers within a relative error."""
import json

ORDERED = r"\b(sort|sort_desc|sort_by_label|topk|bottomk|limitk)\b"


def close(a, b, rel):
    """Equal trees; numbers, and texts that are numbers, within a relative error."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y, rel) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k], rel) for k in a)
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return (x != x and y != y) or abs(x - y) <= rel * max(abs(x), abs(y))


def key(labels):
    return json.dumps(labels, sort_keys=True)


def normal(body):
    """The data of an answer with what comes in no particular order sorted."""
    d = body.get("data")
    if isinstance(d, dict) and isinstance(d.get("result"), list) and d["resultType"] in ("vector", "matrix"):
        d["result"].sort(key=lambda s: key(s["metric"]))
    elif isinstance(d, list):
        d.sort(key=key)
    return d


def points(data):
    """(labels, time, value as text) of a vector or matrix."""
    for s in data["result"]:
        for p in s.get("values", [s["value"]] if "value" in s else []):
            yield key(s["metric"]), p[0], p[1]


def mostly(a, b, share=0.1, off=0.25, rel=1e-9):
    """The same points; at most this share of the values may be off, and these by no more than `off`."""
    pa, pb = list(points(a)), list(points(b))
    if [x[:2] for x in pa] != [x[:2] for x in pb]:
        return False
    wrong = 0
    for (_, _, x), (_, _, y) in zip(pa, pb):
        if not close(x, y, rel):
            if not close(x, y, off):
                return False
            wrong += 1
    return wrong <= share * len(pa) + 1


def difference(a, b, rel):
    """The first difference of two answers' data, in words, for a failure message."""
    if not (isinstance(a, dict) and isinstance(b, dict) and isinstance(a.get("result"), list)
            and isinstance(b.get("result"), list) and a.get("resultType") in ("vector", "matrix")):
        return f"{json.dumps(a)[:400]} | {json.dumps(b)[:400]}"
    pa, pb = ({(k, t): v for k, t, v in points(d)} for d in (a, b))
    only_a, only_b = sorted(pa.keys() - pb.keys()), sorted(pb.keys() - pa.keys())
    off = [(k, pa[k], pb[k]) for k in sorted(pa.keys() & pb.keys()) if not close(pa[k], pb[k], rel)]
    if pa.keys() == pb.keys() and not off:  # histograms, or the series themselves
        for x, y in zip(a["result"], b["result"]):
            for h, g in zip(x.get("histograms", [x]), y.get("histograms", [y])):
                if not close(h, g, rel):
                    return f"{key(x['metric'])}: {json.dumps(h)[:700]} | {json.dumps(g)[:700]}"
            if not close(x, y, rel):
                return f"{json.dumps(x)[:700]} | {json.dumps(y)[:700]}"
    return (f"{len(pa)} | {len(pb)} points, only left {len(only_a)} {only_a[:2]}, only right {len(only_b)} {only_b[:2]}, "
            f"{len(off)} values differ {off[:3]}")
