"""thanosc doctor: buckets that work and that do not, flags of each mode, certificates that end soon, stores and a Prometheus that are not
there. Ends with "N passed, N failed, N skipped".
"""
import crypt
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from pki import Authority  # noqa: E402
from procs import THANOSC, Checks, Procs, wait  # noqa: E402


def doctor(*files):
    """(exit status, what it printed)"""
    r = subprocess.run([THANOSC, "doctor", *files], capture_output=True, text=True, timeout=90)
    return r.returncode, r.stdout + r.stderr


def main(checks, procs):
    home = procs.dir("conf")
    data = procs.dir("data")

    def file(name, text):
        path = os.path.join(home, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def flags(mode, *more):
        return file("thanosc-" + mode, "# flags\nTHANOSC_FLAGS='" + " ".join(more) + "'\n")

    def says(path, code, *texts):
        got = doctor(path)
        name = os.path.basename(path)
        checks.ok(got[0] == code and all(t in got[1] for t in texts), f"{name}: {', '.join(texts)}", got)

    bucket = file("bucket.yaml", f"type: FILESYSTEM\nconfig: {{directory: {data}}}\n")
    says(bucket, 0, "ok ", "put, get, range, list and delete work", "1 ok, 0 to look at, 0 wrong")
    checks.ok(os.listdir(data) == [], "the bucket is left as it was", os.listdir(data))
    says(file("cut.yaml", "type: FILESYSTEM\nconfig: {directory: x"), 1, "FAIL ", "line 3")
    says(file("nowhere.yaml", "type: FILESYSTEM\nconfig: {directory: /proc/nowhere}\n"), 1, "FAIL ", "/proc/nowhere")
    says(file("other.yaml", "a: 1\n"), 1, "what is this?")
    says(os.path.join(home, "missing.yaml"), 1, "missing.yaml: No such file or directory")
    says(file("web.yaml", "basic_auth_users: {a: plain}\n"), 1, "no bcrypt hash for user 'a'")

    says(file("log.yaml", "options: {level: INFO, decision: {log_end: true}}\n"), 0, "ok ", "request logging of HTTP and gRPC")
    says(file("log.yaml", "grpc:\n  options: {level: WARN}\n"), 1, "FAIL ", "log.yaml: 2:20: grpc.options.level")
    says(file("log.yaml", "http: {}\n"), 0, "warn ", "logs nothing")

    says(flags("store", "--bogus"), 1, "unknown long flag '--bogus'")
    says(flags("store", f"--objstore.config-file={bucket}", f"--data-dir={data}"), 0, "the flags of thanosc store are right",
         "put, get, range, list and delete work")
    says(flags("compact", f"--objstore.config-file={bucket}", f"--data-dir={data}", "--retention.config='{max_size: 1TiB}'"), 0,
         "the flags of thanosc compact are right", "retention configuration")
    says(file("keep.yaml", "policies:\n- match: ['{a=\"b\"}']\n  resolution_raw: 30d\n"), 0, "ok ", "retention configuration")
    says(file("keep.yaml", "policies:\n- match: ['{a=']\n"), 1, "FAIL ", "keep.yaml: ")
    says(file("shard.yaml", "- {action: keep, source_labels: [a], regex: b}\n"), 0, "selector of blocks, 1 rules")
    says(file("shard.yaml", "- {action: replace, source_labels: [a], target_label: b}\n"), 1, "FAIL ", "replace")
    says(flags("sidecar", "--prometheus.url=http://127.0.0.1:1", f"--tsdb.path={home}/none"), 1, "is Prometheus running there?",
         f"{home}/none: is not a folder")

    says(flags("store", f'--objstore.config="{{type: FILESYSTEM, config: {{directory: /proc/nowhere}}}}"', f"--data-dir={data}"), 1,
         "FAIL  --objstore.config: ", "/proc/nowhere")

    says(flags("store", f"--objstore.config-file={bucket}", f"--data-dir={data}", "--request.logging-config=\"options: {level: X}\""), 1,
         "FAIL  --request.logging-config: ", "options.level")

    # A Prometheus that wants a password, played by a querier, which asks for it the same way.
    web = file("guard.yaml", f"basic_auth_users: {{alice: '{crypt.crypt('secret', '$2b$04$abcdefghijklmnopqrstuu')}'}}\n")
    guarded = procs.thanosc("query", f"--http.config={web}", ready=False, name="guarded")
    wait(lambda: "msg=ready" in guarded.text(), 20)
    prom = [f"--prometheus.url={guarded.url}", f"--tsdb.path={data}"]
    says(flags("sidecar", *prom), 1, "answers 401", "--prometheus.http-client")
    client = file("client.yaml", "basic_auth: {username: alice, password: secret}\n")
    says(flags("sidecar", *prom, f"--prometheus.http-client-file={client}"), 0, "Prometheus is ready")

    store = procs.thanosc("store", f"--objstore.config-file={bucket}", f"--data-dir={procs.dir('cache')}")
    for name in ("endpoint", "endpoint-strict"):
        says(flags("query", f"--{name}={store.grpc}"), 0, f"{store.grpc}: store with ")
    store.stop()
    for name in ("endpoint", "endpoint-strict"):
        says(flags("query", f"--{name}={store.grpc}"), 1, "FAIL ", store.grpc)

    ca = Authority(procs.dir("ca"))
    for days, code, text in ((30, 0, "the certificate is good for"), (5, 0, "renew it soon"), (-1, 1, "has expired")):
        pair = ca.leaf("server", to=f"days{days}", days=days)
        says(flags("store", f"--objstore.config-file={bucket}", f"--data-dir={data}", "--grpc-server-tls-cert=" + pair[0],
                   "--grpc-server-tls-key=" + pair[1]), code, f"{pair[0]}: ", text)
    checks.ok(doctor()[0] == 1 and doctor("--help")[0] == 0, "no file is a wrong call, --help is not")


checks = Checks()
with Procs() as procs:
    main(checks, procs)
sys.exit(checks.end())
