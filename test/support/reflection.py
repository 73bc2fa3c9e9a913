"""gRPC server reflection by hand, as grpcurl uses it: services listed, descriptors fetched, methods called by them.

The messages of the protocol are written down here from its specification, not taken from our tables.
"""
import os
import subprocess
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = """syntax = "proto3";
package spec;
message ExtensionRequest { string containing_type = 1; int32 extension_number = 2; }
message Request { string host = 1; oneof message_request { string file_by_filename = 3; string file_containing_symbol = 4;
  ExtensionRequest file_containing_extension = 5; string all_extension_numbers_of_type = 6; string list_services = 7; } }
message Files { repeated bytes file_descriptor_proto = 1; }
message Numbers { string base_type_name = 1; repeated int32 extension_number = 2; }
message Service { string name = 1; }
message Services { repeated Service service = 1; }
message Error { int32 error_code = 1; string error_message = 2; }
message Response { string valid_host = 1; Request original_request = 2; oneof message_response { Files file_descriptor_response = 4;
  Numbers all_extension_numbers_response = 5; Services list_services_response = 6; Error error_response = 7; } }
"""


def compile_proto(text):
    """{short name: class} of one file without imports."""
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "x.proto"), "w") as f:
            f.write(text)
        subprocess.run(["protoc", f"-I{d}", f"--descriptor_set_out={d}/set", os.path.join(d, "x.proto")], check=True)
        with open(os.path.join(d, "set"), "rb") as f:
            file = descriptor_pb2.FileDescriptorSet.FromString(f.read()).file[0]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {m.name: factory.GetPrototype(pool.FindMessageTypeByName(f"{file.package}.{m.name}")) for m in file.message_type}


MSG = compile_proto(PROTO)


class Reflection:
    """Everything a server tells about itself, in a pool of descriptors that knows nothing else."""

    def __init__(self, channel, version="v1"):
        self.channel = channel
        self.method = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                            MSG["Request"].SerializeToString, MSG["Response"].FromString)
        self.files = {}

    def ask(self, *requests, timeout=20):
        """The answers to requests (keywords of Request), all on one stream."""
        return list(self.method(iter([MSG["Request"](**r) for r in requests]), timeout=timeout))

    def services(self):
        return [s.name for s in self.ask({"list_services": ""})[0].list_services_response.service]

    def learn(self, symbol):
        for b in self.ask({"file_containing_symbol": symbol})[0].file_descriptor_response.file_descriptor_proto:
            f = descriptor_pb2.FileDescriptorProto.FromString(b)
            self.files[f.name] = f

    def pool(self):
        """A pool of what was learnt; it refuses files whose imports are missing."""
        pool, todo = descriptor_pool.DescriptorPool(), dict(self.files)
        while todo:
            ripe = [f for f in todo.values() if not any(d in todo for d in f.dependency)]
            for f in ripe:
                pool.Add(f)
                del todo[f.name]
            if not ripe:
                raise RuntimeError(f"imports in a circle: {sorted(todo)}")
        return pool

    def call(self, pool, service, method, timeout=20, **fields):
        """Answers of a method, called through descriptors alone."""
        m = pool.FindServiceByName(service).methods_by_name[method]
        factory = message_factory.MessageFactory(pool)
        ask, answer = factory.GetPrototype(m.input_type), factory.GetPrototype(m.output_type)
        call = self.channel.unary_stream(f"/{service}/{method}", ask.SerializeToString, answer.FromString)
        return list(call(ask(**fields), timeout=timeout))
