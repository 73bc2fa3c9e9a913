"""The sidecar's own flags and warnings, one by one: --shipper.*, the clock of Prometheus, an interrupted start.

Prometheus is played by test/support/fakeprom.py; the handshake by its delay-compact file needs a real one of 3.9 or later, given by
PROMETHEUS. Usage: test_sidecar.py. Ends with "N passed, N failed, N skipped".
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fakeprom import FakePrometheus  # noqa: E402
from procs import PROMETHEUS, Checks, Procs, wait  # noqa: E402
from promdata import T0, make_blocks  # noqa: E402


def finished(bucket):
    return sorted(d for d in os.listdir(bucket) if os.path.exists(os.path.join(bucket, d, "meta.json")))


def meta_of(folder):
    with open(os.path.join(folder, "meta.json")) as f:
        return json.load(f)


class World:
    """A data folder of three blocks beside a fake Prometheus, and a bucket of its own for each sidecar."""

    def __init__(self, c, p):
        self.c, self.p, self.n = c, p, 0
        lines = ["# TYPE x gauge"] + [f"x {i} {T0 + 60 * i}" for i in range(360)]
        self.source = make_blocks("\n".join(lines) + "\n# EOF\n", p.dir("source"))
        self.names = sorted(finished(self.source), key=lambda b: meta_of(os.path.join(self.source, b))["minTime"])
        c.ok(len(self.names) == 3, "three blocks", self.names)

    def run(self, what, *flags, change=lambda data: None, ready=True, **prom):
        self.n += 1
        fake = FakePrometheus(**prom)
        fake.data = os.path.join(self.p.dir(f"w{self.n}"), "data")
        shutil.copytree(self.source, fake.data)
        change(fake.data)
        fake.name = f"fake-{self.n}"
        bucket = self.p.dir(f"w{self.n}", "bucket")
        proc = self.p.sidecar(fake, self.p.bucket(bucket), "--shipper.sync-interval=300ms", *flags, ready=ready, name=what)
        proc.data = fake.data
        return fake, bucket, proc

    def ships(self, what, want, *flags, **more):
        fake, bucket, proc = self.run(what, *flags, **more)
        self.c.ok(wait(lambda: finished(bucket) == sorted(want), 20), f"{what}: these blocks are shipped", (finished(bucket), proc.text()[-800:]))
        return fake, bucket, proc


def check_flags(w):
    c, (a, b, d) = w.c, w.names

    def damage(data):
        path = os.path.join(data, b, "chunks/000001")
        with open(path, "r+b") as f:
            f.truncate(os.path.getsize(path) - 3)

    def compact(data):
        path = os.path.join(data, a, "meta.json")
        meta = meta_of(os.path.join(data, a))
        meta["compaction"]["level"] = 2
        with open(path, "w") as f:
            json.dump(meta, f)

    _, bucket, proc = w.ships("plain", w.names)
    meta = meta_of(os.path.join(bucket, a))
    c.ok(meta["thanos"]["labels"] == {"cluster": "fake"} and not any(f.get("hash") for f in meta["thanos"]["files"]), "plain: no hashes", meta)
    proc.stop()
    _, bucket, proc = w.ships("hashing", w.names, "--hash-func=SHA256", "--shipper.upload-concurrency=4", "--shipper.meta-file-name=other.json")
    files = {f["rel_path"]: f.get("hash") for f in meta_of(os.path.join(bucket, a))["thanos"]["files"]}
    with open(os.path.join(bucket, a, "index"), "rb") as f:
        c.ok(files["index"] == {"hashFunc": "SHA256", "value": hashlib.sha256(f.read()).hexdigest()}, "hashing: SHA-256 of index", files)
    c.ok(wait(lambda: "other.json" in os.listdir(proc.data), 5) and "thanos.shipper.json" not in os.listdir(proc.data), "the file is named as told")
    proc.stop()
    _, bucket, proc = w.ships("damaged", [a], change=damage)
    c.ok(wait(lambda: proc.metric("thanos_shipper_dir_sync_failures_total") >= 2, 10) and finished(bucket) == [a], "damaged: the later ones wait")
    c.ok(b in proc.text() and proc.metric("thanos_shipper_corrupted_blocks_total") >= 1, "damaged: named and counted", proc.text()[-500:])
    proc.stop()
    w.ships("skipping", [a, d], "--shipper.skip-corrupted-blocks", change=damage)[2].stop()
    w.ships("disorderly", [a, d], "--shipper.allow-out-of-order-uploads", change=damage)[2].stop()
    w.ships("young", [b, d], change=compact)[2].stop()
    _, _, proc = w.ships("compacted", w.names, "--shipper.upload-compacted", change=compact)
    c.ok(wait(lambda: proc.metric("thanos_shipper_upload_compacted_done") == 1, 5), "compacted: thanos_shipper_upload_compacted_done")
    proc.stop()
    _, bucket, proc = w.run("unequal", max_block="6h", ready=False)
    c.ok(wait(lambda: not proc.alive(), 10) and proc.p.returncode > 0 and "--storage.tsdb.max-block-duration" in proc.text(), "unequal: refused",
         proc.text()[-500:])
    c.ok(not finished(bucket), "unequal: nothing is shipped")
    w.ships("unequal-ignored", w.names, "--shipper.ignore-unequal-block-size", max_block="6h")[2].stop()


def check_clock(w):
    fake, _, proc = w.run("clock", "--prometheus.get_config_interval=200ms")
    skew = "thanosc_sidecar_prometheus_clock_skew_seconds"
    w.c.ok(abs(proc.metric(skew, 99)) < 2 and "clock of Prometheus" not in proc.text(), "clock: no skew, no warning", proc.metric(skew))
    for seconds in (-90, 20, 90):
        said = proc.text().count("differs from ours")
        fake.skew = seconds
        w.c.ok(wait(lambda: abs(proc.metric(skew) - seconds) < 3, 5), f"clock: {seconds} s off in the metric", proc.metric(skew))
        if abs(seconds) > 30:
            w.c.ok(wait(lambda: proc.text().count("differs from ours") == said + 1, 5), f"clock: {seconds} s off is said once", proc.text()[-400:])
        else:
            w.c.ok(wait(lambda: "agrees with ours again" in proc.text(), 5), "clock: so is its end", proc.text()[-400:])
    proc.stop()


def check_delay_compact(w):
    """Prometheus compacts what the shipper's file names, and only that."""
    c, p = w.c, w.p
    text = subprocess.run([PROMETHEUS, "--help"], capture_output=True, text=True).stdout
    if "delay-compact-file" not in text:
        c.skip("this Prometheus has no --storage.tsdb.delay-compact-file.path")
        return
    lines = ["# TYPE x gauge"] + [f"x {i} {T0 - 7200 * 2 + 60 * i}" for i in range(120 * 12)]
    data = make_blocks("\n".join(lines) + "\n# EOF\n", p.dir("delay"))
    source = finished(data)
    for name, ok in (("thanos.shipper.json", True), ("other.json", False)):
        flags = [f"--storage.tsdb.delay-compact-file.path={data}/{name}"]
        prom = p.prometheus(f"delay-{name}", data, {"cluster": "d"}, flags=flags, longest="1d")
        bucket = p.dir("bucket-delay-" + name)
        proc = p.sidecar(prom, p.bucket(bucket), "--shipper.sync-interval=300ms", ready=ok)
        if ok:
            c.ok(wait(lambda: finished(bucket) == source, 30), "delay-compact: all blocks are shipped before they are compacted",
                 (finished(bucket), source, proc.text()[-800:]))
            c.ok(all(meta_of(os.path.join(bucket, b))["compaction"]["level"] == 1 for b in finished(bucket)), "delay-compact: none compacted")
        else:
            c.ok(wait(lambda: not proc.alive(), 10) and "--storage.tsdb.delay-compact-file.path" in proc.text(), "delay-compact: another file is refused",
                 proc.text()[-500:])
        proc.kill()
        prom.kill()


def main():
    with Procs() as p:
        c = Checks(p)
        w = World(c, p)
        check_flags(w)
        check_clock(w)
        check_delay_compact(w)
    return c.end()


sys.exit(main())
