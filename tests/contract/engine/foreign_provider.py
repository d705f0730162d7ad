# ruff: noqa: N802 - the names are the protocol's
"""Another provider's plugin, as clouds' are: its machines have ids of their own, it reads start scripts back in clear,
and it leaves no record of itself. Files as in `tiny_provider`."""

import json
import os

os.environ.pop("SEALER_CLOUD_RUN_DIR", None)

import tiny_provider
from pulumi.runtime.proto import provider_pb2
from tiny_provider import ROOT, Tiny, name_of, to_dict, to_struct


class Foreign(Tiny):
    def GetSchema(self, request, context):
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "alicloud", "version": "3.105.0"}))

    def Handshake(self, request, context):
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False, accept_outputs=True)

    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Diff(self, request, context):
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Create(self, request, context):
        self._called("create", request, context)
        inputs = to_dict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(inputs))
        found = {"id": f"i-{name_of(request)}", "inputs": inputs}
        (ROOT / f"{name_of(request)}.json").write_text(json.dumps(found))
        if (ROOT / "cut").exists():
            os._exit(1)  # the machine is there, and nobody was told
        return provider_pb2.CreateResponse(id=found["id"], properties=to_struct(inputs))

    def Read(self, request, context):
        self._called("read", request, context)
        for path in ROOT.glob("*.json"):
            found = json.loads(path.read_text())
            if found.get("id") == request.id:
                values = to_struct(found["inputs"])
                return provider_pb2.ReadResponse(id=request.id, properties=values, inputs=values)
        return provider_pb2.ReadResponse(id="")


tiny_provider.Tiny = Foreign
if __name__ == "__main__":
    tiny_provider.main()
