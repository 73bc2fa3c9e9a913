"""thanosc tools block beside Debian's promtool: the numbers of `tsdb analyze --extended` and the lines of `tsdb dump` are the
same; verify finds nothing in sound blocks, names what is damaged, and says by its exit code which it was; ls lists what
a bucket holds.

Usage: test_tools.py. Ends with "N passed, N failed, N skipped".
"""
import collections
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))

from procs import ROOT, THANOSC, Checks, Procs  # noqa: E402

BUCKET = os.path.join(ROOT, "test/golden/blocks/bucket")
CORRUPT = os.path.join(ROOT, "test/golden/corrupt")
FLOATS, HISTS = "01M81YVCFSCF0E425839T44G73", "01M81YVCHCC17VDZ0DT7QR6H2J"
ONLY_FLOATS = "01M81YVCNRNMYNP70R7FRKH4F0"
MANY = "01M81YVBWEZNH3H08SPVGX7K64"  # series of many names


def run(*args, code=None):
    p = subprocess.run([THANOSC, "tools", "block", *args], capture_output=True, text=True, timeout=120)
    return p if code is None or p.returncode == code else None


def promtool(*args):
    return subprocess.run(["promtool", "tsdb", *args], capture_output=True, text=True, timeout=120).stdout


def sections(text):
    """{title: [(number, key)]} of promtool's lists."""
    out, title = {}, None
    for line in text.splitlines():
        row = re.fullmatch(r"(\d+) (.*)", line)
        if line.endswith(":") and not row:
            title = line[:-1]
            out[title] = []
        elif row and title:
            out[title].append((int(row[1]), row[2]))
        elif not line:
            title = None
    return out


def same_list(ours, theirs):
    """Equal numbers in order, equal keys but where the number of the last shown row has ties."""
    if [n for n, _ in ours] != [n for n, _ in theirs]:
        return False
    last = ours[-1][0] if ours else 0
    return {r for r in ours if r[0] != last} == {r for r in theirs if r[0] != last}


def head(text, key):
    m = re.search(rf"^{re.escape(key)}: (\S+)", text, re.M)
    return m and m[1]


def analyze(c, db):
    for ulid in sorted(u for u in os.listdir(BUCKET) if len(u) == 26):
        theirs, ours = promtool("analyze", "--extended", db, ulid), run("inspect", f"{BUCKET}/{ulid}", code=0).stdout
        want, got = sections(theirs), sections(ours)
        c.ok(all(head(theirs, k) == head(ours, k) for k in ("Block ID", "Series", "Label names", "Postings (unique label pairs)")),
             f"{ulid}: the numbers of promtool's head")
        c.ok(theirs.count("total label pairs") == ours.count("total label pairs") == 1, f"{ulid}: entries")
        for title in want:
            if title.startswith("Compaction"):
                continue
            c.ok(same_list(got.get(title, []), want[title]), f"{ulid}: {title}", f"{got.get(title)} != {want[title]}")
    theirs = promtool("analyze", "--extended", db, ONLY_FLOATS)
    bars = [len(m) for m in re.findall(r"^ +\d+%: (#*)$", theirs, re.M)]
    stats = json.loads(run("inspect", "--extended", "-o", "json", f"{BUCKET}/{ONLY_FLOATS}", code=0).stdout)
    c.ok(len(bars) == 10 and bars == [100 * n // stats["chunks"] for n in stats["fullness"]], "fullness of chunks",
         f"{bars} {stats['fullness']}")


def extended(c):
    with open(os.path.join(ROOT, "test/golden/blocks/blocks.tsv")) as f:
        rows = [line.rstrip("\n").split("\t") for line in f][1:]
    for what, _, ulid, folder, series, samples, chunks in rows:
        if folder != "bucket":
            continue
        s = json.loads(run("inspect", "--extended", "-o", "json", f"{BUCKET}/{ulid}", code=0).stdout)
        c.ok((s["series"], s["samples"], s["chunks"]) == (int(series), int(samples), int(chunks)), f"{ulid}: counted by reading")
        c.ok(sum(s["encodings"].values()) == s["chunks"] and s["float_samples"] + s["histogram_samples"] == s["samples"],
             f"{ulid} ({what}): by kind")


def selected(c):
    """Of the series of a selector: what dump shows of them, counted here."""
    block = f"{BUCKET}/{MANY}"
    whole = json.loads(run("inspect", "--extended", "-o", "json", block, code=0).stdout)
    for selector in ('{__name__=~"(go|container)_.*"}', 'up', '{job!=""}', '{__name__!=""}', '{job="no such"}'):
        shown = [json.loads(line) for line in run("dump", "-o", "json", f"--match={selector}", block, code=0).stdout.splitlines()]
        pairs = [pair for row in shown for pair in row["labels"].items()]
        common = {f"{k}={v}": n for (k, v), n in collections.Counter(pairs).items()}
        s = json.loads(run("inspect", "--extended", "-o", "json", "--limit=100000", f"--match={selector}", block, code=0).stdout)
        got = s["matched_series"], s["samples"], s["label_names"], s["label_pairs"], s["label_pair_entries"]
        want = len(shown), sum(len(row["samples"]) for row in shown), len({k for k, _ in pairs}), len(common), len(pairs)
        c.ok(got == want, f"--match={selector}: series, samples, labels", f"{got} != {want}")
        c.ok(dict(s["common_label_pairs"]) == common, f"--match={selector}: series by label")
        c.ok(sum(n for _, n in s["metrics"]) == len(shown), f"--match={selector}: series by metric")
        c.ok(s["series"] == whole["series"], f"--match={selector}: the block's series")
        if selector == '{__name__!=""}':
            c.ok(all(s[k] == whole[k] for k in ("chunks", "encodings", "fullness", "float_chunk_bytes")), "a selector of all")
    text = run("inspect", "--match=up", block, code=0).stdout
    c.ok(re.search(r"^Matched series: [1-9]", text, re.M), "matched series in the text")
    c.ok("--match" in run("inspect", "--match=up{", block, code=1).stderr, "a wrong selector is told")


def dump(c, p):
    one = os.path.join(p.dir("one"), FLOATS)
    shutil.copytree(f"{BUCKET}/{FLOATS}", one)
    os.mkdir(os.path.join(os.path.dirname(one), "wal"))  # promtool asks for it
    theirs = sorted(promtool("dump", os.path.dirname(one)).splitlines())
    # names beyond the old alphabet stand in quotes since Prometheus 3
    ours = sorted(re.sub(r'([{ ])"([^"]*)"=', r"\1\2=", line) for line in run("dump", one, code=0).stdout.splitlines())
    c.ok(len(theirs) == 5524 and ours == theirs, "dump is promtool's, line by line",
         str([x for x in zip(ours, theirs) if x[0] != x[1]][:3]))
    some = "--min-time=1789970600000", "--max-time=1789971600000"
    theirs = sorted(promtool("dump", *some, os.path.dirname(one)).splitlines())
    ours = sorted(run("dump", *some, one, code=0).stdout.splitlines())
    c.ok(len(theirs) > 10 and ours == theirs, "a range of time")
    first = run("dump", "-o", "json", one, code=0).stdout.splitlines()
    total = sum(len(json.loads(line)["samples"]) for line in first)
    c.ok(total == 5524, "all samples as JSON", str(total))
    hists = run("dump", f"{BUCKET}/{HISTS}", code=0).stdout.splitlines()
    c.ok(len(hists) == 2716 and any("{count:" in line for line in hists), "histograms", str(len(hists)))
    down = os.path.join(ROOT, "test/golden/compacted/custom/bucket")
    agg = {line.rsplit(" ", 1)[1] for line in run("dump", down, code=0).stdout.splitlines() if "1" in line[-20:]}
    c.ok({"count", "sum", "counter"} <= agg, "aggregates are named", str(agg)[:200])
    c.ok(run("dump", "--match={a=", one, code=1) is not None, "a selector that is none is refused")


def verify(c, p):
    ok = run("verify", BUCKET, code=0)
    c.ok(ok and ok.stdout.count(": ok") == 13, "sound blocks", ok and ok.stdout[-300:])
    bad = os.path.join(p.dir("bad"), "01M821NCFRPKGVBHCWCCWQMGB1")
    shutil.copytree(os.path.join(CORRUPT, "base"), bad)
    shutil.copy(os.path.join(CORRUPT, "cases/chunks-crc/chunks/000001"), os.path.join(bad, "chunks/000001"))
    shutil.copytree(f"{BUCKET}/{HISTS}", os.path.join(os.path.dirname(bad), HISTS))
    got = run("verify", os.path.dirname(bad), code=1)
    c.ok(got and "chunks/000001: chunk at 8 of series 0" in got.stdout and f"{HISTS}: ok" in got.stdout, "a damaged one beside",
         got and got.stdout)
    yaml = p.bucket(os.path.dirname(bad))
    got = run("verify", "-o", "json", f"--objstore.config-file={yaml}", os.path.basename(bad), code=1)
    doc = json.loads(got.stdout) if got else {}
    c.ok(doc.get("damage") == 1 and [f["kind"] for f in doc["findings"] if f["damage"]] == ["checksum"], "in a bucket, as JSON", str(doc))
    for args in ([], ["/nonexistent"], [CORRUPT], [f"--objstore.config-file={yaml}", "no-ulid"]):
        got = run("verify", *args, code=1)
        c.ok(got and "error:" in got.stderr, f"verify {args} is refused", got and got.stderr)


def verify_is_small(c, p):
    """Memory does not grow with the number of segments (512 MiB each at full size): some 50 of 1 MiB are read through a few windows."""
    tools = os.path.join(ROOT, "build/release/test")
    made = subprocess.run([f"{tools}/tool_compact_blocks", "make", p.dir("made"), "1000", "1766620800", str(1766620800 + 40 * 3600), "15", "0", "a"],
                          capture_output=True, text=True, timeout=120).stdout.strip()
    subprocess.run([f"{tools}/tool_rewrite_block", f"--segment={1 << 20}", os.path.join(p.path("made"), made), p.dir("cut")], check=True, timeout=120)
    segments = len(os.listdir(os.path.join(p.path("cut"), made, "chunks")))
    v = subprocess.Popen([THANOSC, "tools", "block", "verify", os.path.join(p.path("cut"), made)], stdout=subprocess.PIPE)
    said = v.stdout.read().decode()
    _, status, use = os.wait4(v.pid, 0)
    v.returncode = status
    c.ok(status == 0 and ": ok" in said and segments > 30, f"{segments} segments are sound", said)
    forked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # counts, too: the child began as this process
    c.ok(use.ru_maxrss < max(20 << 10, forked + (2 << 10)), "in 20 MiB", f"{use.ru_maxrss} KiB, {forked} before")


def listing(c):
    rows = [line.split("\t") for line in run("ls", "-o", "tsv", BUCKET, code=0).stdout.splitlines()]
    c.ok(rows[0][:4] == ["ULID", "FROM", "UNTIL", "RANGE"] and len(rows) == 14 and len({len(r) for r in rows}) == 1, "ls as a table")
    got = [json.loads(line) for line in run("ls", "-o", "json", BUCKET, code=0).stdout.splitlines()]
    c.ok(len(got) == 13 and all(b["meta"]["ulid"] == b["ulid"] and b["bytes"] > 0 for b in got), "ls as JSON")


def tree(folder):
    """{path: bytes} below the block folders."""
    out = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(base, name), folder)
            if len(path.split("/")[0]) == 26:
                with open(os.path.join(base, name), "rb") as f:
                    out[path] = f.read()
    return out


def snapshots(c, p):
    live = p.path("live")
    shutil.copytree(BUCKET, live)
    second = p.dir("second")
    flags = f"--objstore.config-file={p.bucket(live)}", f"--snapshot.objstore.config-file={p.bucket(second)}"

    def bucket(what, *more):
        return subprocess.run([THANOSC, "tools", "bucket", what, *more], capture_output=True, text=True, timeout=120)

    got = bucket("snapshot", *flags, '--match={cluster="eu"}', "--dry-run")
    c.ok(got.returncode == 0 and "6 blocks" in got.stdout and tree(second) == {}, "a snapshot tried", got.stdout + got.stderr)
    got = bucket("snapshot", *flags, '--match={cluster="eu"}', "--name=eu")
    c.ok(got.returncode == 0 and "6 copied" in got.stdout and len({k.split("/")[0] for k in tree(second)}) == 6, "of some blocks", got.stdout + got.stderr)
    time.sleep(1.1)  # a snapshot's time is in seconds
    got = bucket("snapshot", *flags, "--name=all", "--keep=0d")
    c.ok(got.returncode == 0 and "7 copied, 6 there already" in got.stdout and tree(second) == tree(live), "of all: what is new is copied",
         got.stdout + got.stderr)
    got = bucket("snapshots", flags[1])
    c.ok([line.split("\t")[0] for line in got.stdout.splitlines()] == ["eu", "all"], "snapshots lists them", got.stdout + got.stderr)
    before = tree(live)
    shutil.rmtree(live)
    os.mkdir(live)
    got = bucket("restore", *flags, "--name=eu", "--max-time=2026-09-21T09:00:00Z")
    c.ok(got.returncode == 0 and len(os.listdir(live)) == 2, "a part of one is restored", got.stdout + got.stderr)
    got = bucket("restore", *flags)
    c.ok(got.returncode == 0 and tree(live) == before, "the newest one is restored whole", got.stdout + got.stderr)
    c.ok("ok" in run("verify", live, code=0).stdout, "and is sound")
    got = bucket("restore", *flags, "--name=none")
    c.ok(got.returncode == 1 and "none" in got.stderr, "a snapshot that is not there", got.stderr)
    got = bucket("snapshot", flags[0])
    c.ok(got.returncode == 1 and "snapshot.objstore.config" in got.stderr, "where to is required", got.stderr)


def main():
    with Procs() as p:
        c = Checks(p)
        db = os.path.join(p.dir("db"), "db")
        shutil.copytree(BUCKET, db)
        analyze(c, db)
        extended(c)
        selected(c)
        dump(c, p)
        verify(c, p)
        verify_is_small(c, p)
        listing(c)
        snapshots(c, p)
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
