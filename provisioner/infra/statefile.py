"""Pulumi's state as JSON, read without Pulumi: checkpoint files and exports, checked, as plain values. Pure.

Damaged state is never taken for "nothing exists": what cannot be read whole is refused.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import zstandard

from provisioner.errors import PreconditionError
from provisioner.infra.outputs import host_from_resource, hosts_from_export, secret_value
from provisioner.model.accepted import Accepted, parse_accepted
from provisioner.model.engine import StackState
from provisioner.model.hosts import Inventory, InventoryHost
from provisioner.model.ids import PROJECT, ClusterId, ClusterName
from provisioner.model.plan import is_machine
from provisioner.model.tags import CID

NEWEST_VERSION = 4
"""Newest version of the deployment schema that we know (4 is 3 with a list of features)."""

INTENT = "sealer:index:Intent"
ROOT = "pulumi:pulumi:Stack"
PROVIDERS = "pulumi:providers:"

USER_DATA = ("userData", "userDataBase64")
"""Inputs of a cloud's machine that hold its start script, and with it the bootstrap key of its SSH server."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_DEPLOYMENT_KEYS = frozenset({"manifest", "secrets_providers", "resources", "pending_operations", "metadata"})


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a checkpoint or an export holds: resources and begun operations as Pulumi's JSON objects."""

    resources: tuple[Mapping[str, Any], ...] = ()
    pending: tuple[Mapping[str, Any], ...] = ()
    engine_version: str = ""
    opened_by: Mapping[str, str] = field(default_factory=dict)
    """What `Pulumi.<stack>.yaml` holds to open the secrets, by its own keys: enough to make a lost one again."""

    stack: str = ""
    """The stack's full name as a checkpoint file holds it; exports do not say it."""


def parse_deployment(raw: bytes, where: str) -> Deployment:
    """Read a checkpoint file (plain, gzip, zstd) or an export. `where` names it in errors.

    Raises PreconditionError: damaged, or written by a newer Pulumi.
    """
    document = _object(_json(_unpacked(raw, where), where), where, "document")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not {"checkpoint", "deployment"} & document.keys():
        raise _broken(where, "it is no Pulumi state")
    if version > NEWEST_VERSION:
        raise PreconditionError(
            f"{where} was written by a newer Pulumi (state version {version}, we know {NEWEST_VERSION})",
            hint="use the newer sealer-cloud; nothing was changed",
        )
    if "deployment" in document:
        return _deployment(document["deployment"], where)
    checkpoint = _object(document["checkpoint"], where, "checkpoint")
    if not isinstance(checkpoint.get("stack"), str) or checkpoint.keys() - {"stack", "config", "latest"}:
        raise _broken(where, "its checkpoint names no stack")
    return replace(_deployment(checkpoint.get("latest"), where), stack=checkpoint["stack"])


def stack_name(cluster: ClusterName) -> str:
    """A cluster's stack by its full name, as file backends write it."""
    return f"organization/{PROJECT}/{cluster}"


def to_state(cluster: ClusterName, deployment: Deployment) -> StackState:
    """The stack as the rest of the product sees it.

    Raises PreconditionError for an intent that cannot be read, or that is another cluster's: acting on a copy of its
    state would change or remove its machines.
    """
    intent = next((r for r in deployment.resources if r["type"] == INTENT and not r.get("delete")), None)
    inputs: Mapping[str, Any] = intent.get("inputs") or {} if intent else {}
    cid = ClusterId(str(inputs["cid"])) if "cid" in inputs else None
    accepted = parse_accepted(inputs["request"]) if "request" in inputs else None
    if accepted and accepted.cluster != cluster:
        raise PreconditionError(
            f"the state of {cluster} is that of another cluster, {accepted.cluster}",
            hint=f"restore the state of {cluster} from your own backups; nothing was changed",
        )
    return StackState(
        cluster=cluster,
        cid=cid,
        accepted=accepted,
        inventory=_inventory(cluster, cid, accepted, deployment),
        resources=sum(1 for r in deployment.resources if is_real(str(r["type"]))),
        pending=tuple(pending_line(p) for p in deployment.pending),
        engine_version=deployment.engine_version,
        cids=_cids(deployment),
        machine_ids=_ids(r for r in deployment.resources if is_machine(str(r["type"]))),
        machines=tuple(
            name_of_urn(str(r["urn"]))
            for r in deployment.resources
            if is_machine(str(r["type"])) and not r.get("delete")
        ),
        resource_ids=_ids(deployment.resources),
    )


def _ids(resources: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({str(r["id"]) for r in resources if r.get("id")}))


def _cids(deployment: Deployment) -> tuple[ClusterId, ...]:
    """Every cid in the state: a replacement that was cut leaves machines of the old one beside those of the new."""
    resources = [*deployment.resources, *(p["resource"] for p in deployment.pending)]
    found = {str(cid) for r in resources for cid in _cid_of(r.get("inputs") or {}) if cid}
    return tuple(ClusterId(cid) for cid in sorted(found))


def _cid_of(inputs: Mapping[str, Any]) -> tuple[object, ...]:
    """Where a resource carries its cid: ours as an input, those of clouds as a tag."""
    tags = inputs.get("tags")
    return inputs.get("cid"), tags.get(CID) if isinstance(tags, Mapping) else None


def is_real(type_token: str) -> bool:
    """True for a resource a person knows: not the stack's own root, not a provider."""
    return type_token != ROOT and not type_token.startswith(PROVIDERS)


def pending_line(operation: Mapping[str, Any]) -> str:
    """`creating sealer:local:Host m2`."""
    resource = operation["resource"]
    return f"{operation['type']} {resource['type']} {name_of_urn(str(resource['urn']))}"


def name_of_urn(urn: str) -> str:
    """The logical name at the end of a URN."""
    return urn.split("::", 3)[-1]


def checksum(raw: bytes) -> str:
    """What the file backend notes beside a file: base64 of MD5. Finds damage, proves nothing against malice."""
    return base64.b64encode(hashlib.md5(raw, usedforsecurity=False).digest()).decode()


def without_pending_creates(export: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    """An export without begun creates, and which those were.

    They may be dropped: our own creates adopt what lies there, and machines of clouds are looked for by tag before
    any is made (`Driver.orphans`), so nothing is made twice and nothing is forgotten.
    """
    document = _object(_json(export, where), where, "document")
    deployment = _object(document.get("deployment"), where, "deployment")
    operations = [_operation(o, where) for o in deployment.get("pending_operations") or ()]
    creates = [o for o in operations if o["type"] == "creating"]
    deployment["pending_operations"] = [o for o in operations if o not in creates]
    return json.dumps(document).encode(), tuple(pending_line(o) for o in creates)


def bares_user_data(deployment: Deployment) -> bool:
    """True where a machine's start script stands in clear: an import leaves it so, whatever the program marks."""
    return any(isinstance(p.get(key), str) for p in _machine_values(deployment.resources) for key in USER_DATA)


def with_hidden_user_data(export: bytes, where: str) -> bytes:
    """An export in which every machine's start script is a secret: the engine encrypts it when it takes it back."""
    document = _object(_json(export, where), where, "document")
    deployment = _object(document.get("deployment"), where, "deployment")
    for values in _machine_values(deployment.get("resources") or ()):
        for key in USER_DATA:
            if isinstance(values.get(key), str):
                values[key] = secret_value(values[key])
    return json.dumps(document).encode()


def with_unread(export: bytes, where: str, unread: Mapping[str, Mapping[str, object]]) -> bytes:
    """An export in which machines, by their id, have these inputs where they had none: their plugin reads none back."""
    document = _object(_json(export, where), where, "document")
    deployment = _object(document.get("deployment"), where, "deployment")
    for resource in deployment.get("resources") or ():
        known = {key: value for key, value in unread.get(str(resource.get("id")), {}).items() if value}
        for values in _machine_values([resource]):
            values.update({key: value for key, value in known.items() if not values.get(key)})
    return json.dumps(document).encode()


def _machine_values(resources: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Inputs and outputs of all machines, for reading and for changing."""
    for resource in resources:
        if is_machine(str(resource.get("type"))):
            yield from (v for v in (resource.get("inputs"), resource.get("outputs")) if isinstance(v, dict))


def _inventory(
    cluster: ClusterName, cid: ClusterId | None, accepted: Accepted | None, deployment: Deployment
) -> Inventory | None:
    if cid is None:
        return None
    living = [r for r in deployment.resources if not r.get("delete")]
    found = [h for h in (host_from_resource(r) for r in living) if h]
    if not found:  # a driver whose hosts we do not know by type exports them
        exported = next((r.get("outputs") or {} for r in living if r["type"] == ROOT), {})
        found = list(hosts_from_export(exported.get("hosts")))
    return Inventory(cluster, cid, _in_order(found, accepted))


def _in_order(hosts: list[InventoryHost], accepted: Accepted | None) -> tuple[InventoryHost, ...]:
    order = {w.name: n for n, w in enumerate(accepted.wanted)} if accepted else {}
    return tuple(sorted(hosts, key=lambda h: (order.get(h.name, len(order)), h.name)))


def _deployment(raw: object, where: str) -> Deployment:
    if raw is None:
        return Deployment()
    latest = _object(raw, where, "deployment")
    unknown = latest.keys() - _DEPLOYMENT_KEYS
    if unknown:
        raise _broken(where, f"it holds {', '.join(sorted(unknown))}, which we do not know")
    manifest = _object(latest.get("manifest"), where, "manifest")
    return Deployment(
        resources=tuple(_resource(r, where) for r in latest.get("resources") or ()),
        pending=tuple(_operation(o, where) for o in latest.get("pending_operations") or ()),
        engine_version=str(manifest.get("version", "")),
        opened_by=_opened_by(latest.get("secrets_providers")),
    )


def _opened_by(raw: object) -> Mapping[str, str]:
    """A passphrase's salt, or a key service with the data key that it encrypted (pkg/secrets of Pulumi, by type)."""
    state = raw.get("state") if isinstance(raw, dict) else None
    found = state if isinstance(state, dict) else {}
    if found.get("url"):
        return {"secretsprovider": str(found["url"]), "encryptedkey": str(found.get("encryptedkey", ""))}
    return {"encryptionsalt": str(found["salt"])} if found.get("salt") else {}


def _resource(raw: object, where: str) -> Mapping[str, Any]:
    resource = _object(raw, where, "resource")
    if not isinstance(resource.get("urn"), str) or not isinstance(resource.get("type"), str):
        raise _broken(where, "a resource has no name or no type")
    return resource


def _operation(raw: object, where: str) -> Mapping[str, Any]:
    operation = _object(raw, where, "pending operation")
    if not isinstance(operation.get("type"), str):
        raise _broken(where, "a pending operation has no type")
    return {**operation, "resource": _resource(operation.get("resource"), where)}


def _unpacked(raw: bytes, where: str) -> bytes:
    try:
        if raw.startswith(_GZIP):
            return gzip.decompress(raw)
        if raw.startswith(_ZSTD):
            return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise _broken(where, "it cannot be unpacked") from error
    return raw


def _json(raw: bytes, where: str) -> object:
    if not raw.strip():
        raise _broken(where, "it is empty")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _broken(where, "it is no JSON") from error


def _object(value: object, where: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _broken(where, f"its {what} is no object")
    return value


def _broken(where: str, why: str) -> PreconditionError:
    return PreconditionError(f"the state {where} is damaged: {why}")
