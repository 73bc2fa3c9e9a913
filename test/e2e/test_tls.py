"""TLS between the processes: gRPC with client certificates, a foreign client and a foreign server, who is refused and how it is told;
certificates that change while streams are open; TLS, users and headers of the HTTP port (--http.config). Ends with "N passed, N failed, N skipped".
"""
import base64
import crypt
import http.client
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
import grpc  # noqa: E402

from pki import Authority  # noqa: E402
from procs import Checks, Procs, healthy_stores, wait  # noqa: E402

BUCKET = os.path.abspath(os.path.join(HERE, "../golden/blocks/bucket"))
AT = 1789997400


def read(path):
    with open(path, "rb") as f:
        return f.read()


def count_up(query):
    body = query.api("query", query="count(up)", time=AT)[1]
    result = body.get("data", {}).get("result") or [{}]
    return result[0].get("value", [0, None])[1], body.get("warnings", [])


def health(addr, ca, pair=None):
    """1 (SERVING) or the text of what went wrong, asked by python3-grpcio."""
    creds = grpc.ssl_channel_credentials(read(ca), *([read(pair[1]), read(pair[0])] if pair else []))
    with grpc.secure_channel(addr, creds) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check", lambda b: b, lambda b: b)
        try:
            return call(b"", timeout=5)[1]
        except grpc.RpcError as e:
            return e.details()


def hashed(password):
    return crypt.crypt(password, "$2b$04$abcdefghijklmnopqrstuu")


def ask(port, path, ca=None, user=None, pair=None):
    """(status, headers, body) over HTTPS where a CA is given; (None, error, None) where nothing was answered."""
    context = None
    if ca:
        context = ssl.create_default_context(cafile=ca)
        if pair:
            context.load_cert_chain(*pair)
    conn = (http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context) if ca
            else http.client.HTTPConnection("127.0.0.1", port, timeout=10))
    try:
        conn.request("GET", path, headers={"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {})
        r = conn.getresponse()
        return r.status, dict(r.getheaders()), r.read()
    except (OSError, http.client.HTTPException) as e:
        return None, str(e), None
    finally:
        conn.close()


def web(checks, procs, ca, client, server):
    users = "basic_auth_users:\n  alice: " + hashed("secret") + "\n  bob: " + hashed("other") + "\n"
    tls = (f"tls_server_config:\n  cert_file: {os.path.basename(server[0])}\n  key_file: {os.path.basename(server[1])}\n"
           f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {ca.ca}\n")
    config = ca.path("web.yml")  # relative paths: from here

    def write(text):
        with open(config, "w") as f:
            f.write(text)

    write(tls + users + "http_server_config:\n  headers:\n    X-Frame-Options: deny\n")
    q = procs.thanosc("query", f"--http.config={config}", ready=False, name="web")
    get = lambda path, **more: ask(q.http, path, ca=ca.ca, pair=client, **more)  # noqa: E731
    checks.ok(wait(lambda: get("/-/ready", user="alice:secret")[0] == 200, 20), "a user with a certificate is served", q.text())
    for path in ("/-/healthy", "/metrics", "/api/v1/stores", "/nothing"):
        status, headers, _ = get(path)
        checks.ok(status == 401 and headers.get("WWW-Authenticate") == "Basic" and headers.get("X-Frame-Options") == "deny",
                  f"{path} without a user: 401", (status, headers))
    for user in ("alice:Secret", "alice:", "bob:secret", "nobody:secret", ":", "alice"):
        checks.ok(get("/metrics", user=user)[0] == 401, f"{user}: 401")
    for _ in range(3):
        checks.ok(get("/metrics", user="bob:other")[0] == 200, "the second user is served")
    checks.ok(get("/nothing", user="bob:other")[0] == 404, "what is not there is told to users only")
    checks.ok(ask(q.http, "/metrics", ca=ca.ca, user="bob:other")[0] is None, "no certificate: refused")
    checks.ok(ask(q.http, "/metrics", user="bob:other")[0] is None, "plain HTTP: refused")
    write(tls + "basic_auth_users:\n  alice: " + hashed("fresh") + "\n")
    checks.ok(wait(lambda: get("/metrics", user="alice:fresh")[0] == 200, 30), "a password that changed is taken over", q.text())
    checks.ok(get("/metrics", user="alice:secret")[0] == 401 and get("/metrics", user="bob:other")[0] == 401, "the old ones are not")
    write("basic_auth_users: [")
    checks.ok(wait(lambda: "stays as it was" in q.text(), 30) and get("/metrics", user="alice:fresh")[0] == 200,
              "a broken file changes nothing and is named")
    text = q.text() + (get("/api/v1/status/flags", user="alice:fresh")[2] or b"").decode()
    checks.ok(not any(s in text for s in ("secret", "fresh", "$2b$")), "no password is told", text[-300:])
    for san, served in (("one.example", True), ("DNS", False), ("10.1.2.3", True), ("spiffe://example/job", True), ("someone@example", True), ("elsewhere", False)):
        write(tls.replace("  client_auth", f"  client_allowed_sans: [unknown, '{san}']\n  client_auth"))
        p = procs.thanosc("query", f"--http.config={config}", ready=False, name="sans")
        pair = ca.leaf("named", san="DNS:one.example,IP:10.1.2.3,URI:spiffe://example/job,email:someone@example")
        wait(lambda p=p: "listening for HTTP" in p.text(), 10)
        status = ask(p.http, "/-/healthy", ca=ca.ca, pair=pair)[0]
        checks.ok(status == (200 if served else None), f"client_allowed_sans {san}: {'served' if served else 'refused'}", (status, p.text()))
        checks.ok(ask(p.http, "/-/healthy", ca=ca.ca, pair=client)[0] is None, f"client_allowed_sans {san}: another certificate is refused")
        p.kill()
    for text, why in (("basic_auth_users:\n  eve: plain\n", "2:8: no bcrypt hash for user 'eve'"),
                      ("tls_server_config:\n  cert_fle: x\n", "2:3: tls_server_config.cert_fle: unknown key, did you mean 'cert_file'"),
                      ("http_server_config:\n  headers:\n    Set-Cookie: x\n", "3:17: this header cannot be set: 'Set-Cookie'"),
                      (f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: {ca.ca}\n", "client_auth_type")):
        write(text)
        p = procs.thanosc("query", f"--http.config={config}", ready=False, name="wrong")
        checks.ok(wait(lambda p=p: not p.alive(), 10) and p.p.returncode != 0 and why in p.text(), f"refused at the start: {why}", p.text())


with Procs() as procs:
    checks = Checks(procs)
    ca, other = Authority(procs.dir("pki")), Authority(procs.dir("other"))
    server, client, foreign = ca.leaf("server"), ca.leaf("client"), other.leaf("client")
    bucket = procs.bucket(BUCKET)
    store = procs.store(bucket, f"--grpc-server-tls-cert={server[0]}", f"--grpc-server-tls-key={server[1]}",
                        f"--grpc-server-tls-client-ca={ca.ca}")
    secure = ["--grpc-client-tls-secure", f"--grpc-client-tls-ca={ca.ca}"]

    def query(name, *flags, see=1):
        return procs.query([store.grpc], *flags, see=see, name=name)

    good = query("good", *secure, f"--grpc-client-tls-cert={client[0]}", f"--grpc-client-tls-key={client[1]}")
    checks.ok(count_up(good) == ("7", []), "a querier with a certificate gets the answer", count_up(good))
    checks.ok(health(store.grpc, ca.ca, client) == 1, "so does python3-grpcio", health(store.grpc, ca.ca, client))
    checks.ok(health(store.grpc, ca.ca) != 1, "a client without a certificate is refused")
    checks.ok(health(store.grpc, ca.ca, foreign) != 1, "a client of another authority is refused")
    for name, flags, text in (
            ("plain", [], ""),
            ("nocert", secure, ""),
            ("otherca", ["--grpc-client-tls-secure", f"--grpc-client-tls-ca={other.ca}"], "certificate refused"),
            ("othername", [*secure, "--grpc-client-server-name=elsewhere.example", f"--grpc-client-tls-cert={client[0]}",
                           f"--grpc-client-tls-key={client[1]}"], "certificate refused")):
        q = query(name, *flags, see=0)
        wait(lambda q=q: count_up(q)[1], 10)
        value, warnings = count_up(q)
        checks.ok(value is None and any(store.grpc in w and text in w for w in warnings), f"{name}: refused, and a warning names the store",
                  warnings)
    for flags, text in ((["--grpc-server-tls-cert=" + server[0]], "go together"),
                        (["--grpc-server-tls-client-ca=" + ca.ca], "key and certificate must also be provided"),
                        (["--grpc-server-tls-cert=" + server[0], "--grpc-server-tls-key=" + client[1]], "does not belong"),
                        (["--grpc-server-tls-cert=/nowhere", "--grpc-server-tls-key=/nowhere"], "/nowhere"),
                        (["--grpc-server-tls-min-version=1.4"], "--grpc-server-tls-min-version")):
        p = procs.thanosc("store", f"--objstore.config-file={bucket}", f"--data-dir={procs.dir('d')}", *flags, ready=False, name="wrong")
        checks.ok(wait(lambda p=p: not p.alive(), 10) and p.p.returncode != 0 and text in p.text(), f"refused at the start: {text}", p.text())
    web(checks, procs, ca, client, server)
    # The server's certificate is replaced by one of another authority: open connections go on, new ones see it.
    other.leaf("server", to="new")
    for ext in (".crt", ".key"):
        os.replace(other.path("new" + ext), server[0][:-4] + ext)
    checks.ok(wait(lambda: health(store.grpc, other.ca, client) == 1, 30), "a certificate that changed is in use", store.text()[-500:])
    checks.ok(count_up(good) == ("7", []) and healthy_stores(good) == [store.grpc], "who was connected goes on", count_up(good))
sys.exit(checks.end())
