"""From what a program or a state holds to our types: hosts, keys. Pure, but for one lock."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.errors import PreconditionError, ProviderError
from provisioner.model.hosts import ClusterKeys, InventoryHost, Jump, SshTarget, StackOutputs
from provisioner.model.ids import ClusterId, HostName
from provisioner.model.secret import Secret

_SIGNATURE = "4dabf18193072939515e22adb298388d"  # marks a special value in Pulumi's JSON
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - says that such a value is a secret one
LOCAL_HOST = "sealer:local:Host"
_HOSTS = {LOCAL_HOST: "name", "sealer:baremetal:Host": "name", "sealer:index:HostIdentity": "host"}
"""Types of resources that say where a host is reached, with the input that names the host."""


class OutputCollector:
    """The OutputSink of one run: programs call it from threads of their own; unknown outputs never arrive."""

    def __init__(self, note: Callable[[Mapping[str, Mapping[str, Any]]], None] = lambda _unread: None) -> None:
        self._note = note
        self._guard = threading.Lock()
        self._keys: ClusterKeys | None = None
        self._hosts: dict[str, InventoryHost] = {}
        self.unread: dict[str, Mapping[str, Any]] = {}
        """Inputs of machines that are taken over which the plugin does not read back, by id; `note` is given all of them at each."""

    def __call__(self, kind: str, value: object) -> None:
        """Take `keys`, one `host`, or what is `unread` of one machine. Raises ProviderError for anything that is not what a driver promises."""
        if not isinstance(value, Mapping):
            raise ProviderError(f"the program gave {kind} as {type(value).__name__}, not as an object")
        with self._guard:
            if kind == "keys":
                self._keys = keys_from(value)
            elif kind == "host":
                host = host_from(value)
                self._hosts[host.name] = host
            elif kind == "unread":
                self.unread[str(value["id"])] = value["inputs"]
                self._note(self.unread)

    def outputs(self, cid: ClusterId) -> StackOutputs:
        """All that has arrived so far, hosts by name."""
        with self._guard:
            return StackOutputs(cid, self._keys, tuple(self._hosts[n] for n in sorted(self._hosts)))


def keys_from(raw: Mapping[str, Any]) -> ClusterKeys:
    """Keys from the object that programs hand over and our cache holds. Raises PreconditionError if one is missing."""
    values = {k: raw.get(k) for k in ("loginPrivate", "loginPublic", "hmac")}
    missing = [k for k, v in values.items() if not isinstance(v, str) or not v]
    if missing:
        raise PreconditionError(f"the cluster's keys lack {', '.join(missing)}")
    return ClusterKeys(Secret(str(raw["loginPrivate"])), str(raw["loginPublic"]), Secret(str(raw["hmac"])))


def keys_to_json(keys: ClusterKeys) -> dict[str, str]:
    """For the 0600 cache, and for nothing else: the values are in clear."""
    return {
        "loginPrivate": keys.login_private.reveal(),
        "loginPublic": keys.login_public,
        "hmac": keys.hmac.reveal(),
    }


def host_from(raw: Mapping[str, Any]) -> InventoryHost:
    """One host as drivers export it: name, address, roles, ssh, hostKeys, machineId, running; jump and identity, or not."""
    try:
        ssh = raw.get("ssh") or {}
        identity = raw.get("identity")
        return InventoryHost(
            name=HostName(str(raw["name"])),
            roles=tuple(str(r) for r in raw.get("roles") or ()),
            address=str(raw["address"]),
            ssh=SshTarget(str(ssh.get("host", raw["address"])), int(ssh.get("port", 22)), str(ssh.get("user", "root"))),
            host_keys=tuple(str(k) for k in raw.get("hostKeys") or ()),
            machine_id=str(raw["machineId"]),
            running=raw["running"] if isinstance(raw.get("running"), bool) else None,
            jump=_jump_from(raw.get("jump")),
            identity=str(identity) if identity else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PreconditionError(f"a host in the stack's outputs cannot be read: {error!r}") from error


def _jump_from(raw: Mapping[str, Any] | None) -> Jump | None:
    if not raw:
        return None
    target = SshTarget(str(raw["host"]), int(raw.get("port") or 22), str(raw.get("user") or "root"))
    identity = raw.get("identity")
    return Jump(target, tuple(str(k) for k in raw.get("hostKeys") or ()), str(identity) if identity else None)


def hosts_from_export(raw: object) -> tuple[InventoryHost, ...]:
    """The stack's exported list; empty where there is none."""
    return tuple(host_from(h) for h in raw if isinstance(h, Mapping)) if isinstance(raw, list) else ()


def host_from_resource(resource: Mapping[str, Any]) -> InventoryHost | None:
    """A host from its own resource in the state: there also while the stack is half made. None for other types.

    Of a cloud's machine that is its identity: a machine without one was never reached.
    """
    outputs, inputs = resource.get("outputs"), resource.get("inputs") or {}
    kind = resource.get("type")
    if kind not in _HOSTS or not isinstance(outputs, Mapping) or not outputs.get("address"):
        return None
    name = inputs.get(_HOSTS[kind]) or str(resource["urn"]).split("::", 3)[-1]
    known = {**inputs, **outputs, "name": name, "roles": inputs.get("roles") or ()}
    if kind == LOCAL_HOST:
        known |= {"ssh": None, "hostKeys": [outputs.get("hostKey", "")]}
    return host_from(known)


def plain_value(value: object) -> object:
    """A value of an export with secrets in clear: Pulumi wraps each as JSON text in an object."""
    if isinstance(value, Mapping) and _SIGNATURE in value and isinstance(value.get("plaintext"), str):
        return json.loads(value["plaintext"])
    return value


def secret_value(plain: object) -> dict[str, str]:
    """A plain value as a secret one in an export that the engine takes back: it encrypts it then."""
    return {_SIGNATURE: _SECRET, "plaintext": json.dumps(plain)}
