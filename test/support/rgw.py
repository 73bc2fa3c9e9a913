"""Ceph RGW (Debian's), an S3 server nobody here wrote: monitor, object store in memory and gateway, in the open and over TLS.

    rgw = Rgw(p)                     # p: Procs
    rgw.bucket("name")               # made with curl's own signatures
    rgw.objects("name")              # {key: size}, listed with curl's own signatures
    rgw.config("name", tls=True)     # text of a bucket configuration
"""
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import uuid

from procs import get, port, wait

ACCESS, SECRET = "testaccess", "testsecretkey123"
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool")
POOLS = (".rgw.root", "default.rgw.log", "default.rgw.control", "default.rgw.meta", "default.rgw.buckets.index",
         "default.rgw.buckets.data", "default.rgw.buckets.non-ec")
CONF = """[global]
fsid = {fsid}
mon initial members = a
mon host = [v1:127.0.0.1:{mon}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {d}/run
crash dir = {d}/run
admin socket = {d}/run/$name.$pid.asok
pid file = {d}/run/$name.pid
log file = {d}/log/$name.log
mon cluster log file = {d}/log/cluster.log
mon data = {d}/mon
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 2000
paxos propose interval = 0.02
paxos min wait = 0.005
osd data = {d}/osd
osd objectstore = memstore
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
memstore device bytes = 2147483648
[client.rgw.a]
rgw data = {d}/rgw
rgw frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{tls} ssl_certificate={d}/tls.pem
rgw thread pool size = 64
rgw dynamic resharding = false
"""


def missing():
    """Programs that are not installed."""
    return [p for p in PROGRAMS if subprocess.run(["which", p], stdout=subprocess.DEVNULL).returncode]


def make_ca(d, names="DNS:localhost,IP:127.0.0.1"):
    """ca.pem, and server.pem with server.key signed by it for `names`, in a folder."""
    run = lambda *a: subprocess.run(["openssl", *a], check=True, cwd=d, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA")
    for name, use, san in (("server", "serverAuth", names), ("client", "clientAuth", "DNS:client")):
        with open(os.path.join(d, name + ".ext"), "w") as f:
            f.write(f"subjectAltName={san}\nextendedKeyUsage={use}\n")
        run("req", *key[:-2], "-keyout", name + ".key", "-out", name + ".csr", "-subj", f"/CN={name}")
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", name + ".pem", "-extfile", name + ".ext")
    return d


class Rgw:
    def __init__(self, p):
        self.d = d = p.dir("rgw")
        for part in ("mon", "osd", "rgw", "run", "log"):
            os.makedirs(os.path.join(d, part))
        make_ca(d)
        self.ca = os.path.join(d, "ca.pem")
        with open(os.path.join(d, "tls.pem"), "w") as f:
            f.write(open(os.path.join(d, "server.key")).read() + open(os.path.join(d, "server.pem")).read())
        self.http, self.tls, self.mon, self.fsid = port(), port(), port(), str(uuid.uuid4())
        self.conf = p.file("rgw/ceph.conf", CONF.format(d=d, fsid=self.fsid, mon=self.mon, http=self.http, tls=self.tls))
        self.p = p
        self.start()

    def tool(self, *argv):
        out = subprocess.run([argv[0], "-c", self.conf, *argv[1:]], capture_output=True, text=True, timeout=60)
        if out.returncode:
            raise RuntimeError(f"{argv}: {out.stderr[-1000:]}")

    def start(self):
        osd, monmap = str(uuid.uuid4()), os.path.join(self.d, "monmap")
        subprocess.run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v1:127.0.0.1:{self.mon}/0]", monmap],
                       check=True, stdout=subprocess.DEVNULL)
        self.tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.p.run("ceph-mon", ["ceph-mon", "-c", self.conf, "-f", "-i", "a"])
        self.command({"prefix": "osd new", "uuid": osd, "id": 0},
                     {"prefix": "osd crush add", "id": 0, "weight": 1.0, "args": ["host=h", "root=default"]})
        self.tool("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self.p.run("ceph-osd", ["ceph-osd", "-c", self.conf, "-f", "-i", "0"])
        for pool in POOLS:
            self.command({"prefix": "osd pool create", "pool": pool, "pg_num": 1, "pgp_num": 1, "pool_type": "replicated"},
                         {"prefix": "osd pool application enable", "pool": pool, "app": "rgw", "yes_i_really_mean_it": True})
        gateway = self.p.run("radosgw", ["radosgw", "-c", self.conf, "-f", "-n", "client.rgw.a"])
        if not wait(lambda: get(f"http://127.0.0.1:{self.http}/")[0] == 200, 60):
            gateway.fail("does not answer")
        self.tool("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", f"--access-key={ACCESS}", f"--secret-key={SECRET}")

    def command(self, *commands):
        import rados  # comes with the packages
        with rados.Rados(conffile=self.conf, rados_id="admin") as cluster:
            for c in commands:
                for _ in range(200):  # refused until the monitor's map has come
                    code = cluster.mon_command(json.dumps(c), b"", timeout=10)[0]
                    if code in (0, -17):
                        break
                    time.sleep(0.05)
                else:
                    raise RuntimeError(f"{c}: {code}")

    def curl(self, method, path, *more):
        out = subprocess.run(["curl", "-sS", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{ACCESS}:{SECRET}", "-H",
                              "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-X", method, *more, f"http://127.0.0.1:{self.http}/{path}"],
                             capture_output=True, timeout=60)
        return out.stdout.decode(errors="replace")

    def bucket(self, name):
        self.curl("PUT", name)
        return name

    def objects(self, name):
        text = self.curl("GET", f"{name}?list-type=2&max-keys=1000")
        rows = re.findall(r"<Contents>.*?<Key>(.*?)</Key>.*?<Size>(\d+)</Size>", text, re.S)
        return {urllib.parse.unquote(k): int(n) for k, n in rows}

    def uploads(self, name):
        """Multipart uploads that are neither completed nor aborted."""
        return len(re.findall("<UploadId>", self.curl("GET", f"{name}?uploads=")))

    def config(self, name, tls=False, endpoint=None, more=""):
        rows = [f"bucket: {name}", f"endpoint: {endpoint or '127.0.0.1:%d' % (self.tls if tls else self.http)}", f"access_key: {ACCESS}",
                f"secret_key: {SECRET}", f"insecure: {'false' if tls else 'true'}"]
        if tls:
            rows += ["http_config:", "  tls_config:", f"    ca_file: {self.ca}"]
        return "type: S3\nconfig:\n" + "".join(f"  {r}\n" for r in rows) + more
