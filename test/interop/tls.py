#!/usr/bin/env python3
"""gRPC over TLS with client certificates between both makes: a part of `run`, or alone: THANOS=/path/to/thanos test/interop/tls.py.

Each querier asks a sidecar and a store of each make, which want certificates of one authority; its answers equal those without TLS. Who has
none, or one of another authority, is refused by either make, and a server of another authority is not talked to.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from compare import close, difference, normal  # noqa: E402
from pki import Authority  # noqa: E402
from procs import THANOSC, Checks, Procs, healthy_stores, wait  # noqa: E402

THANOS = os.environ.get("THANOS", "")
OURS, THEIRS = "thanosc", "Thanos"
BIN = {OURS: THANOSC, THEIRS: THANOS}
BUCKET = os.path.abspath(os.path.join(HERE, "../golden/blocks/bucket"))
AT = 1789997400  # within the blocks
SPAN = {"start": AT - 3600, "end": AT}  # what lives meanwhile is not compared
CASES = [("query", {"query": q, "time": AT}) for q in ("up", "count(up)", 'sum by (job) (rate({__name__=~".+_total"}[5m]))')] + [
    ("query_range", {"query": "up", "start": AT - 1800, "end": AT, "step": 15}), ("labels", SPAN), ("label/job/values", SPAN), ("series", {"match[]": "up", **SPAN})]


def server_flags(pair, client_ca):
    return [f"--grpc-server-tls-cert={pair[0]}", f"--grpc-server-tls-key={pair[1]}", f"--grpc-server-tls-client-ca={client_ca}"]


def client_flags(ca, pair=None):
    return ["--grpc-client-tls-secure", f"--grpc-client-tls-ca={ca}"] + ([f"--grpc-client-tls-cert={pair[0]}", f"--grpc-client-tls-key={pair[1]}"] if pair else [])


class World:
    """One Prometheus with a sidecar of each make, one bucket with a store of each make; the same with and without TLS."""

    def __init__(self, p):
        self.p = p
        self.ca, self.foreign = Authority(p.dir("ca")), Authority(p.dir("foreign"), "foreign")
        self.server, self.client, self.stranger = self.ca.leaf("server"), self.ca.leaf("client"), self.foreign.leaf("stranger")
        bucket = p.file("bucket.yml", f"type: FILESYSTEM\nconfig: {{directory: {BUCKET}}}\n")
        prom = p.prometheus("tls", external={"cluster": "live"}, scrape=[("self", "self")])
        self.prom = prom
        flags = {"plain": [], "TLS": server_flags(self.server, self.ca.ca), "foreign TLS": server_flags(self.foreign.leaf("localhost"), self.ca.ca)}
        self.servers = {}
        for make in (OURS, THEIRS):
            for how, more in flags.items():
                self.servers[make, how] = [
                    p.sidecar(prom, None, *more, binary=BIN[make], name=f"sidecar-{make}-{how}".replace(" ", "-")),
                    p.store(bucket, *more, binary=BIN[make], name=f"store-{make}-{how}".replace(" ", "-"))]

    def query(self, make, below, how, *flags, see=None):
        return self.p.query([s.grpc for s in self.servers[below, how]], *flags, binary=BIN[make], see=see, name=f"query-{make}-{below}")


def answers(query):
    return [query.api(api, **params) for api, params in CASES]


def data(answer):
    d = normal(answer[1])
    return {k: v for k, v in d.items() if k != "analysis"} if isinstance(d, dict) else d


def same(x, y):
    return x[0] == y[0] == 200 and close(data(x), data(y), 1e-9)


def check_served(c, w, table, querier, below):
    plain = w.query(querier, below, "plain")
    secure = w.query(querier, below, "TLS", *client_flags(w.ca.ca, w.client))
    bad = 0
    for case, x, y in zip(CASES, answers(secure), answers(plain)):
        good = same(x, y) and bool(x[1]["data"])
        bad += not good
        c.ok(good, f"TLS: {querier} query over {below} sidecar and store: {case}", difference(normal(x[1]), normal(y[1]), 1e-9) + str(x)[:500])
    live = wait(lambda: secure.value('up{cluster="live"}') == "1", 10)
    c.ok(live, f"TLS: {querier} query sees live data of the {below} sidecar", secure.api("query", query='up{cluster="live"}'))
    table.append((f"{querier} query over TLS to {below} sidecar and store, client certificates", "the same without TLS", len(CASES) - bad, bad))
    for q in (plain, secure):
        q.stop()


def check_refused(c, w, querier, below):
    for how, flags in (("no certificate", client_flags(w.ca.ca)), ("a foreign certificate", client_flags(w.ca.ca, w.stranger)), ("no TLS", [])):
        q = w.query(querier, below, "TLS", *flags, see=0)
        # its first round of questions is over when it says so
        c.ok(wait(lambda: q.metric("thanos_status", -1) >= 0 and q.alive(), 10) and not wait(lambda: healthy_stores(q), 7),
             f"TLS: {below} refuses {querier} with {how}", healthy_stores(q))
        got = q.api("query", query="up", time=AT)
        c.ok(not (got[1].get("data") or {}).get("result"), f"TLS: and it gives {querier} nothing ({how})", got)
        q.stop()
    q = w.query(querier, below, "foreign TLS", *client_flags(w.ca.ca, w.client), see=0)
    c.ok(not wait(lambda: healthy_stores(q), 7), f"TLS: {querier} does not talk to a {below} of another authority", healthy_stores(q))
    q.stop()


def over_tls(c, p, table):
    w = World(p)
    for querier, below in ((OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)):
        check_served(c, w, table, querier, below)
    for querier, below in ((OURS, THEIRS), (THEIRS, OURS)):
        check_refused(c, w, querier, below)
    for servers in w.servers.values():
        for s in servers:
            s.stop()
    w.prom.stop()


def main():
    if not THANOS:
        print("skipped: no Thanos given; THANOS=/path/to/thanos test/interop/tls.py")
        return 0
    table = []
    with Procs() as p:
        c = Checks(p)
        over_tls(c, p, table)
    for a, b, good, bad in table:
        print(f"note: {a} against {b}: {good} equal, {bad} not")
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
