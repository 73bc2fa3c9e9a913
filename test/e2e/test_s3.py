"""Buckets of type S3 against Ceph RGW (Debian's): a sidecar ships, a store serves, the answers are those of the same blocks in a
folder; in the open, over TLS, in parts, and through a proxy that breaks a fifth of all requests.
Usage: test_s3.py. Ends with "N passed, N failed, N skipped".
"""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from compare import close, difference, normal  # noqa: E402
from faultproxy import FaultProxy  # noqa: E402
from metadata import TOKEN, Metadata  # noqa: E402
from procs import THANOSC, Checks, Procs, get, wait  # noqa: E402
from promdata import LENGTH, REPLICAS, T0, make_blocks, make_noise, openmetrics  # noqa: E402
from rgw import ACCESS, SECRET, Rgw, missing  # noqa: E402

QUERIES = ("up", "http_requests_total", "sum by (job) (rate(http_requests_total[5m]))", "special", "temperature_celsius > 0",
           "histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[10m])))", "count by (__name__) ({__name__=~\".+\"})")
CHANCE = 0.2


def block_files(data):
    """{object: size} of what a sidecar should ship of a data folder, without meta.json."""
    out = {}
    for block in os.listdir(data):
        if os.path.exists(os.path.join(data, block, "meta.json")):
            for part in ("index", *(f"chunks/{c}" for c in os.listdir(os.path.join(data, block, "chunks")))):
                out[f"{block}/{part}"] = os.path.getsize(os.path.join(data, block, part))
    return out


def answers(query):
    out = {}
    for q in QUERIES:
        out[q] = query.api("query_range", query=q, start=T0, end=T0 + LENGTH, step=61)[1]
    out["labels"] = query.api("labels", start=T0, end=T0 + LENGTH)[1]
    out["values"] = query.api("label/job/values", start=T0, end=T0 + LENGTH)[1]
    return out


def same(c, what, got, want):
    for q, theirs in want.items():
        ours = got[q]
        a, b = normal(ours), normal(theirs)
        c.ok(ours["status"] == "success" and theirs["data"] and not ours.get("warnings") and close(a, b, 1e-9), f"{what}: {q}",
             f"{ours.get('error')} {ours.get('warnings')} {difference(a, b, 1e-9)}")


def shipped(c, what, rgw, bucket, data, seconds=60):
    """Everything arrives whole, meta.json too, and nothing else."""
    want = block_files(data)
    blocks = {k.split("/")[0] for k in want}
    metas = {f"{b}/meta.json" for b in blocks}
    c.ok(want and wait(lambda: metas <= set(rgw.objects(bucket)), seconds, 0.3), f"{what}: the blocks are shipped", rgw.objects(bucket))
    got = rgw.objects(bucket)
    c.ok({k: v for k, v in got.items() if k not in metas} == want, f"{what}: objects and sizes are those of the files", (got, want))


def check_bucket(c, p, rgw, prom, folder, name, **more):
    """Ship to a bucket, serve from it."""
    bucket = rgw.bucket(name)
    conf = p.file(f"s3-{name}.yml", rgw.config(bucket, **more))
    side = p.sidecar(prom, conf, f"--shipper.meta-file-name={name}.json", "--shipper.sync-interval=1s", name=f"sidecar-{name}")
    shipped(c, name, rgw, bucket, prom.data)
    c.ok(side.metric("thanos_objstore_bucket_operation_failures_total") == 0, f"{name}: no failures are counted")
    text = get(side.url + "/metrics")[1].decode()
    c.ok(f'thanos_objstore_bucket_operations_total{{bucket="{bucket}",operation="upload"}}' in text, f"{name}: uploads are counted")
    c.ok(SECRET not in side.text() + text, f"{name}: the secret is not shown")
    c.ok(side.stop() == 0, f"{name}: the sidecar ends with 0")
    store = p.store(conf, name=f"store-{name}")
    same(c, name, answers(p.query([store.grpc], replica=(), name=f"query-{name}")), folder)
    c.ok(store.metric("thanos_objstore_bucket_operation_fetched_bytes_total") > 0, f"{name}: bytes are counted")
    return conf


def check_faults(c, p, rgw, prom, folder):
    proxy = FaultProxy(rgw.http, CHANCE, seed=7)
    bucket = rgw.bucket("faults")
    conf = p.file("s3-faults.yml", rgw.config(bucket, endpoint=f"127.0.0.1:{proxy.port}"))
    side = p.sidecar(prom, conf, "--shipper.meta-file-name=faults.json", "--shipper.sync-interval=1s", name="sidecar-faults")
    shipped(c, "through faults", rgw, bucket, prom.data, 120)
    side.stop()
    store = p.store(conf, name="store-faults", seconds=120)
    query = p.query([store.grpc], replica=(), name="query-faults")
    for n in range(5):
        same(c, f"through faults, round {n}", answers(query), folder)
    c.ok(proxy.requests > 30 and all(proxy.done.values()), "every fault happened", (proxy.requests, proxy.done))
    print(f"note: {proxy.requests} requests through the proxy, faults {proxy.done}")
    proxy.close()


def check_stale(c, rgw):
    """The proxy's old listings: what was true a moment ago, never anything else, and no longer than it is told to."""
    proxy = FaultProxy(rgw.http, 1, seed=7, stale=1)
    bucket = rgw.bucket("stale")

    def listed(times):
        """The different whole answers to a listing through the proxy, as sets of keys."""
        out = set()
        for _ in range(times):
            text = rgw.curl("GET", f"{bucket}?list-type=2", "--connect-to", f"127.0.0.1:{rgw.http}:127.0.0.1:{proxy.port}")
            if text.endswith("</ListBucketResult>"):
                out.add(tuple(re.findall("<Key>(.*?)</Key>", text)))
        return out

    def put(key):
        rgw.curl("PUT", f"{bucket}/{key}", "-d", "x")

    put("a")
    c.ok(listed(10) == {("a",)}, "what never was is not listed")
    put("b")
    c.ok(listed(30) == {("a",), ("a", "b")}, "an old listing is given beside the new one")
    time.sleep(1.2)
    c.ok(listed(10) == {("a", "b")}, "it is given for its time only")
    c.ok(proxy.done["stale"], "and counted", proxy.done)
    proxy.close()


def check_parts(c, p, rgw):
    """A block of more than a part: multipart, whole, nothing left behind; killed on the way, it goes on."""
    bucket = rgw.bucket("parts")
    data = make_noise(p.dir("noise"), 2600, 470)
    big = max(block_files(data).values())
    prom = p.prometheus("noise", data, {"cluster": "noise"})
    conf = p.file("s3-parts.yml", rgw.config(bucket, more="  part_size: 5242880\n"))
    side = p.sidecar(prom, conf, "--shipper.sync-interval=1s", name="sidecar-parts")
    c.ok(big > 5242880, "a file is larger than a part", big)
    shipped(c, "in parts", rgw, bucket, data)
    c.ok(rgw.uploads(bucket) == 0, "no upload is left open")
    side.stop()
    store = p.store(conf, name="store-parts")
    query = p.query([store.grpc], replica=(), name="query-parts")
    ours, theirs = (x.api("query", query="sum(count_over_time(noise[2h]))", time=T0 + 7100)[1] for x in (query, prom))
    c.ok(ours["data"]["result"] and ours["data"]["result"][0]["value"][1] == theirs["data"]["result"][0]["value"][1],
         "the samples of the noise come back", (ours, theirs))
    prom.stop()


def check_credentials(c, p, rgw):
    """From a machine's metadata, renewed before it expires; from a container's endpoint."""
    bare = "".join(l + "\n" for l in rgw.config("plain").splitlines() if "_key" not in l)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    clean["AWS_SHARED_CREDENTIALS_FILE"] = "/nonexistent"
    token = p.file("token", TOKEN + "\n")
    for what, more in (("machine", lambda m: {"AWS_EC2_METADATA_SERVICE_ENDPOINT": m.url}),
                       ("container", lambda m: {"AWS_CONTAINER_CREDENTIALS_FULL_URI": m.url + "/container",
                                                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token})):
        service = Metadata(ACCESS, SECRET, 4)
        store = p.store(p.file(f"s3-{what}.yml", bare), "--sync-block-duration=500ms", name=f"store-{what}",
                        env={**clean, **more(service)})
        c.ok(wait(lambda: service.given >= 3, 20), f"{what}: credentials are renewed", service.given)
        c.ok(service.given < 12, f"{what}: and kept meanwhile", service.given)
        c.ok(store.metric("thanos_objstore_bucket_operation_failures_total") == 0 and service.refused == 0,
             f"{what}: no request fails over it", store.text()[-600:])
        c.ok(SECRET not in store.text() and TOKEN not in store.text(), f"{what}: no secret in the log")
        store.stop()
        service.close()


def check_refusals(c, p, rgw):
    """What is wrong is said, and nothing runs on as if it were right."""
    cases = (("wrong CA", rgw.config("plain", tls=True).replace(rgw.ca, "/etc/ssl/certs/ca-certificates.crt"), "certificate"),
             ("wrong secret", rgw.config("plain").replace(SECRET, "wrong-secret-1"), "SignatureDoesNotMatch"),
             ("no such bucket", rgw.config("no-such-bucket"), "NoSuchBucket"),
             ("missing CA file", rgw.config("plain", tls=True).replace(rgw.ca, "/nonexistent/ca.pem"), "/nonexistent/ca.pem"))
    for n, (what, text, want) in enumerate(cases):
        conf = p.file(f"s3-bad-{n}.yml", text)
        store = p.store(conf, name=f"store-bad-{n}", ready=False)
        c.ok(wait(lambda: want in store.text(), 30), f"{what}: the log says so", store.text()[-500:])
        c.ok(get(store.url + "/-/ready")[0] == 503, f"{what}: not ready")
        c.ok("wrong-secret-1" not in store.text(), f"{what}: no secret in the log")
        store.kill()
    out = subprocess.run([THANOSC, "store", "--objstore.config=type: S3\nconfig: {bucket: b, endpoint: h, regoin: x}"],
                         capture_output=True, text=True, timeout=10)
    c.ok(out.returncode != 0 and "did you mean 'region'?" in out.stderr, "an unknown key suggests the nearest", out.stderr)


def main():
    c = Checks()
    lack = missing()
    if lack:
        c.skip(f"not installed: {' '.join(lack)}")
        return c.end()
    with Procs() as p:
        c.procs = p
        rgw = Rgw(p)
        r = REPLICAS[0]
        prom = p.prometheus(r.name, make_blocks(openmetrics([r], False), p.dir("data", r.name)), r.external)
        fs = p.bucket()
        side = p.sidecar(prom, fs, "--shipper.meta-file-name=fs.json", "--shipper.sync-interval=1s", name="sidecar-fs")
        blocks = {k.split("/")[0] for k in block_files(prom.data)}
        c.ok(wait(lambda: all(os.path.exists(p.path("bucket", b, "meta.json")) for b in blocks), 60), "shipped to the folder")
        side.stop()
        folder = answers(p.query([p.store(fs, name="store-fs").grpc], replica=(), name="query-fs"))
        check_bucket(c, p, rgw, prom, folder, "plain")
        check_bucket(c, p, rgw, prom, folder, "tls", tls=True)
        check_bucket(c, p, rgw, prom, folder, "prefixed-v1", more="  list_objects_version: v1\n")
        check_faults(c, p, rgw, prom, folder)
        check_stale(c, rgw)
        check_parts(c, p, rgw)
        check_credentials(c, p, rgw)
        check_refusals(c, p, rgw)
    return c.end()


if __name__ == "__main__":
    sys.exit(main())
