"""StoreAPI by python3-grpcio and python3-protobuf: a foreign client, and foreign stores for a querier of ours.

The messages are compiled by protoc from the .proto text that our field tables print (test/tools/proto_text.c);
coding and transport are nobody's of this repository.
"""
import os
import re
import subprocess
import tempfile
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from procs import ROOT
from xor import decode, encode

MAX = 2**31 - 1
FULL = (-(2**62), 2**62)
OPTIONS = [("grpc.max_receive_message_length", MAX), ("grpc.max_send_message_length", MAX), ("grpc.so_reuseport", 0)]


def proto_text(package):
    for mode in ("asan", "release"):
        tool = os.path.join(ROOT, "build", mode, "test/tool_proto_text")
        if os.path.exists(tool):
            return subprocess.run([tool, package], check=True, capture_output=True, text=True).stdout
    raise RuntimeError("tool_proto_text is not built: make tools")


def load():
    """{short message name: class} of thanos, thanos.info and what they use."""
    packages = {name: proto_text(name) for name in ("google.protobuf", "thanos", "thanos.info")}
    packages["health"] = ("syntax = \"proto3\";\npackage health;\nmessage HealthRequest { string service = 1; }\n"
                          "message HealthResponse { int32 status = 1; }\n")
    with tempfile.TemporaryDirectory() as d:
        for name, text in packages.items():
            uses = [p for p in packages if p != name and re.search(rf" \.{re.escape(p)}\.\w+ ", text)]
            head, body = text.split("\n", 1)
            with open(os.path.join(d, name + ".proto"), "w") as f:
                f.write(head + "\n" + "".join(f'import "{u}.proto";\n' for u in uses) + body)
        subprocess.run(["protoc", f"-I{d}", "--include_imports", f"--descriptor_set_out={d}/set",
                        *(os.path.join(d, n + ".proto") for n in packages)], check=True)
        with open(os.path.join(d, "set"), "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read()).file
    pool = descriptor_pool.DescriptorPool()
    factory = message_factory.MessageFactory(pool)
    out = {}
    for f in files:
        pool.Add(f)
        for m in f.message_type:
            out[m.name] = factory.GetPrototype(pool.FindMessageTypeByName(f"{f.package}.{m.name}"))
    return out


MSG = load()
EQ, NEQ, RE, NRE = range(4)


def matcher(text):
    """A LabelMatcher from name=value, name!=value, name=~value or name!~value."""
    name, op, value = re.match(r"(\w+)(=~|!~|!=|=)(.*)$", text).groups()
    return MSG["LabelMatcher"](type={"=": EQ, "!=": NEQ, "=~": RE, "!~": NRE}[op], name=name, value=value)


def labels_of(series):
    return tuple((l.name, l.value) for l in series.labels)


def make_series(labels, samples, per_chunk=120):
    """A Series message of raw XOR chunks; labels in the order given."""
    s = MSG["Series"](labels=[MSG["Label"](name=k, value=v) for k, v in labels])
    for i in range(0, len(samples), per_chunk):
        part = samples[i:i + per_chunk]
        s.chunks.add(min_time=part[0][0], max_time=part[-1][0]).raw.data = encode(part)
    return s


def samples_of(series):
    """Samples of a Series message, chunk by chunk as sent (raw XOR chunks only)."""
    return [s for c in series.chunks for s in decode(c.raw.data)]


class Client:
    """One channel to a StoreAPI server. Errors are raised as grpc.RpcError."""

    def __init__(self, addr):
        self.channel = grpc.insecure_channel(addr, OPTIONS)

    def close(self):
        self.channel.close()

    def stream(self, **request):
        """The stream of a Series call: iterable, cancellable."""
        timeout = request.pop("timeout", 60)
        request["matchers"] = [matcher(m) for m in request.get("matchers", [])]
        request.setdefault("min_time", FULL[0])
        request.setdefault("max_time", FULL[1])
        call = self.channel.unary_stream("/thanos.Store/Series", MSG["SeriesRequest"].SerializeToString,
                                         MSG["SeriesResponse"].FromString)
        return call(MSG["SeriesRequest"](**request), timeout=timeout)

    def series(self, **request):
        """([Series], [warnings]) of a Series call, batches unpacked."""
        out, warnings = [], []
        for r in self.stream(**request):
            if r.HasField("series"):
                out.append(r.series)
            out.extend(r.batch.series)
            if r.warning:
                warnings.append(r.warning)
        return out, warnings

    def unary(self, path, request, response, timeout=30):
        call = self.channel.unary_unary(path, request.SerializeToString, response.FromString)
        return call(request, timeout=timeout)

    def names(self, **request):
        """The list of a LabelNames answer."""
        return self.labels("LabelNames", request)

    def values(self, label, **request):
        return self.labels("LabelValues", {"label": label, **request})

    def labels(self, method, request):
        request["matchers"] = [matcher(m) for m in request.get("matchers", [])]
        request.setdefault("start", FULL[0])
        request.setdefault("end", FULL[1])
        answer = self.unary("/thanos.Store/" + method, MSG[method + "Request"](**request), MSG[method + "Response"])
        return list(getattr(answer, MSG[method + "Response"].DESCRIPTOR.fields_by_number[1].name))

    def federated(self, method, answer, request=None, timeout=30):
        """([payloads], [warnings]) of a call of the federated APIs, e.g. "Rules/Rules", "RulesResponse", a message."""
        call = self.channel.unary_stream("/thanos." + method, lambda m: m.SerializeToString(), MSG[answer].FromString)
        payload = MSG[answer].DESCRIPTOR.fields_by_number[1].name
        got = list(call(request or MSG["Empty"](), timeout=timeout))
        return [getattr(m, payload) for m in got if m.HasField(payload)], [m.warning for m in got if m.warning]

    def info(self, timeout=10):
        return self.unary("/thanos.info.Info/Info", MSG["InfoRequest"](), MSG["InfoResponse"], timeout)

    def health(self, service=""):
        """1: SERVING, 2: NOT_SERVING."""
        return self.unary("/grpc.health.v1.Health/Check", MSG["HealthRequest"](service=service), MSG["HealthResponse"]).status


class FakeStore:
    """A store of a foreign make. series(request, context) yields SeriesResponse messages, Series messages, or bytes."""

    def __init__(self, series, labels=(), mint=FULL[0], maxt=FULL[1], names=(), values=None, at="127.0.0.1:0", tls=None):
        """at: where it listens; tls: (certificate, key) files."""
        self.behave, self.calls, self.label_requests = series, 0, []
        self.names, self.values = list(names), values or {}
        info = MSG["InfoResponse"](component="store")
        info.store.min_time, info.store.max_time = mint, maxt
        for target in (info.label_sets.add(), info.store.tsdb_infos.add(min_time=mint, max_time=maxt).labels):
            for k, v in labels:
                target.labels.add(name=k, value=v)
        self.info = info
        self.server = grpc.server(futures.ThreadPoolExecutor(32), options=OPTIONS)
        handlers = {"Series": grpc.unary_stream_rpc_method_handler(self.series, MSG["SeriesRequest"].FromString, self.to_bytes)}
        for m, fn in (("LabelNames", lambda q, _: self.names), ("LabelValues", lambda q, _: self.values.get(q.label, []))):
            handlers[m] = grpc.unary_unary_rpc_method_handler(
                lambda q, context, m=m, fn=fn: self.label_requests.append(q) or MSG[m + "Response"](
                    **{MSG[m + "Response"].DESCRIPTOR.fields_by_number[1].name: fn(q, context)}),
                MSG[m + "Request"].FromString, self.to_bytes)
        self.server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("thanos.Store", handlers),
            grpc.method_handlers_generic_handler("thanos.info.Info", {"Info": grpc.unary_unary_rpc_method_handler(
                lambda q, _: self.info, MSG["InfoRequest"].FromString, self.to_bytes)})))
        if tls:
            crt, key = (open(f, "rb").read() for f in tls)
            self.port = self.server.add_secure_port(at, grpc.ssl_server_credentials([(key, crt)]))
        else:
            self.port = self.server.add_insecure_port(at)
        self.grpc = f"{at.rsplit(':', 1)[0]}:{self.port}"
        self.server.start()

    @staticmethod
    def to_bytes(m):
        return m if isinstance(m, bytes) else m.SerializeToString()

    def series(self, request, context):
        self.calls += 1
        for m in self.behave(request, context):
            yield MSG["SeriesResponse"](series=m) if isinstance(m, MSG["Series"]) else m

    def stop(self):
        self.server.stop(0).wait()
