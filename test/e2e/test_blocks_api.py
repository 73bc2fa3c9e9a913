"""The HTTP API over blocks of thanosc store: views, marks, status, its flags.

Usage: test_blocks_api.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))

from procs import ROOT, Checks, Procs, get, wait  # noqa: E402

BUCKET = os.path.join(ROOT, "test/golden/blocks/bucket")
ONE = "01M81YVCNRNMYNP70R7FRKH4F0"


def post(url, **params):
    try:
        with urllib.request.urlopen(url, urllib.parse.urlencode(params).encode(), timeout=30) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def main():
    with Procs() as p:
        c = Checks(p)
        bucket = p.path("bucket")
        shutil.copytree(BUCKET, bucket)
        ulids = sorted(u for u in os.listdir(bucket) if len(u) == 26)
        yaml = p.bucket(bucket)
        store = p.store(yaml, "--bucket-web-label=cluster", "--sync-block-duration=1s")
        status, doc = store.api("blocks", view="loaded")
        data = doc.get("data") or {}
        c.ok(status == 200 and sorted(data) == ["blocks", "err", "label", "refreshedAt"], "the fields of a view", doc)
        c.ok(sorted(b["ulid"] for b in data["blocks"]) == ulids and data["label"] == "cluster" and data["err"] is None, "loaded")
        for b in data["blocks"]:
            with open(os.path.join(bucket, b["ulid"], "meta.json")) as f:
                c.ok(json.load(f) == b, f"{b['ulid']} is its meta.json")
        data = store.api("blocks")[1]["data"]
        c.ok(data["blocks"] == [] and data["refreshedAt"] == "0001-01-01T00:00:00Z", "a store has no global view", data)
        for params, text in (({}, "ID cannot be empty"), ({"id": ONE}, "Action cannot be empty"),
                             ({"id": "x", "action": "DELETION"}, 'ULID "x" is not valid'),
                             ({"id": ONE, "action": "EXPLODE"}, "not supported marker EXPLODE"),
                             ({"id": "01M81YVCNRNMYNP70R7FRKH4F1", "action": "DELETION"}, "is not in the bucket")):
            status, doc = post(store.url + "/api/v1/blocks/mark", **params)
            c.ok(status == 400 and doc["errorType"] == "bad_data" and text in doc["error"], f"mark {params}", doc)
        for action, name, reason in (("NO_COMPACTION", "no-compact-mark.json", "manual"), ("DELETION", "deletion-mark.json", None)):
            status, doc = post(store.url + "/api/v1/blocks/mark", id=ONE, action=action, detail="by a test")
            with open(os.path.join(bucket, ONE, name)) as f:
                mark = json.load(f)
            c.ok(status == 200 and doc == {"status": "success"}, action, doc)
            c.ok((mark["id"], mark["version"], mark["details"], mark.get("reason")) == (ONE, 1, "by a test", reason), name, mark)
            before = os.stat(os.path.join(bucket, ONE, name)).st_mtime_ns
            status, _ = post(store.url + "/api/v1/blocks/mark", id=ONE, action=action, detail="again")
            c.ok(status == 200 and os.stat(os.path.join(bucket, ONE, name)).st_mtime_ns == before, f"{action} again changes nothing")
        shutil.rmtree(os.path.join(bucket, ONE))
        c.ok(wait(lambda: len(store.api("blocks", view="loaded")[1]["data"]["blocks"]) == len(ulids) - 1), "the view follows the bucket")
        flags = store.api("status/flags")[1]["data"]
        c.ok(flags["bucket-web-label"] == "cluster" and flags["sync-block-duration"] == "1s", "status/flags", flags)
        c.ok("version" in store.api("status/buildinfo")[1]["data"] and "CWD" in store.api("status/runtimeinfo")[1]["data"], "status")
        closed = p.store(yaml, "--disable-admin-operations", name="closed")
        status, doc = post(closed.url + "/api/v1/blocks/mark", id=ulids[0], action="DELETION")
        c.ok(status == 400 and doc["error"] == "Admin operations are disabled", "--disable-admin-operations", doc)
        moved = p.store(yaml, "--web.route-prefix=/x", name="moved")
        c.ok(get(moved.url + "/x/api/v1/blocks?view=loaded")[0] == 200 and get(moved.url + "/api/v1/blocks")[0] == 404 and
             get(moved.url + "/metrics")[0] == 200 and b"/x/api/v1/status/flags" in get(moved.url + "/x/")[1], "--web.route-prefix")
        off = p.store(yaml, "--web.disable", name="off")
        c.ok(get(off.url + "/api/v1/blocks")[0] == 404 and get(off.url + "/-/ready")[0] == 200, "--web.disable")
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
