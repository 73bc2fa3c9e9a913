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


def changed(major=None):
    """The rows for the fixed queries, or those for random ones of a major version: with the kinds of difference they explain."""
    lines, part, out = [r.replace("\\|", "\0") for r in rows("changed_since_242.def")], None, []
    for row in lines:
        if row.startswith("[random "):
            part = row[8:-1]
        elif part is None and major is None:
            out.append(Changed(*(field.strip() for field in row.split("|", 2))))
        elif part and major and part in (str(major), "each"):
            kind, *fields = (field.strip() for field in row.split("|", 3))
            out.append(Changed(*fields, kind))
    return out


def changed_row(table, query, kind="any"):
    return next((c for c in table if (kind in c.kind.split(",") or c.kind == "any") and re.search(c.pattern.replace("\0", "|"), query)), None)


def requests(query):
    """[(api, params)]"""
    return ([("query", {"query": query, "time": t}) for t in INSTANTS] +
            [("query_range", {"query": query, "start": a, "end": b, "step": s}) for a, b, s in RANGES])
