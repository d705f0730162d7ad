"""The servicer: the provider protocol on one side, resource kinds on the other. Called from many threads."""

# ruff: noqa: N802 - method names are the protocol's

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2

import provisioner
from provisioner.errors import UsageError
from provisioner.failpoints import Failpoint, no_failpoint
from provisioner.plugin.gate import Gate
from provisioner.plugin.kinds import Change, Kind, Old, check_fields
from provisioner.plugin.status import status_of
from provisioner.plugin.stubs import plugin_pb2, provider_pb2, provider_pb2_grpc
from provisioner.plugin.values import decode, encode

_Method = TypeVar("_Method", bound=Callable[..., Any])


def answered(method: _Method) -> _Method:
    """Turn every error into a status: nothing of ours reaches the engine as a traceback."""

    @functools.wraps(method)
    def call(self: SealerProvider, request: Any, context: grpc.ServicerContext) -> object:
        try:
            return method(self, request, context)
        except Exception as error:
            context.abort(*status_of(error))
            raise AssertionError from error  # abort always raises

    return call  # type: ignore[return-value]


class SealerProvider(provider_pb2_grpc.ResourceProviderServicer):
    """`pulumi-resource-sealer`: stateless but for the gate, so parallel calls need no lock.

    `failpoint` is hit as `made-<type>` when something is made, before the engine hears of it.
    """

    def __init__(self, kinds: Iterable[Kind], gate: Gate, failpoint: Failpoint = no_failpoint) -> None:
        self._kinds = {kind.type_name: kind for kind in kinds}
        self._gate = gate
        self._failpoint = failpoint
        self.greeted = threading.Event()
        """Set by the engine's first call."""

    # --- meeting the engine

    @answered
    def Handshake(self, _request: provider_pb2.ProviderHandshakeRequest, _context: grpc.ServicerContext) -> Any:
        """What we understand: secrets and outputs; no references to resources, no byte strings."""
        self.greeted.set()
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    @answered
    def Attach(self, _request: plugin_pb2.PluginAttach, _context: grpc.ServicerContext) -> Any:
        """An engine takes us over (PULUMI_DEBUG_PROVIDERS): every engine ends with Cancel, which binds only itself."""
        self._gate.open()
        self.greeted.set()
        return empty_pb2.Empty()

    @answered
    def GetPluginInfo(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> Any:
        """Our version."""
        self.greeted.set()
        return plugin_pb2.PluginInfo(version=provisioner.__version__)

    @answered
    def GetSchema(self, _request: provider_pb2.GetSchemaRequest, _context: grpc.ServicerContext) -> Any:
        """The package schema, for tools that make SDKs in other languages."""
        text = resources.files("provisioner.plugin").joinpath("schema.json").read_text(encoding="utf-8")
        return provider_pb2.GetSchemaResponse(schema=text.replace("%VERSION%", provisioner.__version__))

    @answered
    def CheckConfig(self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext) -> Any:
        """There is nothing to configure, so nothing can be wrong with it."""
        return provider_pb2.CheckResponse(inputs=request.news)

    @answered
    def DiffConfig(self, _request: provider_pb2.DiffRequest, _context: grpc.ServicerContext) -> Any:
        """Another version of the plugin never replaces a machine."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    @answered
    def Configure(self, _request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext) -> Any:
        """No configuration, no credential."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptOutputs=True)

    @answered
    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> Any:
        """No new operation begins; running ones end, so that nothing is left half made."""
        self._gate.close()
        return empty_pb2.Empty()

    # --- resources

    @answered
    def Check(self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext) -> Any:
        """All that is wrong with the inputs, per input; they are passed on as they came."""
        failures = check_fields(self._kind(request).fields, decode(request.news))
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[provider_pb2.CheckFailure(property=f.key, reason=f.reason) for f in failures],
        )

    @answered
    def Diff(self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext) -> Any:
        """What changes, what replaces, what stays."""
        kind = self._kind(request)
        old = Old(request.id, decode(request.old_inputs), decode(request.olds))
        change = kind.diff(old, decode(request.news))
        ignored = set(request.ignoreChanges)
        changed = [key for key in change.changed if key not in ignored]
        return _diff_response(Change(tuple(changed), tuple(k for k in change.replaces if k in changed)), kind)

    @answered
    def Create(self, request: provider_pb2.CreateRequest, _context: grpc.ServicerContext) -> Any:
        """Create or adopt."""
        kind = self._kind(request)
        with self._gate.operation():
            id_, outputs = kind.create(decode(request.properties), preview=request.preview)
        if not request.preview:
            self._failpoint(f"made-{kind.type_name.rpartition(':')[2]}")
        return provider_pb2.CreateResponse(id=id_, properties=encode(outputs))

    @answered
    def Read(self, request: provider_pb2.ReadRequest, _context: grpc.ServicerContext) -> Any:
        """What is there now; an empty answer means it is gone. A read without state is an import: not offered."""
        kind = self._kind(request)
        if not request.inputs.fields:
            raise UsageError(f"{kind.type_name} cannot be imported", hint="a create adopts what already lies there")
        with self._gate.operation():
            outputs = kind.read(Old(request.id, decode(request.inputs), decode(request.properties)))
        if outputs is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, properties=encode(outputs), inputs=request.inputs)

    @answered
    def Update(self, request: provider_pb2.UpdateRequest, _context: grpc.ServicerContext) -> Any:
        """Change in place."""
        kind = self._kind(request)
        old = Old(request.id, decode(request.old_inputs), decode(request.olds))
        with self._gate.operation():
            outputs = kind.update(old, decode(request.news), preview=request.preview)
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    @answered
    def Delete(self, request: provider_pb2.DeleteRequest, _context: grpc.ServicerContext) -> Any:
        """Remove; what is gone already is no error."""
        kind = self._kind(request)
        with self._gate.operation():
            kind.delete(Old(request.id, decode(request.old_inputs), decode(request.properties)))
        return empty_pb2.Empty()

    # --- not offered; said properly, as the stubs' own way logs a traceback that the engine would show

    def _not_offered(self, _request: object, context: grpc.ServicerContext) -> NoReturn:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not offered by pulumi-resource-sealer")
        raise AssertionError  # abort always raises

    Parameterize = Invoke = Call = Construct = List = _not_offered  # type: ignore[assignment]
    GetMapping = GetMappings = _not_offered  # type: ignore[assignment]

    def _kind(self, request: Any) -> Kind:
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        if token not in self._kinds:
            raise UsageError(f"{token} is no resource of the sealer package")
        return self._kinds[token]


def _diff_response(change: Change, kind: Kind) -> provider_pb2.DiffResponse:
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if change.changed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=change.changed,
        replaces=change.replaces,
        stables=[key for key in kind.stable if key not in change.changed and not change.replaces],
        deleteBeforeReplace=bool(change.replaces),  # two machines of one name or address cannot stand side by side
        hasDetailedDiff=True,
    )
    for key in change.changed:
        replaces = key in change.replaces
        response.detailedDiff[key].kind = (
            provider_pb2.PropertyDiff.UPDATE_REPLACE if replaces else provider_pb2.PropertyDiff.UPDATE
        )
        response.detailedDiff[key].inputDiff = key in kind.fields
    return response
