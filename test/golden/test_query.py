"""thanosc store on the recorded bucket and thanosc query in front of it, as a user starts them, against the answers that a
real `thanos query` gave (answers/thanos.jsonl, server "stores").

Compared: HTTP status, error type, presence of warnings, series and values (1e-12 relative). Functions of counters near a
reset deviate in Thanos itself (see answers/README.md): for these 10% of the values may be off by up to 25%.
Ends with "N passed, N failed, N skipped".
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = sys.argv[1] if len(sys.argv) > 1 else "build/thanosc"
REFUSED = re.compile(r"not supported yet|is not enabled|is experimental")
COUNTER = re.compile(r"\b(rate|irate|increase|resets)\(")


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def wait(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if what():
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def close(a, b, rel):
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


def points(data):
    for s in data["result"]:
        for p in s.get("values", [s["value"]] if "value" in s else []):
            yield json.dumps(s["metric"], sort_keys=True), p[0], float(p[1])


def mostly(a, b):
    pa, pb = list(points(a)), list(points(b))
    if [x[:2] for x in pa] != [x[:2] for x in pb]:
        return False
    off = [abs(x[2] - y[2]) / max(abs(x[2]), abs(y[2]), 1e-300) for x, y in zip(pa, pb)
           if x[2] != y[2] and not (x[2] != x[2] and y[2] != y[2])]
    return all(o <= 0.25 for o in off) and sum(o > 1e-9 for o in off) <= 0.1 * len(pa) + 1


def normal(body):
    d = body.get("data")
    if isinstance(d, dict) and isinstance(d.get("result"), list) and d["resultType"] in ("vector", "matrix"):
        d["result"].sort(key=lambda s: json.dumps(s["metric"], sort_keys=True))
    elif isinstance(d, list):
        d.sort(key=lambda x: json.dumps(x, sort_keys=True))
    return d


def same(row, status, ours):
    theirs = json.loads(row["body"])
    if isinstance(theirs.get("data"), dict):
        theirs["data"].pop("analysis", None)  # Thanos' own addition to Prometheus' bodies
    if status != row["status"] or ours["status"] != theirs["status"]:
        return False
    if ours["status"] == "error":
        return ours["errorType"] == theirs["errorType"]
    if bool(ours.get("warnings")) != bool(theirs.get("warnings")):
        return False
    a, b = normal(ours), normal(theirs)
    query = row["params"].get("query", "")
    if close(a, b, 1e-12):
        return True
    return bool(COUNTER.search(query)) and isinstance(a, dict) and mostly(a, b)


def main():
    rows = [json.loads(l) for l in open(os.path.join(HERE, "answers/thanos.jsonl"))]
    rows = [r for r in rows if r["server"] == "stores" and re.match(r"(query|query_range|series|labels|label/.*)$", r["api"])]
    passed = failed = 0
    remaining = {}
    with tempfile.TemporaryDirectory() as tmp:
        conf = os.path.join(tmp, "bucket.yml")
        with open(conf, "w") as f:
            f.write("type: FILESYSTEM\nconfig:\n  directory: %s\n" % os.path.abspath(os.path.join(HERE, "blocks/bucket")))
        sg, sh, qg, qh = port(), port(), port(), port()
        logs = [open(os.path.join(tmp, n), "w") for n in ("store.log", "query.log")]
        store = subprocess.Popen([BIN, "store", f"--grpc-address=127.0.0.1:{sg}", f"--http-address=127.0.0.1:{sh}",
                                  f"--data-dir={tmp}/data", f"--objstore.config-file={conf}"], stderr=logs[0])
        procs = [store]
        try:
            if not wait(lambda: get(f"http://127.0.0.1:{sh}/-/ready")[0] == 200):
                print("FAILED store does not become ready")
                failed += 1
            query = subprocess.Popen([BIN, "query", f"--grpc-address=127.0.0.1:{qg}", f"--http-address=127.0.0.1:{qh}",
                                      f"--endpoint=127.0.0.1:{sg}", "--query.replica-label=replica"], stderr=logs[1])
            procs.append(query)
            base = f"http://127.0.0.1:{qh}"
            if not wait(lambda: b"eu" in get(base + "/api/v1/stores")[1]):
                print("FAILED query does not see the store")
                failed += 1
            for r in rows:
                url = f"{base}/api/v1/{urllib.parse.quote(r['api'])}?" + urllib.parse.urlencode(r["params"], doseq=True)
                status, text = get(url)
                ours = json.loads(text)
                if ours["status"] == "error" and REFUSED.search(ours["error"]):
                    remaining[ours["error"]] = remaining.get(ours["error"], 0) + 1
                elif same(r, status, ours):
                    passed += 1
                else:
                    failed += 1
                    print(f"FAILED {url[:300]}\n  ours {status}: {json.dumps(ours)[:500]}\n  theirs {r['status']}: {r['body'][:500]}")
            for name, p in (("store", sh), ("query", qh)):
                out = subprocess.run(["promtool", "check", "metrics"], input=get(f"http://127.0.0.1:{p}/metrics")[1],
                                     capture_output=True)
                ok = out.returncode == 0 and not out.stderr
                passed, failed = passed + ok, failed + (not ok)
                if not ok:
                    print(f"FAILED promtool on {name}: {out.stderr.decode()[:500]}")
            store.kill()
            store.wait()
            status, text = get(base + "/api/v1/query?query=up&time=1789995900")
            warned = str(sg) in json.dumps(json.loads(text).get("warnings", []))
            passed, failed = passed + (warned and status == 200), failed + (not (warned and status == 200))
            if not warned:
                print(f"FAILED a dead store is not named: {text[:300]}")
            query.terminate()
            ended = query.wait(20) == 0
            passed, failed = passed + ended, failed + (not ended)
        finally:
            for p in procs:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            for f in logs:
                f.close()
        if failed:
            for n in ("store.log", "query.log"):
                print(f"{n}: {open(os.path.join(tmp, n)).read()[-1500:]}")
    for why in sorted(remaining, key=remaining.get, reverse=True)[:10]:
        print(f"note: {remaining[why]} not answered yet: {why}")
    print(f"remaining: {sum(remaining.values())} of {len(rows)} recorded answers need what a later issue brings")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
