"""The queries of test/diff as requests: each as an instant query at several times and as range queries."""
import os
import re
from collections import namedtuple

from promdata import T0

DIFF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../diff")
INSTANTS = (T0 + 900, T0 + 3900, T0 + 7260, T0 + 12345.5)
RANGES = ((T0 - 600, T0 + 15000, 120), (T0 + 6600, T0 + 8400, 15))

Changed = namedtuple("Changed", "what pattern why kind", defaults=("any",))


def rows(name):
    with open(os.path.join(DIFF, name)) as f:
        return [l.rstrip("\n") for l in f if l.strip() and not l.startswith("#")]


def queries():
    return rows("queries.txt")


def changed(random=False):
    """The rows for the fixed queries, or those for random ones: with the kind of difference that they explain."""
    lines = [r.replace("\\|", "\0") for r in rows("changed_since_242.def")]
    at = lines.index("[random]")
    if not random:
        return [Changed(*(part.strip() for part in row.split("|", 2))) for row in lines[:at]]
    return [Changed(*fields[1:], fields[0]) for fields in ([part.strip() for part in row.split("|", 3)] for row in lines[at + 1:])]


def changed_row(table, query, kind="any"):
    return next((c for c in table if (kind in c.kind.split(",") or c.kind == "any") and re.search(c.pattern.replace("\0", "|"), query)), None)


def requests(query):
    """[(api, params)]"""
    return ([("query", {"query": query, "time": t}) for t in INSTANTS] +
            [("query_range", {"query": query, "start": a, "end": b, "step": s}) for a, b, s in RANGES])
