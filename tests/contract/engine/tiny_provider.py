# ruff: noqa: N802 - the names are the protocol's
"""A provider plugin of 100 lines whose "machines" are JSON files: the real engine without root and without hosts.

Everything lies below the folder named by TINY_ROOT: `<name>.json` is a machine, `fail-<method>-<name>` makes a call
fail, `hold-<method>-<name>` makes it wait until the file goes away, `calls` lists what was called.
"""

import json
import os
import secrets
import signal
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ROOT = Path(os.environ["TINY_ROOT"])


def to_struct(value):
    struct = struct_pb2.Struct()
    json_format.ParseDict(value, struct)
    return struct


def to_dict(struct):
    return json_format.MessageToDict(struct)


def secret(text):
    return {SIGNATURE: SECRET, "value": text}


def kind_of(request):
    return request.urn.split("::")[2].split("$")[-1]


def name_of(request):
    return request.urn.split("::")[3]


class Tiny(provider_pb2_grpc.ResourceProviderServicer):
    def _called(self, method, request, context):
        name = name_of(request)
        with (ROOT / "calls").open("a") as file:
            file.write(f"{method} {name}\n")
        while (ROOT / f"hold-{method}-{name}").exists():
            time.sleep(0.02)
        if (ROOT / f"fail-{method}-{name}").exists():
            context.abort(grpc.StatusCode.UNKNOWN, (ROOT / f"fail-{method}-{name}").read_text())

    def Handshake(self, request, context):
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="0.1.0")

    def GetSchema(self, request, context):
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "sealer", "version": "0.1.0"}))

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Cancel(self, request, context):
        return empty_pb2.Empty()

    def Check(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):
        old, new = to_dict(request.old_inputs), to_dict(request.news)
        state = to_dict(request.olds)
        changed = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
        replaces = [k for k in changed if k == "slot"]
        if kind_of(request) == "sealer:local:Host" and state.get("running") is False:
            changed.append("running")
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=replaces, deleteBeforeReplace=True)

    def Create(self, request, context):
        self._called("create", request, context)
        inputs = to_dict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(inputs))
        outputs = dict(inputs)
        if kind_of(request) == "sealer:index:Intent":
            outputs |= {
                "loginPublic": "ssh-ed25519 PUBLIC",
                "loginPrivate": secret("CANARY-" + secrets.token_hex(8)),
                "hmac": secret("CANARY-" + secrets.token_hex(24)),
            }
        if kind_of(request) == "sealer:local:Host":
            outputs |= self._machine(name_of(request), int(inputs["slot"]))
        return provider_pb2.CreateResponse(id=name_of(request), properties=to_struct(outputs))

    def _machine(self, name, slot):
        path = ROOT / f"{name}.json"
        if not path.exists():
            machine = {"address": f"10.213.0.{10 + slot}", "hostKey": f"ssh-ed25519 {name}", "running": True}
            path.write_text(json.dumps(machine | {"machineId": secrets.token_hex(4)}))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"running": True}))
        return json.loads(path.read_text())

    def Update(self, request, context):
        self._called("update", request, context)
        outputs = to_dict(request.olds) | to_dict(request.news)
        if kind_of(request) == "sealer:local:Host":
            outputs["running"] = True
            if not request.preview:
                outputs |= self._machine(name_of(request), int(outputs["slot"]))
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Read(self, request, context):
        self._called("read", request, context)
        state = to_dict(request.properties)
        if kind_of(request) == "sealer:local:Host":
            path = ROOT / f"{name_of(request)}.json"
            if not path.exists():
                return provider_pb2.ReadResponse(id="")
            state |= json.loads(path.read_text())
        return provider_pb2.ReadResponse(id=request.id, properties=to_struct(state), inputs=request.inputs)

    def Delete(self, request, context):
        self._called("delete", request, context)
        (ROOT / f"{name_of(request)}.json").unlink(missing_ok=True)
        return empty_pb2.Empty()


def main():
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    run_dir = os.environ.get("SEALER_CLOUD_RUN_DIR")
    if run_dir:
        start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        record = Path(run_dir) / f"plugin-{os.getpid()}.json"
        record.write_text(json.dumps({"pid": os.getpid(), "start": start}))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Tiny(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
