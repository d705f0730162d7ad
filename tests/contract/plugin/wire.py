"""A client of the plugin as the engine is one: JSON with the protocol's marks in, JSON out."""

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2

from provisioner.plugin.stubs import plugin_pb2, provider_pb2, provider_pb2_grpc

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def secret(value):
    return {SIGNATURE: SECRET, "value": value}


def struct(value):
    message = struct_pb2.Struct()
    json_format.ParseDict(value, message)
    return message


class Client:
    """Calls by name; `type` is a token, `olds` are old outputs."""

    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def close(self):
        self.channel.close()

    def check(self, type_, news, olds=None):
        reply = self.stub.Check(provider_pb2.CheckRequest(urn=urn(type_), olds=struct(olds or {}), news=struct(news)))
        assert json_format.MessageToDict(reply.inputs) == json_format.MessageToDict(struct(news))
        return [(f.property, f.reason) for f in reply.failures]

    def diff(self, type_, id_, inputs, olds, news, *, ignore=()):
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=id_,
                urn=urn(type_),
                old_inputs=struct(inputs),
                olds=struct(olds),
                news=struct(news),
                ignoreChanges=ignore,
            )
        )

    def create(self, type_, inputs, *, preview=False):
        reply = self.stub.Create(
            provider_pb2.CreateRequest(urn=urn(type_), type=type_, properties=struct(inputs), preview=preview)
        )
        return reply.id, json_format.MessageToDict(reply.properties)

    def create_later(self, type_, inputs):
        return self.stub.Create.future(provider_pb2.CreateRequest(urn=urn(type_), properties=struct(inputs)))

    def read(self, type_, id_, inputs, outputs):
        reply = self.stub.Read(
            provider_pb2.ReadRequest(id=id_, urn=urn(type_), inputs=struct(inputs), properties=struct(outputs))
        )
        return (reply.id, json_format.MessageToDict(reply.properties)) if reply.id else None

    def update(self, type_, id_, inputs, olds, news, *, preview=False):
        reply = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=id_,
                urn=urn(type_),
                old_inputs=struct(inputs),
                olds=struct(olds),
                news=struct(news),
                preview=preview,
            )
        )
        return json_format.MessageToDict(reply.properties)

    def delete(self, type_, id_, inputs, outputs):
        self.stub.Delete(
            provider_pb2.DeleteRequest(id=id_, urn=urn(type_), old_inputs=struct(inputs), properties=struct(outputs))
        )

    def cancel(self):
        self.stub.Cancel(empty_pb2.Empty())


def urn(type_):
    return f"urn:pulumi:etcd::sealer-cloud::pulumi:pulumi:Stack${type_}::thing"


__all__ = ["Client", "empty_pb2", "grpc", "plugin_pb2", "provider_pb2", "secret", "struct", "urn"]
