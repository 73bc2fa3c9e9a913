"""500 random queries over random data, answered by Debian's Prometheus and by ours: test/diff/README.md.

Usage: test_diff.py [flags of diff.py]. Ends with "N passed, N failed, N skipped".
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../diff"))
import diff  # noqa: E402

if __name__ == "__main__":
    sys.exit(diff.main(sys.argv[1:] or ["--seed", "5", "--queries", "500", "--data", "250"]))
