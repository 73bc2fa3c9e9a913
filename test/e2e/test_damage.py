"""All damaged blocks of test/golden/corrupt at once in one bucket, beside a good one, under thanosc store: it becomes ready,
serves the good one whole, and names each damaged block in its log and in thanosc_block_damage_total.

Usage: test_damage.py. Ends with "N passed, N failed, N skipped".
"""
import csv
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))

from procs import ROOT, Checks, Procs, get  # noqa: E402
from promdata import new_ulid  # noqa: E402
from storeapi import Client, labels_of  # noqa: E402

CORRUPT = os.path.join(ROOT, "test/golden/corrupt")
GOOD = os.path.join(ROOT, "test/golden/blocks/bucket/01M81YVC0FJJQ87HKZ11JM4HFZ")
# Passed on as they are, sound in what is used of them, or no damage to a store: test_bucket_damage.c has the reasons.
SILENT = re.compile(r"yields|every series once|entries that are there|come out sorted|store: served|refused or ignored")


def must_say(case):
    if case["file"] == "tombstones" or case["case"] in ("meta-missing", "meta-thanos-version", "index-postings-table-offset"):
        return False
    if case["file"].startswith("chunks/") and "checksum valid" in case["damage"] and "names the encoding" not in case["expected"]:
        return False
    return not SILENT.search(case["expected"])


def put(bucket, case, ulid):
    """The base block with the case's file, named ulid wherever its meta.json can still be read."""
    block = os.path.join(bucket, ulid)
    shutil.copytree(os.path.join(CORRUPT, "base"), block)
    damaged, to = os.path.join(CORRUPT, "cases", case["case"], case["file"]), os.path.join(block, case["file"])
    if os.path.exists(damaged):
        shutil.copy(damaged, to)
    else:
        os.remove(to)
    path = os.path.join(block, "meta.json")
    if not os.path.exists(path):
        return
    with open(path, errors="replace") as f:
        text = f.read().replace("01M821NCFRPKGVBHCWCCWQMGB1", ulid)
    if case["file"] != "meta.json":
        meta = json.loads(text)
        meta["thanos"] = {"labels": {"case": case["case"]}, "downsample": {"resolution": 0}, "source": "sidecar"}
        meta["compaction"]["sources"] = [ulid]
        text = json.dumps(meta)
    elif text.strip():
        # 18 blocks of the same source would be taken for one
        text = re.sub(r'("sources": \[\s*")[0-9A-Z]{26}', lambda m: m.group(1) + ulid, text)
    with open(path, "w") as f:
        f.write(text)


def series(addr, matcher):
    got, warnings = Client(addr).series(matchers=[matcher])
    return {(labels_of(s), c.min_time, c.max_time, c.raw.data) for s in got for c in s.chunks}, warnings


def main():
    with Procs() as p:
        c = Checks(p)
        alone, bucket = p.dir("alone"), p.dir("bucket")
        for b in (alone, bucket):
            shutil.copytree(GOOD, os.path.join(b, os.path.basename(GOOD)))
        with open(os.path.join(CORRUPT, "cases.tsv")) as f:
            cases = [r for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
                     if r["file"] not in ("index-header", "thanos.shipper.json")]
        for n, case in enumerate(cases):
            case["ulid"] = new_ulid(n)
            put(bucket, case, case["ulid"])
        want, _ = series(p.store(p.bucket(alone), name="alone").grpc, "zzz=")
        store = p.store(p.bucket(bucket))
        got, warnings = series(store.grpc, "zzz=")
        c.ok(len(want) > 100 and want <= got, "the good block is served whole", f"{len(want - got)} of {len(want)} chunks lack")
        c.ok(store.alive() and get(store.url + "/-/ready")[0] == 200, "the store is ready")
        metrics, log = get(store.url + "/metrics")[1].decode(), store.text()
        for case in cases:
            if must_say(case):
                named = f'thanosc_block_damage_total{{block="{case["ulid"]}"' in metrics
                logged = any("level=warn" in l and case["ulid"] in l for l in log.splitlines())
                c.ok(named and logged, f"{case['case']}: named in metric and log", (named, logged))
        c.ok(warnings, "the answer has warnings")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
