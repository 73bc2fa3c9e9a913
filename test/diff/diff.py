#!/usr/bin/env python3
"""Random queries over random data, asked of a Prometheus and of ours over the same blocks; the answers must be equal.

Usage: diff.py [--seed N] [--queries N] [--data N] [--prometheus PATH] [--delayed-names] [--keep FILE]

--queries: in all; --data: how many of them a data set is asked. A data set and its queries depend on its seed alone, which is
printed with each difference: `--seed SEED --queries N` of one set makes them again. What a Prometheus 2 answers differently by
intent is in changed_since_242.def, in its sections [random ...]. A Prometheus 3 gets the whole language and native histograms, and
its annotations are compared, too.
Ends with "N passed, N failed, N skipped". Passed are also the differences that a row of the table explains, whose number is printed.
"""
import argparse
import http.client
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
sys.path.insert(0, HERE)
from compare import close, difference, key  # noqa: E402
from generate import STALE, Data, Gen  # noqa: E402
from procs import PROMETHEUS, ROOT, Procs  # noqa: E402
from promql_cases import changed, changed_row  # noqa: E402
from remotewrite import write  # noqa: E402

TOOL = os.environ.get("ANSWER") or os.path.join(ROOT, "build/release/test/tool_answer")
T0 = 1700002800  # inside one block of two hours
STEP, SLOTS, REL = 15, 160, 1e-9
MOST_EXPLAINED = 0.02
STALE_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
FLAGS_3 = ["--enable-feature=promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,native-histograms"]
UNSTABLE = "Prometheus gives several answers (sums and ties in the order of a map)"
SORTS = re.compile(r"^(sort|sort_desc)\(|^(topk|bottomk) \(")  # what orders an instant vector by its values


class Peer:
    """A Prometheus: its path, and what its version has."""

    def __init__(self, path, delayed):
        self.path, self.delayed = path, delayed
        # some builds do not know their version
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        got = re.search(r"version (\d+)\.(\d+)\S*", said)
        self.version = got.group(0)[8:] if got else "3 or newer"
        self.new = not got or int(got.group(1)) >= 3
        self.flags = FLAGS_3[:] if self.new else []
        if delayed:
            self.flags[0] += ",promql-delayed-name-removal"

    def text(self, query):
        return query if self.new else query.replace("double_exponential_smoothing(", "holt_winters(")


def half_block(p, peer, name, data, times, slots):
    """Some slots of the data, as the block of a snapshot: remote write carries stale markers and histograms."""
    prom = p.prometheus(name, binary=peer.path, flags=["--web.enable-remote-write-receiver", "--web.enable-admin-api", *peer.flags])
    for i in slots:
        value = lambda v: STALE_NAN if v == STALE else v
        rows = [(labels, [(times[n][i], value(row[i]))]) for n, (labels, row) in enumerate(data.series) if i < len(row) and row[i] is not None]
        if not write(prom.url, rows):
            prom.fail(f"does not take slot {i}")
    with urllib.request.urlopen(urllib.request.Request(prom.url + "/api/v1/admin/tsdb/snapshot", method="POST"), timeout=30) as r:
        root = os.path.join(prom.data, "snapshots", json.load(r)["data"]["name"])
    prom.kill()
    return root


def blocks_of(p, peer, seed):
    """The folder with the two blocks of a data set. No sample lies on a whole second, where eval times, steps and windows end."""
    rng = random.Random(f"data {seed}")
    data = Data(rng, SLOTS, native=peer.new, tame=not peer.new)
    late = 6000 if peer.new else 0
    times = [[(T0 + i * STEP) * 1000 + rng.randint(0, late) // 1000 * 1000 + rng.randint(100, 900) for i in range(SLOTS)] for _ in data.series]
    to = p.dir("blocks")
    for n, slots in enumerate((range(SLOTS // 2), range(SLOTS // 2, SLOTS))):
        half = half_block(p, peer, f"half{n}", data, times, slots)
        for block in os.listdir(half):
            shutil.move(os.path.join(half, block), to)
    return to


def requests(peer, seed, count):
    """[(start ms, end ms, step ms or 0, query)]"""
    rng = random.Random(f"queries {seed}")
    length = STEP * SLOTS
    gen = Gen(rng, new=peer.new, native=peer.new, window=length, base=T0, apart=not peer.new)
    out = []
    for _ in range(count):
        q, late = gen.query(), rng.choice((0, 0, 0, 13))
        if rng.random() < 0.6:
            t = (T0 + rng.randint(-60, length + 400)) * 1000 + late
            out.append((t, t, 0, q))
        else:
            a = (T0 + rng.randint(-120, length // 2)) * 1000 + late
            out.append((a, a + rng.randint(60, length) * 1000, rng.choice((7, 15, 30, 60, 60, 120)) * 1000, q))
    return out


class Client:
    """One kept connection to a Prometheus."""

    def __init__(self, prom):
        self.c = http.client.HTTPConnection("127.0.0.1", prom.http, timeout=60)

    def ask(self, request, text):
        start, end, step, _ = request
        api, params = ("query", {"time": start / 1000}) if not step else ("query_range", {"start": start / 1000, "end": end / 1000, "step": step / 1000})
        body = urllib.parse.urlencode({"query": text, **{k: f"{v:.3f}" for k, v in params.items()}})
        self.c.request("POST", "/api/v1/" + api, body, {"Content-Type": "application/x-www-form-urlencoded"})
        return json.loads(self.c.getresponse().read())


def ours(blocks, peer, asked):
    """The bodies that our engine gives; fewer than asked when it died."""
    lines = "".join(f"{a}\t{b}\t{s}\t{q}\n" for a, b, s, q in asked)
    dirs = sorted(os.path.join(blocks, d) for d in os.listdir(blocks))
    got = subprocess.run([TOOL, *(["--delayed-names"] if peer.delayed else []), *dirs], input=lines, capture_output=True, text=True)
    if got.returncode != 0:
        print(got.stderr[-3000:])
    return [json.loads(l) for l in got.stdout.splitlines()]


def notes(body, kind):
    """Annotations as a set; how many a cut list stands for."""
    got = sorted(re.sub(r"over -?\d+ samples from", "over N samples from", t) for t in body.get(kind, []))
    return len(got) if len(got) > 10 else got


def near(a, b):
    """Equal but for rounding: numbers within an absolute error, too."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(near, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(near(a[k], b[k]) for k in a)
    try:
        return close(a, b, REL) or abs(float(a) - float(b)) <= REL
    except (TypeError, ValueError):
        return False


def merge_near(x, y):
    """Each of x is also in y, or near one there: with a last digit less two labels may have become one."""
    return all(m in y or any(near(m, n) for n in y) for m in x)


def differs(request, mine, theirs, annotations):
    """What differs, as (kind, text), or None."""
    start, _, step, query = request
    if mine["status"] != theirs["status"] or mine.get("errorType") != theirs.get("errorType"):
        return "status", f"{mine['status']} {mine.get('error')} | {theirs['status']} {theirs.get('error')}"
    if mine["status"] == "success":
        a, b = mine["data"], theirs["data"]
        if a["resultType"] != b["resultType"]:
            return "type", f"{a['resultType']} | {b['resultType']}"
        if a["resultType"] in ("vector", "matrix"):
            x, y = ([s["metric"] for s in d["result"]] for d in (a, b))
            if sorted(map(key, x)) != sorted(map(key, y)):
                if near(sorted(x, key=key), sorted(y, key=key)) or (merge_near(x, y) and merge_near(y, x)):
                    return "rounding", f"labels: {x[:4]} | {y[:4]}"
                only = [m for m in x if m not in y][:2], [m for m in y if m not in x][:2]
                return "series", f"{len(x)} | {len(y)} series, only in one: {only}"
            if step and x != y:
                return "order", f"{x[:4]} | {y[:4]}"
            if not step and SORTS.match(query) and not close([s.get("value", [0])[1:] for s in a["result"]], [s.get("value", [0])[1:] for s in b["result"]], REL):
                return "order", f"{a['result'][:4]} | {b['result'][:4]}"
            for d in (a, b):
                d["result"].sort(key=lambda s: key(s["metric"]))
        if not close(a, b, REL):
            return "rounding" if near(a, b) else "values", difference(a, b, REL) + (f" {json.dumps(a['result'])[:700]} | {json.dumps(b['result'])[:700]}" if '"histogram' in json.dumps(b) else "")
    if annotations:
        for kind in ("warnings", "infos"):
            if notes(mine, kind) != notes(theirs, kind):
                return kind, f"{notes(mine, kind)} | {notes(theirs, kind)}"
    return None


def unstable(client, peer, request, first):
    """Prometheus itself gives another answer when it is asked again: what it goes through in the order of a map."""
    return any(differs(request, client.ask(request, peer.text(request[3])), first, peer.new) for _ in range(60))


class Totals:
    def __init__(self):
        self.same = self.failed = self.errors = self.data = 0
        self.explained = {}


def one_set(peer, seed, count, totals, table, keep):
    asked = requests(peer, seed, count)
    with Procs() as p:
        blocks = blocks_of(p, peer, seed)
        prom = p.prometheus("all", data=blocks, binary=peer.path, flags=peer.flags)
        client = Client(prom)
        dirs = p.dir("ours")
        for block in os.listdir(blocks):
            if os.path.exists(os.path.join(blocks, block, "meta.json")):
                os.symlink(os.path.join(blocks, block), os.path.join(dirs, block))
        theirs = [client.ask(r, peer.text(r[3])) for r in asked]
        mine = ours(dirs, peer, asked)
        for n, r in enumerate(asked):
            totals.data += theirs[n].get("data", {}).get("result", []) != []
            got = differs(r, mine[n], theirs[n], peer.new) if n < len(mine) else ("crash", "no answer")
            row = got and changed_row(table, r[3], got[0])
            if not got:
                totals.same += 1
                totals.errors += theirs[n]["status"] == "error"
            elif row or unstable(client, peer, r, theirs[n]):
                what = row.what if row else UNSTABLE
                totals.explained[what] = totals.explained.get(what, 0) + 1
            else:
                totals.failed += 1
                when = f"at {r[0] / 1000}" if not r[2] else f"from {r[0] / 1000} to {r[1] / 1000} step {r[2] // 1000}"
                print(f"FAILED seed {seed} query {n + 1}: {got[0]}: {when} {r[3]}\n  {got[1][:1500]}", flush=True)
            if got and keep:
                keep.write(json.dumps({"seed": seed, "n": n + 1, "request": r, "kind": got[0], "row": row and row.what, "ours": mine[n:n + 1],
                                       "theirs": theirs[n]}) + "\n")
            if n >= len(mine):
                break


def main(argv=None):
    ap = argparse.ArgumentParser()
    ap.add_argument("--seed", type=int, default=None)
    ap.add_argument("--queries", type=int, default=500)
    ap.add_argument("--data", type=int, default=500)
    ap.add_argument("--prometheus", default=PROMETHEUS)
    ap.add_argument("--delayed-names", action="store_true")
    ap.add_argument("--keep", help="differences are written into this file as JSON lines")
    o = ap.parse_args(argv)
    seed = random.randrange(1 << 30) if o.seed is None else o.seed
    peer = Peer(o.prometheus, o.delayed_names)
    table = changed(3 if peer.new else 2)
    totals = Totals()
    print(f"note: seed {seed}, {o.queries} queries, Prometheus {peer.version}", flush=True)
    keep = open(o.keep, "w") if o.keep else None
    for i in range(0, o.queries, o.data):
        one_set(peer, seed + i // o.data, min(o.data, o.queries - i), totals, table, keep)
    for what, count in sorted(totals.explained.items()):
        print(f"note: {count} explained by: {what}")
    print(f"note: {totals.data} of the answers have data; {totals.errors} of the equal answers are errors")
    explained = sum(totals.explained.values())
    if explained > o.queries * MOST_EXPLAINED + 3:
        totals.failed += 1
        print(f"FAILED the table explains {explained} differences of {o.queries} queries")
    print(f"{totals.same + explained} passed, {totals.failed} failed, 0 skipped")
    return totals.failed != 0 or totals.same == 0


if __name__ == "__main__":
    sys.exit(main())
