"""thanosc query behind a reverse proxy and for tenants: --web.route-prefix and friends, --query.tenant-header,
--query.tenant-certificate-field, --query.enforce-tenancy.

Usage: test_web.py. Ends with "N passed, N failed, N skipped".
"""
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import grpc  # noqa: E402

from pki import Authority  # noqa: E402
from procs import Checks, Procs, get, wait  # noqa: E402
from storeapi import EQ, MSG, FakeStore, make_series  # noqa: E402

T = 1_700_000_000


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def location(url):
    try:
        urllib.request.build_opener(NoRedirect).open(url, timeout=10)
        return None
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get("Location")


def links(proc, path, **headers):
    """Prefixes of the links to the API that the page has."""
    return set(re.findall(r'href="([^"]*?)/api/v1/', get(proc.url + path, headers=headers)[1].decode()))


def check_prefix(c, p):
    for flags, prefix, cases in (
            (["--web.route-prefix=/x/"], "/x", [({}, "/x")]),
            (["--web.external-prefix=/out"], "/out", [({}, "/out"), ({"X-Forwarded-Prefix": "/in"}, "/out")]),
            (["--web.external-prefix=/out", "--web.route-prefix=r"], "/r", [({}, "/out")]),
            (["--web.prefix-header=X-Forwarded-Prefix"], "", [({}, ""), ({"X-Forwarded-Prefix": "/in/"}, "/in"),
             ({"X-Forwarded-Prefix": 'http://evil/a//../"><b'}, "/a/%22%3E%3Cb"), ({"X-Forwarded-Prefix": "//evil"}, "/evil")])):
        q = p.query([], *flags, name="query-" + flags[0].split("=")[0][2:])
        what = " ".join(flags)
        for path in ("/-/healthy", "/-/ready", "/metrics", prefix + "/api/v1/stores", prefix + "/api/v1/labels", prefix + "/"):
            c.ok(get(q.url + path)[0] == 200, f"{what}: {path}", get(q.url + path))
        if prefix:
            c.ok(location(q.url + "/") == (302, prefix + "/"), f"{what}: / leads to the page", location(q.url + "/"))
            for path in ("/api/v1/stores", prefix + "/-/ready", prefix + "/metrics", prefix + "more/api/v1/stores"):
                c.ok(get(q.url + path)[0] == 404, f"{what}: no {path}", get(q.url + path))
        for headers, want in cases:
            got = links(q, prefix + "/", **headers)
            c.ok(got == {want}, f"{what}: links with {headers}", got)
            page = get(q.url + prefix + "/", headers=headers)[1].decode()
            c.ok(f'.dataset.prefix = "{want}";' in page, f"{what}: the query box asks there", page[:3000])
        q.stop()
    s = p.thanosc("store", f"--objstore.config-file={p.bucket()}", f"--data-dir={p.dir('data')}", "--web.external-prefix=/s")
    c.ok(get(s.url + "/")[0] == 200, "store: --web.external-prefix moves no route")
    s.stop()


def check_page(c, p):
    """The query box: nothing from elsewhere, a script that node reads, and (without a browser) what it asks and shows."""
    store = FakeStore(lambda request, context: (make_series([("__name__", "m"), ("cluster", "x"), ("n", n)], [(t * 1000, float(i)) for t in range(T - 600, T + 1, 15)])
                                                for i, n in enumerate(("<b>1</b>", "2"))), [("cluster", "x")])
    q = p.thanosc("query", f"--endpoint={store.grpc}", "--web.route-prefix=/x", name="query-page")
    url = q.url + "/x/"
    wait(lambda: store.grpc in get(url + "api/v1/stores")[1].decode())
    page = get(url)[1].decode()
    c.ok('<form id="form">' in page and not re.findall(r"""(?:src|href|action)=["']?(?:https?:)?//|@import|url\(""", page), "the page needs nothing from elsewhere")
    other = p.thanosc("store", f"--objstore.config-file={p.bucket()}", f"--data-dir={p.dir('data-page')}", name="store-page")
    c.ok("<form" not in get(other.url + "/")[1].decode(), "a store has no query box")
    other.stop()
    if not shutil.which("node"):
        c.skip("node is not installed: the script of the page is not run")
        return
    script = p.file("page.js", re.search(r"<script>(.*?)</script>", page, re.S).group(1))
    c.ok(subprocess.run(["node", "--check", script]).returncode == 0, "node reads the script")

    def run(query, show):
        out = subprocess.run(["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support/page_run.js"), url, query, show, str(T)],
                             capture_output=True, text=True, timeout=60, env={**os.environ, "TZ": "UTC"})
        return json.loads(out.stdout) if out.returncode == 0 else {"asked": out.stderr}

    got = run("m", "table")
    c.ok(got["asked"] and got["asked"][0][0] == "/x/api/v1/query" and f"time={T}" in got["asked"][0][1], "a table is asked for under the prefix", got)
    rows = [['m{cluster="x", n="2"}', "1"], ['m{cluster="x", n="<b>1</b>"}', "0"]]
    c.ok(sorted(got["table"]) == rows and got["said"].startswith("2 series"), "and shown, labels as text", got)
    c.ok("expr=m" in got["hash"] and "show=table" in got["hash"], "the address keeps the form", got["hash"])
    got = run("m", "chart")
    c.ok(got["asked"][0][0] == "/x/api/v1/query_range" and f"start={T - 600}&end={T}&step=3" in got["asked"][0][1], "a chart is asked for", got)
    c.ok(not got["chart"]["hidden"] and got["chart"]["lines"] > 300 and len(got["legend"]) == 2, "and drawn: a line for each series", got)
    got = run("1 + 1", "table")
    c.ok(got["table"] == [["scalar", "2"]], "a scalar", got)
    got = run("m[45s]", "table")
    c.ok(sorted(got["table"])[0][1] == f"1 @{T - 30}\n1 @{T - 15}\n1 @{T}", "samples of a range", got)
    got = run("sum(", "table")
    c.ok(got["kind"] == "error" and got["said"].startswith("bad_data: ") and "parse error" in got["said"], "an error is told", got)
    got = run("rate(m[1m])", "table")
    c.ok(got["kind"] == "warning" and "metric might not be a counter" in got["said"], "notes are told", got)
    q.stop()
    store.stop()


class Tenants:
    """A store that notes of each call whose it was and what it was to select."""

    def __init__(self):
        self.seen = []
        self.fake = FakeStore(self.series, [("cluster", "x")])

    def series(self, request, context):
        self.seen.append((dict(context.invocation_metadata()).get("thanos-tenant"),
                          sorted((m.name, m.type, m.value) for m in request.matchers)))
        yield make_series([("__name__", "up"), ("cluster", "x"), ("job", "j"), ("tenant_id", "t1")], [(T * 1000, 1.0)])

    def take(self):
        seen, self.seen = self.seen, []
        return seen


def ask(q, path, headers=None, **params):
    params = {k + "[]" if k == "match" else k: v for k, v in params.items()}
    status, body = get(f"{q.url}/api/v1/{path}?" + urllib.parse.urlencode(params, doseq=True), headers=headers or {})
    return status, json.loads(body)


def check_header(c, p):
    stores = Tenants()
    q = p.query([stores.fake.grpc], "--query.tenant-header=X-Scope", "--query.default-tenant-id=nobody", name="query-header")
    upper = p.query([q.grpc], name="query-upper")
    for proc, headers, want in ((q, {}, "nobody"), (q, {"X-Scope": "t1"}, "t1"), (q, {"thanos-tenant": "t2"}, "t2"),
                                (q, {"X-Scope": "t1", "thanos-tenant": "t2"}, "t1"), (upper, {"THANOS-TENANT": "t3"}, "t3"), (upper, {}, "default-tenant")):
        got = ask(proc, "query", headers, query="up", time=T)
        seen = stores.take()
        c.ok(got[0] == 200 and seen == [(want, [("__name__", EQ, "up")])], f"{proc.name}: tenant of {headers} is {want}", f"{got} {seen}")
    for bad in ("a/b", "../x", "é"):
        got = get(f"{q.url}/api/v1/labels", headers={"X-Scope": bad.encode().decode("latin-1")})
        c.ok(got[0] == 400 and b"tenant name not valid" in got[1], f"tenant {bad} is refused", got)
    for proc in (q, upper):
        proc.stop()
    stores.fake.stop()


def check_enforced(c, p):
    stores = Tenants()
    asked = []

    def exemplars(request, context):
        asked.append(request.query)
        return iter([])
    stores.fake.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("thanos.Exemplars", {
        "Exemplars": grpc.unary_stream_rpc_method_handler(exemplars, MSG["ExemplarsRequest"].FromString, lambda m: m)}),))
    stores.fake.info.exemplars.min_time = 1
    q = p.query([stores.fake.grpc], "--query.enforce-tenancy", "--enable-feature=promql-experimental-functions", "--query.tenant-label-name=tenant_id", name="query-enforced")
    t1 = ("tenant_id", EQ, "t1")
    headers = {"THANOS-TENANT": "t1"}
    for path, params, want in (
            ("query", {"query": "up", "time": T}, [[("__name__", EQ, "up"), t1]]),
            ("query", {"query": 'up{tenant_id="t2"}', "time": T}, [[("__name__", EQ, "up"), t1]]),
            ("query", {"query": 'up{tenant_id=~".+"} or max_over_time((-b)[1h:1m])', "time": T}, [[("__name__", EQ, "b"), t1], [("__name__", EQ, "up"), t1]]),
            ("query_range", {"query": "sum(rate(c[5m]))", "start": T, "end": T + 60, "step": 15}, [[("__name__", EQ, "c"), t1]]),
            ("series", {"match": ["up", '{tenant_id="t2",a="1"}']}, [[("__name__", EQ, "up"), t1], [("a", EQ, "1"), t1]])):
        got = ask(q, path, headers, **params)
        seen = stores.take()
        c.ok(got[0] == 200 and sorted(m for _, m in seen) == sorted(want) and {t for t, _ in seen} == {"t1"}, f"enforced: {path} {params}", f"{got} {seen}")
    # info() looks up series that no selector of the query names
    for query, want in (("info(up)", set()), ('info(up, {x=""})', {("x", EQ, "")}), ('info(up, {tenant_id="t2"})', {("tenant_id", EQ, "t2")})):
        got = ask(q, "query", headers, query=query, time=T)
        seen = [set(m) for _, m in stores.take()]
        c.ok(got[0] == 200 and len(seen) == 2 and all(t1 in m for m in seen) and want <= seen[1], f"enforced: {query}", f"{got} {seen}")
    for path, params in (("labels", {}), ("label/job/values", {}), ("label/job/values", {"match": 'up{tenant_id="t2"}'})):
        got = ask(q, path, headers, **params)
        c.ok(got[0] == 200, f"enforced: {path}", got)
    labels = [sorted((m.name, m.type, m.value) for m in r.matchers) for r in stores.fake.label_requests]
    c.ok(labels == [[t1], [t1], [("__name__", EQ, "up"), t1]], "enforced: matchers of label calls", labels)
    got = ask(q, "query_exemplars", headers, query='rate(up{tenant_id="t2"}[1m]) + other')
    c.ok(got[0] == 200 and asked == ['{__name__="up", tenant_id="t1"}+{__name__="other", tenant_id="t1"}'], "enforced: exemplars", f"{got} {asked}")
    got = ask(q, "query", {"THANOS-TENANT": 't"} or up{a="'}, query="up", time=T)
    seen = stores.take()
    c.ok(got[0] == 200 and seen[0][1] == [("__name__", EQ, "up"), ("tenant_id", EQ, 't"} or up{a="')], "enforced: a tenant is a value, never syntax", f"{got} {seen}")
    q.stop()
    stores.fake.stop()


def check_certificate(c, p):
    """--query.tenant-certificate-field: the tenant is who the client's certificate says, whatever the headers do."""
    stores = Tenants()
    ca = Authority(p.dir("pki"))
    server = ca.leaf("server")
    shown = {name: ca.leaf(name, subject=subject) for name, subject in (
        ("full", "/O=org-1/O=org-2/OU=unit-1/OU=unit-2/CN=first/CN=last"), ("bare", "/CN=only"), ("strange", "/O=Ünion/OU=a\\/b/CN=x y"))}
    tls = f"tls_server_config: {{cert_file: {server[0]}, key_file: {server[1]}"
    config = p.file("web-if-given.yml", tls + f", client_ca_file: {ca.ca}, client_auth_type: VerifyClientCertIfGiven}}\n")

    def ask_as(q, who, path="query?query=up&time=%d" % T, headers=None):
        context = ssl.create_default_context(cafile=ca.ca)
        if who:
            context.load_cert_chain(*shown[who])
        r = urllib.request.Request(f"https://127.0.0.1:{q.http}/api/v1/{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(r, timeout=10, context=context) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())
    none = "could not get required certificate field from client cert"
    for field, wants in (("organization", {"full": "org-1", "bare": None, "strange": ValueError, None: none}),
                         ("organizationalUnit", {"full": "unit-1", "bare": None, "strange": ValueError, None: none}),
                         ("commonName", {"full": "last", "bare": "only", "strange": "x y", None: none})):
        q = p.thanosc("query", f"--endpoint={stores.fake.grpc}", f"--http.config={config}", f"--query.tenant-certificate-field={field}",
                      ready=False, name="query-" + field)
        c.ok(wait(lambda: "msg=ready" in q.text(), 20) and "tenant-certificate-field" not in q.text(), f"{field}: starts without a warning", q.text())
        stores.take()
        for who, want in wants.items():
            got = ask_as(q, who, headers={"THANOS-TENANT": "forged"})
            seen = [t for t, _ in stores.take()]
            if want is ValueError or who is None or want is None:
                text = {ValueError: "tenant name not valid", None: f"could not get {field} field from client cert"}.get(want, none)
                c.ok(got[0] == 400 and got[1]["error"] == text and got[1]["errorType"] == "bad_data" and not seen, f"{field} of {who}: {text}", f"{got} {seen}")
            else:
                c.ok(got[0] == 200 and seen == [want], f"{field} of {who}: {want}", f"{got} {seen}")
        c.ok(ask_as(q, None, "stores")[0] == 200, f"{field}: what is the same for all needs no tenant", ask_as(q, None, "stores"))
        q.stop()
    open_config = p.file("web-any.yml", tls + ", client_auth_type: RequireAnyClientCert}\n")
    for web, text in ((open_config, "certificates are not verified"), ("", "no client is asked for a certificate")):
        q = p.thanosc("query", f"--http.config={web}", "--query.tenant-certificate-field=commonName", ready=False, name="query-warned")
        c.ok(wait(lambda: "msg=ready" in q.text(), 20) and text in q.text(), f"a warning: {text}", q.text())
        q.stop()
    stores.fake.stop()


def main():
    with Procs() as p:
        c = Checks(p)
        check_prefix(c, p)
        check_page(c, p)
        check_header(c, p)
        check_enforced(c, p)
        check_certificate(c, p)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
