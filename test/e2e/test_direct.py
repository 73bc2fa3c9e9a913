"""The sidecar reads persisted blocks beside Prometheus: the same answers as by remote read alone, whatever Prometheus does
to its folder meanwhile, and remote read for all that cannot be read.

Usage: test_direct.py. PROMETHEUS names another Prometheus than the one in PATH. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import PROMETHEUS, Checks, Procs, port, wait  # noqa: E402
from promdata import T0, make_blocks  # noqa: E402
from remotewrite import write  # noqa: E402
from storeapi import Client, labels_of, samples_of  # noqa: E402
from xor import decode  # noqa: E402

HOURS = 12
DIRECT = "thanosc_sidecar_reads_blocks_directly"
MS = T0 * 1000
END = MS + HOURS * 3600000 - 29750  # the last sample
PROMETHEUS_2 = "version 2." in subprocess.run([PROMETHEUS, "--version"], capture_output=True, text=True).stdout
FAST = "--prometheus.get_config_interval=300ms"


def world():
    """Series whose order changes with external labels (cluster, replica), which have them themselves, and plain ones."""
    heads = [f'requests_total{{job="api",n="{n:03}"}}' for n in range(40)]
    heads += ['a{b="1"}', 'a{b="1",z="2"}', 'a{cluster="own",b="3"}', 'a{d="1"}', 'a{d="1",replica="own"}', 'a{d="1",replica="other"}',
              'a{d="2",replica="own",s="1"}']
    lines = []
    for head in heads:
        lines += [f"{head} {k * 7 % 1000} {T0 + 30 * k + 0.25:.3f}" for k in range(HOURS * 120) if k % 41 or "own" not in head]
    return "# TYPE requests_total unknown\n# TYPE a unknown\n" + "\n".join(sorted(lines, key=lambda l: l[0] != "r")) + "\n# EOF\n"


def blocks_of(data):
    return sorted(d for d in os.listdir(data) if len(d) == 26 and os.path.exists(os.path.join(data, d, "meta.json")))


def meta_of(folder):
    with open(os.path.join(folder, "meta.json")) as f:
        return json.load(f)


def reads(side):
    """[blocks, remote reads] that its Series calls took."""
    out = {"block": 0.0, "remote_read": 0.0}
    for line in urllib.request.urlopen(side.url + "/metrics").read().decode().splitlines():
        for source in out:
            if line.startswith(f'thanosc_sidecar_series_reads_total{{source="{source}"}}'):
                out[source] = float(line.rsplit(" ", 1)[1])
    return [out["block"], out["remote_read"]]


def shape(series, exact, cut):
    """What is compared. exact: bytes of chunks; else samples, for 2.42 codes a chunk that it cuts a little longer. cut: to
    the samples of a range, for 2.42 does not cut a chunk that it shortens by a deletion at the edges of the range."""
    if exact:
        return [(labels_of(s), [(c.min_time, c.max_time, c.raw.type, c.raw.data, c.raw.hash) for c in s.chunks]) for s in series]
    if cut:
        out = [(labels_of(s), [x for x in samples_of(s) if cut[0] <= x[0] <= cut[1]]) for s in series]
        return [x for x in out if x[1]]
    return [(labels_of(s), [(c.min_time, c.max_time, c.raw.type, decode(c.raw.data)) for c in s.chunks]) for s in series]


class Pair:
    """Two sidecars of one Prometheus: one that reads blocks, one that does not."""

    def __init__(self, c, p, prom, *flags):
        self.c, self.prom = c, prom
        self.old = PROMETHEUS_2
        self.off = p.sidecar(prom, None, FAST, "--no-prometheus.read-blocks-directly", name="off")
        self.on = p.sidecar(prom, None, FAST, *flags, name="on")
        self.clients = [Client(self.on.grpc), Client(self.off.grpc)]

    def is_direct(self, seconds=20):
        return wait(lambda: self.on.metric(DIRECT) == 1, seconds)

    def same(self, what, cut=None, **request):
        """The same series, labels, order, chunks and bytes of chunks."""
        (a, wa) = self.clients[0].series(**request)
        try:
            (b, wb) = self.clients[1].series(**request)
        except grpc.RpcError as e:
            if not cut or self.old:
                raise
            self.c.skip(f"{what}: Prometheus breaks down: {e.details()[:80]}")
            return
        x, y = (shape(v, not self.old, cut) for v in (a, b))
        first = next((f"{p[0]}: {p[1][:3]}\n{q[0]}: {q[1][:3]}" for p, q in zip(x, y) if p != q), "")
        self.c.ok(x == y and not wa and not wb, f"{what}: the same answer ({len(y)} series)", (len(x), len(y), wa, wb, first))

    def stop(self):
        for k in self.clients:
            k.close()
        self.on.stop()
        self.off.stop()


RANGES = [("all", MS, END), ("inside a chunk", MS + 3600500, MS + 3700500), ("one sample", MS + 250, MS + 250), ("no sample", MS + 251, MS + 252),
          ("up to a block's end", MS, MS + 7200000), ("up to before it", MS, MS + 7199999), ("from a block's begin", MS + 7200000, MS + 9000000),
          ("over it by 1 ms", MS + 7199999, MS + 7200000), ("before all", MS - 10000000, MS - 1), ("after all", END + 1, END + 5000),
          ("odd", MS + 12345678, MS + 34567890)]


def check_ranges(pair):
    c = pair.c
    metas = [meta_of(os.path.join(pair.prom.data, b)) for b in blocks_of(pair.prom.data)]
    for what, mint, maxt in RANGES:
        before = reads(pair.on)
        pair.same(what, min_time=mint, max_time=maxt, matchers=["__name__=~.+"])
        blocks, remote = (a - b for a, b in zip(reads(pair.on), before))
        want = (sum(m["minTime"] <= maxt and m["maxTime"] > mint for m in metas), int(maxt >= max(m["maxTime"] for m in metas)))
        c.ok((blocks, remote) == want, f"{what}: read from {want[0]} blocks and {want[1]} remote reads", (blocks, remote))
    for matchers in (["__name__=a"], ["job=api", "n=~00.|01."], ["job!=api", "__name__=~.+"], ["cluster=eu", "__name__=a"], ["cluster=other", "__name__=a"],
                     ["replica=r1", "__name__=a"], ["d=1"], ["nothing=here"], ["__name__=a", "b="], ["cluster!=own", "b=~.+"]):
        pair.same(f"matchers {matchers}", min_time=MS, max_time=END, matchers=matchers)
    for without in (["replica"], ["cluster", "replica"], ["d"], ["n", "replica"]):
        for mint, maxt in ((MS + 1000000, MS + 20000000), (MS, END)):
            pair.same(f"without {without}", min_time=mint, max_time=maxt, matchers=["__name__=a"], without_replica_labels=without)
    for i in range(3):
        pair.same(f"shard {i}", min_time=MS, max_time=END, matchers=["__name__=~.+"], shard_info={
            "shard_index": i, "total_shards": 3, "by": True, "labels": ["n", "b", "d"]})
    pair.same("skip_chunks", min_time=MS, max_time=END, matchers=["__name__=~.+"], skip_chunks=True)
    pair.same("limit", min_time=MS, max_time=END, matchers=["__name__=~.+"], limit=7)
    now = int(time.time() * 1000) - 3000
    pair.same("blocks and head", min_time=MS, max_time=now, matchers=["__name__=~a|up|requests_total|go_goroutines"])


def admin(prom, path):
    request = urllib.request.Request(prom.url + "/api/v1/admin/tsdb/" + path, method="POST")
    return urllib.request.urlopen(request, timeout=60).status // 100 == 2


def check_deletion(pair):
    c, k = pair.c, pair.clients[0]
    everything = {"min_time": MS, "max_time": END, "matchers": ["__name__=~.+"]}
    mint, maxt = T0 + 5000, T0 + 30001
    c.ok(admin(pair.prom, f"delete_series?match[]=%7Bn%3D~%2201.%22%7D&start={mint}&end={maxt}"), "delete_series")
    pair.same("deleted", **everything)
    left = [t for s in k.series(min_time=MS, max_time=END, matchers=["n=011"])[0] for t, _ in samples_of(s)]
    c.ok(left and not any(mint * 1000 <= t <= maxt * 1000 for t in left), "deleted: the samples are gone")
    for what, a, b in RANGES:
        pair.same(f"deleted, {what}", cut=(a, b), min_time=a, max_time=b, matchers=["n=~01.|02."])
    old = blocks_of(pair.prom.data)
    stream = k.stream(**everything)
    next(iter(stream))
    c.ok(admin(pair.prom, "clean_tombstones") and blocks_of(pair.prom.data) != old, "clean_tombstones writes new blocks")
    c.ok(len(list(stream)) > 30, "a call under way reads the old ones to the end")
    pair.same("cleaned", **everything)
    c.ok(admin(pair.prom, "delete_series?match[]=a"), "delete_series of whole series")
    pair.same("series deleted", **everything)
    c.ok(not k.series(min_time=MS, max_time=END, matchers=["__name__=a"])[0], "series deleted: they are gone")


def flip(path, at):
    """One bit, in a copy that takes the file's place: Prometheus has the old one."""
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data[at] ^= 1
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)


def check_damage(c, p, prom):
    everything = {"min_time": MS, "max_time": END, "matchers": ["job=api"]}
    blocks = blocks_of(prom.data)
    index = os.path.join(prom.data, blocks[2], "index")
    flip(index, os.path.getsize(index) - 3)
    pair = Pair(c, p, prom)
    c.ok(pair.is_direct(), "a damaged index: the others are read directly", pair.on.text()[-600:])
    before = reads(pair.on)
    pair.same("a damaged index", **everything)
    got = [a - b for a, b in zip(reads(pair.on), before)]
    c.ok(got == [len(blocks) - 1, 1], "a damaged index: its time is asked from Prometheus", (got, len(blocks)))
    c.ok(blocks[2] in pair.on.text() and wait(lambda: pair.on.metric("thanosc_block_damage_total") >= 1, 5), "a damaged index is named and counted",
         pair.on.text()[-500:])
    pair.stop()
    chunks = os.path.join(prom.data, blocks[0], "chunks/000001")
    flip(chunks, os.path.getsize(chunks) // 2)
    pair = Pair(c, p, prom)
    pair.is_direct()
    warnings = pair.clients[0].series(**everything)[1]
    c.ok(len(warnings) == 1 and blocks[0] in warnings[0], "a damaged chunk: a warning names the block", (warnings, blocks[0]))
    pair.same("a damaged chunk, the second time", **everything)
    pair.stop()
    os.chmod(os.path.join(prom.data, blocks[1], "index"), 0)
    if os.getuid():
        pair = Pair(c, p, prom)
        pair.same("an index that may not be read", **everything)
        pair.stop()
    os.chmod(os.path.join(prom.data, blocks[1], "index"), 0o644)


def check_folders(c, p, prom):
    """Folders that are not this Prometheus' are not read."""
    copy = p.dir("copies") + "/copy"
    shutil.copytree(prom.data, copy)
    right = prom.data
    time.sleep(2)
    everything = {"min_time": MS, "max_time": END, "matchers": ["job=api"]}
    fewer = p.dir("copies") + "/fewer"
    shutil.copytree(prom.data, fewer)
    shutil.rmtree(os.path.join(fewer, blocks_of(fewer)[1]))
    empty = p.dir("copies", "empty")
    for what, folder, says in (("fewer blocks", fewer, " in "), ("an empty folder", empty, "wal/ in "), ("no folder", empty + "/none", "No such file")):
        prom.data = folder
        pair = Pair(c, p, prom)
        c.ok(not pair.is_direct(1), f"{what}: not read", pair.on.text()[-400:])
        c.ok(says in pair.on.text(), f"{what}: said", pair.on.text()[-600:])
        pair.same(what, **everything)
        pair.stop()
    side = p.sidecar(prom, None, "--prometheus.read-blocks-directly", ready=False, name="asked")
    c.ok(wait(lambda: not side.alive(), 10) and "--prometheus.read-blocks-directly" in side.text() and "--tsdb.path" in side.text(),
         "no folder, but asked for: refused", side.text()[-400:])
    prom.data = copy
    pair = Pair(c, p, prom, "--prometheus.read-blocks-directly")
    told = "prometheus_tsdb_wal_storage_size_bytes" in urllib.request.urlopen(prom.url + "/metrics").read().decode()
    if told:
        c.ok(not pair.is_direct(2) and "level=warn" in pair.on.text(), "a copy of the folder: not read", pair.on.text()[-400:])
    else:
        c.skip("a copy of the folder: this Prometheus does not tell the size of its write-ahead log")
    pair.stop()
    prom.data = right


class Writer(threading.Thread):
    """Writes samples in order, and late ones when `late` is set; the value of a sample is a function of its time."""

    def __init__(self, url, begin):
        super().__init__(daemon=True)
        self.url, self.begin, self.late, self.end = url, begin, False, False
        self.taken = []  # (series, ms) that Prometheus has taken
        self.refused = 0

    def run(self):
        n = 0
        while not self.end:
            now = int(time.time() * 1000)
            batch = [(f"{k:02}", now + k) for k in range(20)]
            if self.late:
                batch = [(k, t - 7919 * (1 + n % 4) + 31) for k, t in batch]
            batch = [(k, t) for k, t in batch if t >= self.begin]
            series = [({"__name__": "live", "k": k}, [(t, float(t % 100003))]) for k, t in batch]
            if write(self.url, series):
                self.taken += batch
            else:
                self.refused += 1
            n += 1
            if self.late and n % 3 == 0:
                self.late = False
                time.sleep(0.02)
                self.late = True
            time.sleep(0.03)


def missing(client, writer, mint):
    """What an answer lacks of what was taken before it was asked for, and what is wrong with it."""
    want = {(k, t) for k, t in writer.taken[:] if t >= mint}
    series, warnings = client.series(min_time=mint, max_time=2**62, matchers=["__name__=live"])
    wrong, got = list(warnings), set()
    for s in series:
        k = dict(labels_of(s))["k"]
        last = 0
        for t, v in samples_of(s):
            if t <= last:
                wrong.append(f"{k}: {t} after {last}")
            if v != t % 100003:
                wrong.append(f"{k}: {t} has {v}")
            last = t
            got.add((k, t))
    return want - got, wrong


def fast_prometheus(p, name):
    """Blocks of 4 s, compacted to 12 s and 36 s."""
    http, data = port(), p.dir("prometheus", name)
    config = p.file(f"{name}.yml", "global:\n  scrape_interval: 1s\n  external_labels: {cluster: eu, replica: r1}\n"
                    "storage:\n  tsdb:\n    out_of_order_time_window: 10m\nscrape_configs: []\n")
    prom = p.run("prometheus-" + name, [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{http}",
                                        "--storage.tsdb.min-block-duration=4s", "--storage.tsdb.max-block-duration=36s", "--web.enable-remote-write-receiver",
                                        "--web.enable-admin-api"], http=http)
    prom.data = data
    return prom.ready()


def check_live(c, p):
    """Nothing that was taken is missing from an answer, and nothing is there twice, while blocks come, are compacted and go."""
    prom = fast_prometheus(p, "live")
    begin = int(time.time() * 1000)
    writer = Writer(prom.url, begin)
    writer.start()
    side = p.sidecar(prom, None, "--prometheus.get_config_interval=100ms", name="live")
    client = Client(side.grpc)
    for what, late, seconds in (("in order", False, 24), ("out of order", True, 14)):
        writer.late = late
        end, calls, lost, wrong, before = time.monotonic() + seconds, 0, set(), [], reads(side)
        seen = set()
        own = 0
        while time.monotonic() < end or (len(seen) < 6 and time.monotonic() < end + 30):
            mint = (begin, begin + 5003, int(time.time() * 1000) - 15000)[calls % 3]
            at = reads(side)
            less, bad = missing(client, writer, mint)
            if less and late and PROMETHEUS_2 and reads(side)[0] == at[0]:
                own += 1  # 2.42 itself forgets late samples for a moment when they become a block
                less = set()
            lost |= less
            wrong += bad
            calls += 1
            seen |= set(blocks_of(prom.data))
        blocks, remote = (a - b for a, b in zip(reads(side), before))
        c.ok(not lost and calls > 20, f"{what}: nothing is lost ({calls} calls, {len(writer.taken)} samples, {own} times by Prometheus alone)", sorted(lost)[:5])
        c.ok(not wrong, f"{what}: nothing twice or wrong", wrong[:5])
        c.ok(len(seen) >= 6, f"{what}: blocks came and went", seen)
        if not late:
            c.ok(blocks > calls // 8, f"{what}: blocks were read directly ({blocks:.0f}, {remote:.0f} remote reads)", side.text()[-600:])
    writer.end = True
    writer.join()
    c.ok(len(writer.taken) > 2000, "samples were taken", (len(writer.taken), writer.refused))
    side.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        data = make_blocks(world(), p.dir("data"))
        prom = p.prometheus("static", data, {"cluster": "eu", "replica": "r1"}, [("self", "self")], ["--web.enable-admin-api"])
        c.ok(wait(lambda: prom.value("up") == "1"), "Prometheus scrapes")
        pair = Pair(c, p, prom)
        c.ok(pair.is_direct(), "blocks are read directly", pair.on.text()[-600:])
        c.ok(pair.off.metric(DIRECT) == 0, "not where it is switched off")
        check_ranges(pair)
        check_deletion(pair)
        pair.stop()
        check_damage(c, p, prom)
        check_folders(c, p, prom)
        check_live(c, p)
    return c.end()


sys.exit(main())
