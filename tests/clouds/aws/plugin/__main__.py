# ruff: noqa: N802 - the names are the protocol's
"""`pulumi-resource-aws`: the wire on one side, kinds on the other. See `kinds.py` for what it is and what it is not."""

import os
import sys
import threading
from concurrent import futures

import boto3
import grpc
from botocore.config import Config
from botocore.exceptions import ClientError
from google.protobuf import empty_pb2

from provisioner.plugin.stubs import plugin_pb2, provider_pb2, provider_pb2_grpc
from provisioner.plugin.values import UNKNOWN, SecretValue, decode, encode, same, strip
from tests.clouds.aws.plugin import kinds
from tests.clouds.aws.plugin.machine import Instance

KINDS = (
    kinds.Vpc,
    kinds.Gateway,
    kinds.RouteTable,
    kinds.Subnet,
    kinds.Association,
    kinds.Group,
    kinds.Rule,
    kinds.EgressRule,
    Instance,
)
VERSION = "7.51.1"
INTERNAL = ("__defaults",)
PASSED_ON = ("id",)


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self):
        self._kinds = {}
        self.ended = threading.Event()

    def Handshake(self, _request, _context):
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    def Attach(self, _request, _context):
        return empty_pb2.Empty()

    def GetPluginInfo(self, _request, _context):
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request, _context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, _request, _context):
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, _context):
        region = strip(decode(request.args).get("region")) or os.environ.get("AWS_REGION")
        ec2 = boto3.client(
            "ec2", region_name=region, config=Config(max_pool_connections=64, retries={"mode": "standard"})
        )
        self._kinds = {kind.token: kind(ec2=ec2) for kind in KINDS}
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptOutputs=True)

    def Cancel(self, _request, _context):
        return empty_pb2.Empty()

    def Check(self, request, _context):
        self._kind(request)
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, _context):
        kind = self._kind(request)
        old, news = decode(request.old_inputs), decode(request.news)
        changed = [k for k in {**old, **news} if k not in INTERNAL and not same(old.get(k), news.get(k))]
        changed = [k for k in changed if not (k in kind.blind and k not in old)]
        changed = sorted(k for k in changed if k not in set(request.ignoreChanges))
        replaces = [k for k in changed if k in kind.replaces]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            stables=[] if replaces else [k for k in kind.made if k != "instanceState"],
        )

    def Create(self, request, context):
        kind = self._kind(request)
        inputs = decode(request.properties)
        if request.preview:
            made = dict.fromkeys(kind.made, UNKNOWN)
            return provider_pb2.CreateResponse(properties=encode({**inputs, **made}))
        id_ = self._said(context, f"creating {_name(kind)}", kind.create, _plain(inputs))
        seen = self._said(context, f"reading {_name(kind)}", kind.look, id_)
        return provider_pb2.CreateResponse(id=id_, properties=encode(_merged(inputs, seen, kind)))

    def Read(self, request, context):
        kind = self._kind(request)
        id_ = self._said(context, f"finding {_name(kind)} ({request.id})", kind.named, request.id)
        seen = self._said(context, f"reading {_name(kind)} ({id_})", kind.look, id_)
        if seen is None:
            return provider_pb2.ReadResponse()
        inputs = decode(request.inputs) if request.inputs.fields else {}
        found = {k: v for k, v in seen.items() if k not in kind.made and (not inputs or k in inputs)}
        inputs = {**inputs, **_kept_secret(inputs, found)}
        return provider_pb2.ReadResponse(id=id_, inputs=encode(inputs), properties=encode(_merged(inputs, seen, kind)))

    def Update(self, request, context):
        kind = self._kind(request)
        old, news = decode(request.old_inputs), decode(request.news)
        if not request.preview:
            self._said(
                context, f"updating {_name(kind)} ({request.id})", kind.update, request.id, _plain(old), _plain(news)
            )
            seen = self._said(context, f"reading {_name(kind)}", kind.look, request.id)
            return provider_pb2.UpdateResponse(properties=encode(_merged(news, seen, kind)))
        before = {k: v for k, v in decode(request.olds).items() if k in kind.made}
        return provider_pb2.UpdateResponse(properties=encode({**before, **news}))

    def Delete(self, request, context):
        kind = self._kind(request)

        def delete():
            try:
                kind.delete(request.id)
            except ClientError as error:
                if "NotFound" not in error.response["Error"]["Code"]:
                    raise

        self._said(context, f"deleting {_name(kind)} ({request.id})", delete)
        return empty_pb2.Empty()

    def _kind(self, request):
        return self._kinds[request.type or request.urn.split("::")[2].rpartition("$")[2]]

    def _said(self, context, doing, call, *arguments):
        try:
            return call(*arguments)
        except ClientError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(kinds.RefusedError(doing, error.operation_name, error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the engine has to hear of it
            context.abort(grpc.StatusCode.UNKNOWN, f"{doing}: {type(error).__name__}: {error}")

    def _not_offered(self, _request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not offered by this pulumi-resource-aws")

    GetSchema = Parameterize = Invoke = Call = Construct = GetMapping = GetMappings = _not_offered


def _name(kind):
    return f"EC2 {type(kind).__name__}"


def _plain(inputs):
    return {key: strip(value) for key, value in inputs.items() if value is not None}


def _merged(inputs, seen, kind):
    """Inputs with what was seen over them, and what nobody saw as it was put in; secrets stay secret."""
    made = {key: (seen or {}).get(key, "") for key in kind.made}
    return {**inputs, **_kept_secret(inputs, {k: v for k, v in (seen or {}).items() if k in inputs}), **made}


def _kept_secret(inputs, found):
    return {k: SecretValue(v) if isinstance(inputs.get(k), SecretValue) else v for k, v in found.items()}


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(64),
        options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AwsProvider(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # a host's supervisor that inherited the pipe would hold the engine for ever
    parent = os.getppid()
    while os.getppid() == parent:
        threading.Event().wait(0.5)
    server.stop(1).wait()


if __name__ == "__main__":
    main()
