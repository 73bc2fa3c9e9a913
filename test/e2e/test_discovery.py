"""thanosc query finds its endpoints: names that change, vanish, fail and come back, files, the configuration, groups,
strict endpoints, thousands of addresses. The stores are foreign ones (python3-grpcio), the name server is a test's own.
Usage: test_discovery.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from dns import NameServer  # noqa: E402
from pki import Authority  # noqa: E402
from procs import Checks, Procs, THANOSC, get, healthy_stores, port, promtool_clean, wait  # noqa: E402
from storeapi import FakeStore, make_series  # noqa: E402

AT = 1_700_000_000
LIMIT = 30


class Store(FakeStore):
    """Holds one series, x{store="NAME"}."""

    def __init__(self, name, at="127.0.0.1:0", pause=0.0, tls=None):
        self.name, self.pause = name, pause
        super().__init__(self.all, [("store", name)], at=at, tls=tls)

    def all(self, request, context):
        labels = [("__name__", "x"), ("store", self.name)]
        yield make_series(labels + [("t", "1")], [(AT * 1000, 1.0)])
        time.sleep(self.pause)
        yield make_series(labels + [("t", "2")], [(AT * 1000, 2.0)])


def stores_of(query):
    """{address: entry of /api/v1/stores}."""
    return {s["name"]: {**s, "kind": kind} for kind, v in query.api("stores")[1]["data"].items() for s in v}


def seen(query, **params):
    """({stores whose series an instant query shows}, [warnings])."""
    code, body = query.api("query", query="sum by (store) (x)", time=AT, **params)
    if code != 200:
        return {f"error {code}"}, [json.dumps(body)]
    return {s["metric"]["store"] for s in body["data"]["result"] if s["value"][1] == "3"}, body.get("warnings", [])


def becomes(c, query, want, what, seconds=LIMIT):
    good = wait(lambda: seen(query) == (want, []), seconds)
    return c.ok(good, what, f"{seen(query)} instead of {want}; {json.dumps(stores_of(query))}")


def metrics(query):
    return get(query.url + "/metrics")[1].decode()


def start(p, dns, *flags, **more):
    return p.thanosc("query", f"--store.sd-dns-servers={dns.addr}", "--store.sd-dns-interval=1s",
                     "--query.replica-label=replica", *flags, name=more.pop("name", "query"), **more)


def refused(*flags):
    r = subprocess.run([THANOSC, "query", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", *flags],
                       capture_output=True, text=True, timeout=30)
    return r.returncode, r.stderr


def names(c, p):
    dns = NameServer()
    a, b, d = Store("a"), Store("b"), Store("d")
    dns.set("srv.test", "SRV", [(a.port, "one.test"), (b.port, "two.test"), (1, "dead.test")])
    dns.set("one.test", "A", ["127.0.0.1"])
    dns.set("two.test", "A", ["127.0.0.1"])
    dns.set("dead.test", "A", "SERVFAIL")
    dns.set("d.test", "A", ["127.0.0.1"])
    query = start(p, dns, "--endpoint=dnssrv+srv.test", f"--endpoint=dns+d.test:{d.port}")
    c.ok(seen(query) == ({"a", "b", "d"}, []), "names are resolved when it says ready, a dead record alone is missing",
         f"{seen(query)} {stores_of(query)}")
    text = metrics(query)
    c.ok('thanos_query_endpoints_dns_provider_results{addr="dnssrv+srv.test"} 2\n' in text
         and query.metric("thanos_query_endpoints_dns_failures_total") >= 1,
         "metrics tell results and failures", [l for l in text.splitlines() if "_dns_" in l])
    c.ok('thanos_store_nodes_grpc_connections{external_labels="{store=\\"a\\"}",store_type="store"} 1\n' in text,
         "the gauge of connections has its labels", [l for l in text.splitlines() if "nodes_grpc" in l])

    dns.set("srv.test", "SRV", [(b.port, "two.test")])
    becomes(c, query, {"b", "d"}, "an address leaves its name: the endpoint goes, without a warning")
    c.ok(a.grpc not in stores_of(query), "it is not listed any more", stores_of(query))
    dns.set("srv.test", "SRV", [(a.port, "one.test"), (b.port, "two.test")])
    becomes(c, query, {"a", "b", "d"}, "it comes back")
    for what in ("SERVFAIL", "MUTE"):
        before = query.metric("thanos_query_endpoints_dns_failures_total")
        for name, kind in (("srv.test", "SRV"), ("one.test", "A"), ("two.test", "A"), ("d.test", "A")):
            dns.set(name, kind, what)
        c.ok(wait(lambda: query.metric("thanos_query_endpoints_dns_failures_total") >= before + 2, 40), f"{what}: counted")
        c.ok(seen(query) == ({"a", "b", "d"}, []), f"{what}: the last good answers stay in use", seen(query))
    dns.drop("srv.test")
    dns.set("d.test", "A", ["127.0.0.1"])
    becomes(c, query, {"d"}, "a name that does not exist any more has no endpoints")

    many = [Store(f"m{i}") for i in range(3)]
    dns.set("srv.test", "SRV", [(s.port, f"host-with-a-long-name-{i:04}.test") for i, s in enumerate(many * 10)])
    for i in range(30):
        dns.set(f"host-with-a-long-name-{i:04}.test", "A", ["127.0.0.1"])
    tcp = dns.over_tcp
    becomes(c, query, {"d", "m0", "m1", "m2"}, "an answer too large for UDP comes over TCP")
    c.ok(dns.over_tcp > tcp, "by TCP indeed")
    c.ok(not promtool_clean(query), "promtool finds nothing wrong with the metrics", promtool_clean(query))
    c.ok(query.stop() == 0, "it ends well while names are asked for", query.text()[-800:])
    for s in (a, b, d, *many):
        s.stop()


def not_ready_before_names_were_tried(c, p):
    dns = NameServer()
    a = Store("a")
    dns.set("mute.test", "A", "MUTE")
    dns.set("mute.test", "AAAA", "MUTE")
    query = start(p, dns, "--endpoint=dns+mute.test:1", f"--endpoint={a.grpc}", ready=False)
    c.ok(wait(lambda: get(query.url + "/-/healthy")[0] == 200, 10), "it serves while names are asked for")
    time.sleep(1)
    c.ok(get(query.url + "/-/ready")[0] == 503, "a name without an answer yet: not ready")
    c.ok(wait(lambda: get(query.url + "/-/ready")[0] == 200, 25), "it was tried, in vain: ready")
    c.ok(seen(query) == ({"a"}, []), "the others are there", seen(query))
    query = start(p, dns, "--endpoint=dns+mute.test:1", ready=False, name="query-ends")
    wait(lambda: get(query.url + "/-/healthy")[0] == 200, 10)
    begin = time.monotonic()
    c.ok(query.stop() == 0 and time.monotonic() - begin < 5, "a signal ends the first round of names", query.text()[-800:])
    a.stop()


def write(path, text):
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)


def files(c, p):
    dns = NameServer()
    a, b, slow = Store("a"), Store("b"), Store("slow", pause=4.0)
    dns.set("b.test", "A", ["127.0.0.1"])
    folder = p.dir("sd")
    one, two = os.path.join(folder, "one.json"), os.path.join(folder, "two.yml")
    query = start(p, dns, f"--store.sd-files={folder}/*.json", f"--store.sd-files={folder}/*.yml")
    c.ok(seen(query) == (set(), []), "no files yet: no endpoints")
    write(one, json.dumps([{"targets": [a.grpc], "labels": {"x": "y"}}]))
    becomes(c, query, {"a"}, "a file appears")
    write(two, f"- targets:\n  - dns+b.test:{b.port}\n  - {a.grpc}\n")
    becomes(c, query, {"a", "b"}, "another, with a name in it; an address twice is one endpoint")
    c.ok(query.metric("thanos_query_duplicated_endpoint_addresses_total") >= 1, "and counted")
    write(one, '[{"targets": ["')
    c.ok(wait(lambda: query.metric("prometheus_sd_file_read_errors_total") >= 1, LIMIT), "a broken file is counted")
    os.remove(two)
    becomes(c, query, {"a"}, "a file that goes takes its endpoints along, a broken one keeps them")
    write(one, json.dumps([{"targets": [a.grpc, slow.grpc]}]))
    c.ok(wait(lambda: slow.grpc in healthy_stores(query), LIMIT), "the slow store is found")
    got = []
    t = threading.Thread(target=lambda: got.append(seen(query)))
    t.start()
    wait(lambda: slow.calls > 0, 10)
    write(one, json.dumps([{"targets": [b.grpc]}]))
    c.ok(wait(lambda: list(stores_of(query)) == [b.grpc], LIMIT) and t.is_alive(), "endpoints dropped while a query reads from them")
    t.join()
    c.ok(got == [({"a", "slow"}, [])], "the query gets all that it asked for", got)
    becomes(c, query, {"b"}, "the next one sees the new set")
    for s in (a, b, slow):
        s.stop()


def configuration(c, p):
    dns = NameServer()
    a, b, f = Store("a"), Store("b"), Store("f")
    dns.set("b.test", "A", ["127.0.0.1"])
    path = p.file("endpoints.yml", f"endpoints:\n- address: {a.grpc}\n")
    query = start(p, dns, f"--endpoint.sd-config-file={path}", "--endpoint.sd-config-reload-interval=1s", f"--endpoint={f.grpc}")
    c.ok(seen(query) == ({"a", "f"}, []), "endpoints of the file and of the flags", seen(query))
    write(path, f"endpoints:\n- address: dns+b.test:{b.port}\n- address: {a.grpc}\n  strict: true\n")
    becomes(c, query, {"a", "b", "f"}, "the file is read again")
    for what, text in (("no YAML", "endpoints: ["), ("an unknown key", "endpoints:\n- adress: x:1\n"),
                       ("a strict name", "endpoints:\n- {address: 'dns+b.test:1', strict: true}\n"),
                       ("no CA", f"endpoints:\n- address: {b.grpc}\n  client_config: {{tls_config: {{ca_file: /x}}}}\n")):
        failures = query.metric("thanosc_query_endpoint_config_reload_failures_total")
        write(path, text)
        c.ok(wait(lambda: query.metric("thanosc_query_endpoint_config_reload_failures_total") > failures, LIMIT)
             and query.metric("thanosc_query_endpoint_config_last_reload_successful") == 0, f"{what}: counted")
        c.ok(seen(query) == ({"a", "b", "f"}, []), f"{what}: the set before stays", seen(query))
    c.ok("endpoints.yml: 2:3: endpoints[0].adress: unknown key" in query.text() and "the one before stays in use" in query.text(), "the log says where and what", query.text()[-600:])
    write(path, "endpoints: []\n")
    becomes(c, query, {"f"}, "a good file is taken again")
    c.ok(query.metric("thanosc_query_endpoint_config_last_reload_successful") == 1, "and said so")
    code, err = refused(f"--endpoint.sd-config=endpoints: [{{address: 'x:1', client_config: {{compression: lz4}}}}]")
    c.ok(code == 1 and "compression" in err and "lz4" in err, "an unknown compression is refused by name", err)
    for s in (a, b, f):
        s.stop()


def tls(c, p):
    """Endpoints with clients of their own: two authorities, plain text, and a name whose addresses have TLS."""
    dns = NameServer()
    one, two = Authority(p.dir("pki-one")), Authority(p.dir("pki-two"))
    a, b, d = Store("a", tls=one.leaf("a")), Store("b", tls=two.leaf("b", san="DNS:b.example")), Store("d", tls=one.leaf("d"))
    plain = Store("plain")
    dns.set("d.test", "A", ["127.0.0.1"])

    def config(ca_of_b):
        return (f"default_client_config: {{tls_config: {{ca_file: {one.ca}}}}}\nendpoints:\n- address: {a.grpc}\n"
                f"- address: dns+d.test:{d.port}\n"
                f"- address: {b.grpc}\n  client_config: {{server_name: b.example, tls_config: {{ca_file: {ca_of_b}}}}}\n"
                f"- address: {plain.grpc}\n  client_config: {{tls_config: {{enabled: false}}}}\n")

    path = p.file("tls.yml", config(two.ca))
    query = start(p, dns, f"--endpoint.sd-config-file={path}", "--endpoint.sd-config-reload-interval=1s")
    c.ok(seen(query) == ({"a", "b", "d", "plain"}, []), "each endpoint by its own client", f"{seen(query)} {stores_of(query)}")
    write(path, config(one.ca))
    c.ok(wait(lambda: seen(query)[0] == {"a", "d", "plain"}, LIMIT), "another authority: the endpoint is out", seen(query))
    c.ok(wait(lambda: "certificate" in (stores_of(query)[b.grpc]["lastError"] or ""), LIMIT), "the list says why", stores_of(query))
    write(path, config(two.ca))
    becomes(c, query, {"a", "b", "d", "plain"}, "the right one again")
    for s in (a, b, d, plain):
        s.stop()


def strict(c, p):
    dns = NameServer()
    a = Store("a")
    dead = f"127.0.0.1:{port()}"
    query = start(p, dns, f"--endpoint={a.grpc}", f"--endpoint-strict={dead}", "--store.unhealthy-timeout=1s")
    time.sleep(1.5)
    got, warnings = seen(query)
    c.ok(got == {"a"} and len(warnings) == 1 and dead in warnings[0], "a strict endpoint that is down is a warning", (got, warnings))
    entry = stores_of(query).get(dead, {})
    c.ok("refused" in (entry.get("lastError") or ""), "it stays visible, with the reason", stores_of(query))
    c.ok(query.api("query", query="x", time=AT, partial_response="false")[0] != 200, "without partial response it is an error")
    c.ok(f'thanosc_query_endpoint_unhealthy{{endpoint="{dead}",reason="unavailable"}} 1' in metrics(query), "a metric says so, too")
    s = Store("s", at=dead)
    becomes(c, query, {"a", "s"}, "it is there once it answers")
    for flag in ("--endpoint-strict=dns+x.test:1", "--endpoint-group-strict=dnssrv+x.test"):
        code, err = refused(flag)
        c.ok(code == 1 and "strict" in err and "dns" in err, f"{flag} is refused", err)
    other = start(p, dns, f"--endpoint={a.grpc}", f"--endpoint=127.0.0.1:{port()}", name="query-plain")
    entry = [s for s in stores_of(other).values() if s["lastError"]]
    c.ok(len(entry) == 1 and "refused" in entry[0]["lastError"], "one that never answered is listed with the reason", stores_of(other))
    a.stop()
    s.stop()


def groups(c, p):
    dns = NameServer()
    a = Store("g", at="127.0.0.2:0")
    b = Store("g", at=f"127.0.0.3:{a.port}")
    dns.set("g.test", "A", ["127.0.0.2", "127.0.0.3"])
    name = f"dns+g.test:{a.port}"
    query = start(p, dns, f"--endpoint-group={name}", f"--endpoint-group-strict={b.grpc}")
    c.ok(set(stores_of(query)) == {"thanos:///" + name, "thanos:///" + b.grpc}, "a group is one endpoint", stores_of(query))
    c.ok(seen(query) == ({"g"}, []), "its data is there once", seen(query))
    query.kill()
    query = start(p, dns, f"--endpoint-group={name}", name="query-group")
    before = a.calls, b.calls
    got = [seen(query) for _ in range(6)]
    c.ok(got == [({"g"}, [])] * 6, "the group answers", got)
    c.ok((a.calls - before[0], b.calls - before[1]) == (3, 3), "its members are asked in turn", (before, a.calls, b.calls))
    c.ok(f'thanos_query_endpoint_groups_dns_provider_results{{addr="{name}"}} 2' in metrics(query), "metrics of groups",
         [l for l in metrics(query).splitlines() if "groups_dns" in l])
    b.stop()
    got = [seen(query) for _ in range(4)]
    c.ok(got == [({"g"}, [])] * 4, "a member dies: calls to it go to another", got)
    calls = a.calls
    c.ok(all(seen(query) == ({"g"}, []) for _ in range(6)) and a.calls == calls + 6, "a dead member is left out", seen(query))
    b = Store("g", at=f"127.0.0.3:{a.port}")
    dns.set("g.test", "A", ["127.0.0.3"])
    c.ok(wait(lambda: seen(query) == ({"g"}, []) and b.calls > 0, LIMIT), "the name moves to the other address")
    calls = a.calls
    c.ok(all(seen(query) == ({"g"}, []) for _ in range(4)) and a.calls == calls, "and only that is asked")
    a.stop()
    b.stop()


def two_names(c, p):
    dns = NameServer()
    a = Store("a", at="0.0.0.0:0")
    dns.set("a.test", "A", ["127.0.0.1"])
    query = start(p, dns, f"--endpoint=127.0.0.1:{a.port}", f"--endpoint=dns+a.test:{a.port}", f"--endpoint=127.0.0.2:{a.port}",
                  "--query.conn-metric.label=ip_port", "--query.conn-metric.label=store_type")
    c.ok(set(stores_of(query)) == {f"127.0.0.1:{a.port}", f"127.0.0.2:{a.port}"}, "one address by two names is one endpoint", stores_of(query))
    c.ok(query.metric("thanos_query_duplicated_endpoint_addresses_total") >= 1, "counted")
    c.ok(seen(query) == ({"a"}, []), "a store at two addresses: its data is there once", seen(query))
    code, body = query.api("query", query="x", time=AT)
    c.ok(code == 200 and len(body["data"]["result"]) == 2, "each series once", body)
    c.ok(f'thanos_store_nodes_grpc_connections{{ip_port="127.0.0.2:{a.port}",store_type="store"}} 1' in metrics(query),
         "--query.conn-metric.label chooses the labels", [l for l in metrics(query).splitlines() if "nodes_grpc" in l])
    code, err = refused("--query.conn-metric.label=nonsense")
    c.ok(code == 1 and "nonsense" in err, "an unknown label is refused", err)
    a.stop()


def hosts(c, p):
    """--store.sd-dns-resolver=golang finds names of /etc/hosts, which miekgdns (the default) does not look at."""
    with open("/etc/hosts") as f:
        words = [line.split("#")[0].split() for line in f]
    name = next((w for line in words if line and line[0].startswith("127.") for w in line[1:] if w != "localhost"), None)
    if not name:
        c.skip("/etc/hosts has no name of this host but localhost")
        return
    dns = NameServer()
    dns.set(name, "A", [])
    a = Store("a", at="0.0.0.0:0")
    query = start(p, dns, f"--endpoint=dns+{name}:{a.port}", "--store.sd-dns-resolver=golang")
    c.ok(len(stores_of(query)) == 1, f"golang: {name} is found", stores_of(query))
    query.stop()
    query = start(p, dns, f"--endpoint=dns+{name}:{a.port}", "--store.sd-dns-resolver=miekgdns")
    c.ok(not stores_of(query), f"miekgdns: {name} is not", stores_of(query))
    query.stop()
    a.stop()
    code, err = refused("--store.sd-dns-resolver=nonsense")
    c.ok(code == 1 and "golang,miekgdns" in err, "an unknown resolver is refused", err)


def thousands(c, p):
    dns = NameServer()
    a = Store("a")
    path = p.path("many.json")
    # the last: an answer of 64 KiB
    dns.set("many.test", "A", [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(3000)])
    write(path, json.dumps([{"targets": [a.grpc, "dns+many.test:9"] + [f"192.0.2.{i % 250}:{1000 + i // 250}" for i in range(2000)]}]))
    begin = time.monotonic()
    query = start(p, dns, f"--store.sd-files={path}", seconds=60)
    c.ok(time.monotonic() - begin < 30, "5001 addresses: ready soon", time.monotonic() - begin)
    begin = time.monotonic()
    got = seen(query)[0]
    c.ok(got == {"a"} and time.monotonic() - begin < 10, "queries are answered beside the dead", (got, time.monotonic() - begin))
    c.ok(len(stores_of(query)) == 5001, "all are listed", len(stores_of(query)))
    c.ok(query.metric("thanosc_query_endpoint_unhealthy") == 5000, "and counted as out", query.metric("thanosc_query_endpoint_unhealthy"))
    c.ok(query.rss() < 700 << 20, "in bounded memory", query.rss() >> 20)
    print(f"note: 5001 addresses: {query.rss() >> 20} MiB resident")
    write(path, json.dumps([{"targets": [a.grpc]}]))
    becomes(c, query, {"a"}, "they go, and the warnings with them")
    c.ok(query.stop() == 0, "it ends well", query.text()[-500:])
    a.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        for part in (names, not_ready_before_names_were_tried, files, configuration, tls, strict, groups, two_names, hosts, thousands):
            begin = time.monotonic()
            part(c, p)
            print(f"note: {part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
        return c.end()


if __name__ == "__main__":
    sys.exit(main())
