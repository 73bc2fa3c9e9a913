"""A store that speaks HTTP/2 by hand, so that it can break every rule of it: frames are made here, one by one.

Requests are told apart by their bytes alone (an Info request is an empty message, a Series request is not), so that no
header block has to be decoded. Answers use header fields without tables.
"""
import socket
import struct
import threading

from storeapi import FULL, MSG

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MAX_FRAME = 16384


def integer(n, bits, first=0):
    if n < (1 << bits) - 1:
        return bytes([first | n])
    out, n = bytes([first | (1 << bits) - 1]), n - ((1 << bits) - 1)
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def fields(pairs):
    """A header block: each field a literal without indexing."""
    return b"".join(b"\0" + b"".join(integer(len(s), 7) + s.encode() for s in pair) for pair in pairs)


def prefixed(message, flag=0, length=None):
    """A gRPC message."""
    message = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


class Gone(Exception):
    """The peer closed the stream or the connection."""


class Conn:
    def __init__(self, store, sock):
        self.store, self.sock, self.lock = store, sock, threading.Condition(threading.RLock())
        self.window, self.initial, self.windows, self.reset, self.body = 65535, 65535, {}, set(), {}
        self.deaf = self.closed = False

    def frame(self, kind, flags, sid, payload=b""):
        with self.lock:
            try:
                self.sock.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, sid) + payload)
            except OSError as e:
                raise Gone from e

    def headers(self, sid, status="200", kind="application/grpc", end=False):
        self.frame(HEADERS, END_HEADERS | end, sid, fields([(":status", status), ("content-type", kind)]))

    def trailers(self, sid, status="0", text=""):
        self.frame(HEADERS, END_HEADERS | END_STREAM, sid, fields([("grpc-status", status), ("grpc-message", text)]))

    def data(self, sid, payload, end=False):
        """As the windows of the peer allow."""
        at = 0
        while at < len(payload):
            with self.lock:
                while min(self.window, self.windows[sid]) <= 0 and not self.closed and sid not in self.reset:
                    self.lock.wait()
                if self.closed or sid in self.reset:
                    raise Gone
                n = min(self.window, self.windows[sid], MAX_FRAME, len(payload) - at)
                self.window -= n
                self.windows[sid] -= n
                self.frame(DATA, 0, sid, payload[at:at + n])
                at += n
        if end:
            self.frame(DATA, END_STREAM, sid)

    def answer(self, sid, messages):
        self.headers(sid)
        for m in messages:
            self.data(sid, prefixed(m))
        self.trailers(sid)

    def hang(self, sid):
        """Until the peer has enough."""
        with self.lock:
            while not self.closed and sid not in self.reset:
                self.lock.wait()

    def close(self):
        with self.lock:
            self.closed = True
            self.lock.notify_all()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # ---- what comes in ----

    def take(self, n):
        out = b""
        while len(out) < n:
            got = self.sock.recv(n - len(out))
            if not got:
                raise Gone
            out += got
        return out

    def settings(self, payload):
        for i in range(0, len(payload), 6):
            what, value = struct.unpack(">HI", payload[i:i + 6])
            if what == 4:
                for sid in self.windows:
                    self.windows[sid] += value - self.initial
                self.initial = value

    def request(self, sid):
        body = self.body.pop(sid, b"")
        try:
            if len(body) <= 5:
                self.answer(sid, [self.store.tell_info()])
                self.store.after_info(self)
            else:
                self.store.calls += 1
                self.store.behave(self, sid)
        except Gone:
            pass

    def one_frame(self):
        head = self.take(9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        sid, payload = int.from_bytes(head[5:], "big") & 0x7fffffff, self.take(size)
        with self.lock:
            if kind == SETTINGS and not flags & ACK:
                self.settings(payload)
                self.frame(SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                self.frame(PING, ACK, 0, payload)
            elif kind == HEADERS:
                self.windows[sid], self.body[sid] = self.initial, b""
            elif kind == DATA:
                self.body[sid] = self.body.get(sid, b"") + payload
            elif kind == RST_STREAM:
                self.reset.add(sid)
            elif kind == WINDOW_UPDATE:
                n = int.from_bytes(payload, "big") & 0x7fffffff
                if sid == 0:
                    self.window += n
                elif sid in self.windows:
                    self.windows[sid] += n
            self.lock.notify_all()
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            threading.Thread(target=self.request, args=(sid,), daemon=True).start()

    def run(self):
        try:
            self.take(24)
            self.frame(SETTINGS, 0, 0)
            while not self.deaf:
                self.one_frame()
            self.hang(0)
        except (Gone, OSError):
            pass
        finally:
            self.close()
            self.sock.close()


class RawStore:
    """behave(conn, stream id) answers a Series call (any call but Info); after_info(conn) follows an answer to Info."""

    def __init__(self, behave, labels=(), after_info=lambda conn: None, tell_info=None):
        self.behave, self.after_info, self.calls, self.conns = behave, after_info, 0, []
        info = MSG["InfoResponse"](component="store")
        info.store.min_time, info.store.max_time = FULL
        info.store.supports_without_replica_labels = True
        for target in (info.label_sets.add(), info.store.tsdb_infos.add(min_time=FULL[0], max_time=FULL[1]).labels):
            for k, v in labels:
                target.labels.add(name=k, value=v)
        self.info = info
        self.tell_info = tell_info or (lambda: self.info)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.grpc = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn = Conn(self, sock)
            self.conns.append(conn)
            threading.Thread(target=conn.run, daemon=True).start()

    def stop(self):
        self.listener.close()
        for c in self.conns:
            c.close()
