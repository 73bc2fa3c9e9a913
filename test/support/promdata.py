"""Blocks of a small, fixed world, made by `promtool tsdb create-blocks-from openmetrics`: two HA Prometheus of
cluster eu with different gaps and one of cluster us, four hours from T0.

Values are functions of the time alone, so that the replicas of a pair differ by when they looked, as real ones do.
Sample times lie off every grid of whole seconds: no sample is at the edge of a range or of the look-back, where
Prometheus 2.42 (closed at both ends) and 3.x (left-open) differ.
"""
import json
import math
import os
import random
import struct
import subprocess
from collections import namedtuple

T0 = 1700006400  # a multiple of 2 h: blocks begin here and at T0 + 7200
LENGTH = 14400
INTERVAL = 15

Replica = namedtuple("Replica", "name external phase gaps lost")
REPLICAS = (
    Replica("eu-a", {"cluster": "eu", "replica": "a"}, 7.301, ((3000, 4100), (13200, 13290)), 37),
    Replica("eu-b", {"cluster": "eu", "replica": "b"}, 11.117, ((7000, 8200), (12000, 12400)), 53),
    Replica("us-a", {"cluster": "us", "replica": "a"}, 3.903, (), 41),
)
NUMBER = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, math.inf)


def wobble(t, seed):
    """Noise in [0, 1): the same for the same second and seed."""
    x = (int(t) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> 15
    return (x * 2246822519 & 0xFFFFFFFF) / 2**32


def counter(rate, born, resets=(), step=1.0):
    """Rises by `rate` a second from zero at `born` (relative to T0); each reset falls back to what 600 s give, so that
    only the ranges that begin near `born` are extrapolated to zero (which changed since 2.42)."""
    def value(t):
        since = max([born, *(r - 600 for r in resets if r <= t)])
        return None if t < born else math.floor((t - since) * rate / step) * step
    return value


def families(seed):
    """[(name, type, [(suffix, labels, value(t) or None where there is no sample)])] of one cluster."""
    out = {n: [] for n in ("up", "http_requests", "cpu_seconds", "events", "latency_seconds", "temperature_celsius",
                           "memory_bytes", "limit_bytes", "build_info", "special", "visitor")}
    for n, (job, inst) in enumerate([("api", "i0"), ("api", "i1"), ("api", "i2"), ("db", "i0"), ("db", "i3")]):
        s = seed * 100 + n
        who = {"job": job, "instance": inst}
        out["up"].append(("", who, lambda t, s=s: float(wobble(t // 300, s) > 0.1)))
        for k, code in enumerate(("200", "404", "500")):
            resets = (5000 + 300 * n, 9500) if code == "200" else (10000,) if n == 1 else ()
            out["http_requests"].append(("_total", dict(who, code=code, path="/v1" if n % 2 else "/"),
                                         counter(1 + 7 * k + n + seed, -9000 - 3600 * n, resets)))
        out["cpu_seconds"].append(("_total", dict(who, mode="user"), counter(0.3 + 0.05 * n, -50000, (8000,), 0.01)))
        out["events"].append(("_total", who, counter(0.02 * (n + 1), 1500 + 700 * n)))
        out["latency_seconds"] += histogram(who, 2.0 + n)
        for sensor in ("in", "out"):
            out["temperature_celsius"].append(("", dict(who, sensor=sensor), lambda t, s=s, o=sensor == "out":
                                               20 * math.sin((t + 997 * s) / 1800) - 7 * o + wobble(t, s)))
        out["memory_bytes"].append(("", who, lambda t, s=s: 1e9 + 3e8 * wobble(t // 60, s) + 12345.678))
        out["limit_bytes"].append(("", {"instance": inst, "job": job, "unit": "bytes"}, lambda t, n=n: 2e9 + n))
        out["build_info"].append(("", dict(who, version="1.%d" % (n % 3)), lambda t: 1.0))
        out["visitor"].append(("", dict(who, seq=str(n)), lambda t, n=n: 5.5 if 2000 * n < t < 2000 * n + 1700 else None))
    for kind, v in (("nan", math.nan), ("inf", math.inf), ("ninf", -math.inf), ("zero", 0.0), ("tiny", 5e-324),
                    ("half", -0.5), ("big", 1.7e308)):
        out["special"].append(("", {"kind": kind}, lambda t, v=v: v))
    types = {"http_requests": "counter", "cpu_seconds": "counter", "events": "counter", "latency_seconds": "histogram"}
    return [(name, types.get(name, "gauge"), series) for name, series in out.items()]


def histogram(who, rate):
    rows = []
    for k, le in enumerate(BOUNDS):
        share = (k + 1) / len(BOUNDS)
        text = "+Inf" if math.isinf(le) else str(le)
        rows.append(("_bucket", dict(who, le=text), counter(rate * share, -7200, (6100,))))
    return rows + [("_count", who, counter(rate, -7200, (6100,))), ("_sum", who, counter(rate * 0.7, -7200, (6100,), 0.125))]


def times(r):
    """Scrape times of a replica in seconds, relative to T0."""
    n = 0
    t = r.phase
    while t < LENGTH:
        n += 1
        if n % r.lost and not any(a <= t < b for a, b in r.gaps):
            yield round(t, 3)
        t = r.phase + n * INTERVAL


def text(labels):
    return ",".join(f'{k}="{v}"' for k, v in labels.items())


def openmetrics(replicas, external):
    """One text of all replicas; external: their external labels become labels of each series."""
    lines = []
    worlds = [(r, families(1 + (r.external["cluster"] == "us")), list(times(r))) for r in replicas]
    for n, (name, kind, _) in enumerate(worlds[0][1]):
        lines.append(f"# TYPE {name} {kind}")
        for r, fams, ts in worlds:
            for suffix, labels, value in fams[n][2]:
                head = f"{name}{suffix}{{{text({**labels, **(r.external if external else {})})}}} "
                lines += [f"{head}{NUMBER.get(str(v), v)!s} {T0 + t:.3f}" for t in ts for v in (value(t),) if v is not None]
    return "\n".join(lines) + "\n# EOF\n"


def make_blocks(om_text, directory):
    """The two-hour blocks of an OpenMetrics text, in a data folder of Prometheus."""
    os.makedirs(directory, exist_ok=True)
    source = directory.rstrip("/") + ".om"
    with open(source, "w") as f:
        f.write(om_text)
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", source, directory], check=True,
                   stdout=subprocess.DEVNULL)
    os.unlink(source)
    return directory


def make_noise(directory, series, count):
    """A block whose chunks do not compress: about 9 bytes a sample, one each 15 s from T0."""
    rng = random.Random(1)
    lines = ["# TYPE noise gauge"]
    for n in range(series):
        values = (struct.unpack("<d", struct.pack("<Q", rng.getrandbits(62)))[0] for _ in range(count))
        lines += [f'noise{{n="{n:05}"}} {v!r} {T0 + INTERVAL * i}' for i, v in enumerate(values)]
    return make_blocks("\n".join(lines) + "\n# EOF\n", directory)


def new_ulid(n):
    """A ULID of a fixed time and the number n."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = ""
    for _ in range(16):
        text = digits[n % 32] + text
        n //= 32
    return "01HF2D1Q00" + text


def to_bucket(blocks, bucket, external, first=0):
    """Links the blocks of a data folder into a bucket under new ULIDs, with the section of meta.json that a sidecar adds."""
    for n, name in enumerate(sorted(d for d in os.listdir(blocks) if os.path.exists(os.path.join(blocks, d, "meta.json")))):
        with open(os.path.join(blocks, name, "meta.json")) as f:
            meta = json.load(f)
        meta["ulid"] = new_ulid(first + n)
        meta["thanos"] = {"labels": external, "downsample": {"resolution": 0}, "source": "sidecar"}
        to = os.path.join(bucket, meta["ulid"])
        os.makedirs(os.path.join(to, "chunks"))
        for part in ("index", *(os.path.join("chunks", c) for c in os.listdir(os.path.join(blocks, name, "chunks")))):
            os.link(os.path.join(blocks, name, part), os.path.join(to, part))
        with open(os.path.join(to, "meta.json"), "w") as f:
            json.dump(meta, f)
    return bucket


def samples(r):
    """{labels as sorted (name, value) pairs, external ones included: [(ms, value)]} of a replica."""
    out = {}
    for name, _, rows in families(1 + (r.external["cluster"] == "us")):
        for suffix, labels, value in rows:
            got = [(round((T0 + t) * 1000), v) for t in times(r) for v in (value(t),) if v is not None]
            if got:
                out[tuple(sorted({"__name__": name + suffix, **labels, **r.external}.items()))] = got
    return out
