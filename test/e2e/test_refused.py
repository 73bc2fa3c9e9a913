"""Flags that are refused, by the program that was built to look for leaks: one line that names the flag, and nothing is lost.
Needs build/asan/thanosc (or THANOSC_ASAN). Ends with "N passed, N failed, N skipped".
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from procs import ROOT, Checks  # noqa: E402

ASAN = os.environ.get("THANOSC_ASAN") or os.path.join(ROOT, "build/asan/thanosc")


def main():
    c = Checks()
    for mode, flag, text in (
            ("query", "--query.partition-label=region", "--query.partition-label"), ("store", "--bogus", "unknown long flag '--bogus'"),
            ("sidecar", "--log.level=loud", "must be one of debug,info,warn,error"), ("query", "--tracing.config-file=/nowhere", "/nowhere"),
            ("store", "--objstore.config=" + "x" * 5000, "")):
        r = subprocess.run([ASAN, mode, "--log.format=json", flag] + ["--log.format=json"] * (text == ""), capture_output=True, text=True, timeout=60)
        lines = r.stderr.splitlines()
        c.ok(r.returncode == 1 and len(lines) == 1 and lines[0].startswith(f"thanosc {mode}: error: ") and text in lines[0], f"{mode} {flag[:50]}",
             f"{r.returncode}: {r.stderr}")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
