"""What the local provider makes of an accepted request, and what it cannot serve."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from drivers.local.names import checked_host
from drivers.local.subnets import parse_subnet
from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedPool
from provisioner.model.hosts import WantedHost

HARMLESS_NETWORK = frozenset({"public", "ingress"})
"""Keys that say who may reach the hosts from outside: nobody can reach local ones but this machine."""

SIZES = {"cpu": "cpu", "memory": "memory", "system_disk": "systemDisk", "data_disks": "dataDisks"}


class LocalSpec(BaseModel):
    """A local cluster: its subnet (None: the first free one) and its hosts, in the order of the request."""

    model_config = ConfigDict(frozen=True)

    cidr: str | None
    hosts: tuple[WantedHost, ...]


def parse_local(accepted: Accepted) -> LocalSpec:
    """The spec of an accepted request. Raises UsageError naming the key that local hosts cannot serve."""
    for pool in accepted.pools:
        _check_pool(pool)
    cidr = _cidr(dict(accepted.network))
    if accepted.expires_at is not None:
        raise _refused("ttl", "nothing on this machine would remove it in time")
    for host in accepted.wanted:
        checked_host(host.name, host.slot)
    return LocalSpec(cidr=cidr, hosts=accepted.wanted)


def _check_pool(pool: AcceptedPool) -> None:
    for field, key in SIZES.items():
        if getattr(pool, field):
            raise _refused(f"{key} of pool {pool.name}", "they share this machine's processors, memory and disk")


def _cidr(network: dict[str, object]) -> str | None:
    cidr = network.pop("cidr", None)
    for key, value in network.items():
        if value and key not in HARMLESS_NETWORK:
            raise _refused(f"network.{key}", "their network is made on this machine")
    if cidr is None:
        return None
    if not isinstance(cidr, str):
        raise UsageError(f"network.cidr: {cidr!r} is no text", hint="write it like 10.9.8.0/24")
    return str(parse_subnet(cidr))


def _refused(key: str, why: str) -> UsageError:
    return UsageError(f"provider local cannot serve {key}: {why}", hint="leave it out, or choose another provider")
