"""A name server for tests: UDP and TCP on one port of 127.0.0.1, records changed while it runs.

    dns = NameServer()
    dns.set("x.test", "A", ["127.0.0.2"])            SRV: [(port, "host.test")]
    dns.set("x.test", "A", "SERVFAIL")               or "NXDOMAIN", "MUTE" (no answer)
    ... --store.sd-dns-servers={dns.addr}

Names without records do not exist.
"""
import socket
import struct
import threading

TYPES = {"A": 1, "AAAA": 28, "SRV": 33}


def encode_name(name):
    return b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\0"


class NameServer:
    def __init__(self):
        self.records, self.asked = {}, []
        while True:
            self.tcp = socket.socket()
            self.tcp.bind(("127.0.0.1", 0))
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.udp.bind(self.tcp.getsockname())
                break
            except OSError:
                self.tcp.close()
                self.udp.close()
        self.tcp.listen(64)
        self.addr = "127.0.0.1:%d" % self.tcp.getsockname()[1]
        self.over_tcp = 0
        for loop in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def set(self, name, kind, what, ttl=1):
        self.records[name.lower(), TYPES[kind]] = (what, ttl)

    def drop(self, name):
        self.records = {k: v for k, v in self.records.items() if k[0] != name.lower()}

    @staticmethod
    def data(kind, record):
        if kind == 1:
            return socket.inet_pton(socket.AF_INET, record)
        if kind == 28:
            return socket.inet_pton(socket.AF_INET6, record)
        return struct.pack(">HHH", 0, 0, record[0]) + encode_name(record[1])

    def answer(self, q, limit):
        """The message that answers q, or None."""
        labels, i = [], 12
        while q[i]:
            labels.append(q[i + 1:i + 1 + q[i]].decode(errors="replace"))
            i += q[i] + 1
        kind = struct.unpack(">H", q[i + 1:i + 3])[0]
        name, question = ".".join(labels).lower(), q[12:i + 5]
        self.asked.append((name, kind))
        known = any(n == name for n, _ in self.records)
        what, ttl = self.records.get((name, kind), ([] if known else "NXDOMAIN", 0))
        code = {"SERVFAIL": 2, "NXDOMAIN": 3}.get(what, 0) if isinstance(what, str) else 0
        if what == "MUTE":
            return None
        what = [] if isinstance(what, str) else what
        body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(d)) + d for d in (self.data(kind, r) for r in what))
        cut = 12 + len(question) + len(body) > limit
        head = q[:2] + struct.pack(">HHHHH", 0x8180 | (0x200 if cut else 0) | code, 1, 0 if cut else len(what), 0, 0)
        return head + question + (b"" if cut else body)

    def serve_udp(self):
        while True:
            q, peer = self.udp.recvfrom(4096)
            a = self.answer(q, 512) if len(q) > 16 else None
            if a:
                self.udp.sendto(a, peer)

    def serve_tcp(self):
        while True:
            c, _ = self.tcp.accept()
            threading.Thread(target=self.serve_conn, args=(c,), daemon=True).start()

    def serve_conn(self, c):
        with c, c.makefile("rb") as f:
            while len(size := f.read(2)) == 2:
                self.over_tcp += 1
                a = self.answer(f.read(struct.unpack(">H", size)[0]), 65535)
                if a:
                    c.sendall(struct.pack(">H", len(a)) + a)
