"""The env of scripts and templates: derived names (ours) kept apart from user names (theirs). Pure.

Only user env counts into what a script depends on: derived env alone never makes init.sh, start.sh or CMD run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioner.model.envnames import HOST_IP, is_reserved
from provisioner.model.hosts import Inventory, WantedHost, is_master
from provisioner.model.ids import HostName
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Value

EnvItems = tuple[tuple[str, Value], ...]


class Phase(StrEnum):
    """SEALER_PHASE: why the scripts of a host run."""

    CREATE = "create"
    JOIN = "join"
    REPLACE = "replace"
    UPGRADE = "upgrade"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Peer:
    """One host as its peers see it: a record of SEALER_PEERS and SEALER_MASTERS."""

    name: HostName
    address: str
    roles: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}={self.address}"


def masters_first(wanted: tuple[WantedHost, ...]) -> tuple[WantedHost, ...]:
    """Hosts with masters before the others, else in the order given."""
    return tuple(sorted(wanted, key=lambda host: not is_master(host.roles)))


def peers_of(wanted: tuple[WantedHost, ...], inventory: Inventory) -> tuple[Peer, ...]:
    """All wanted hosts that have a machine, masters first."""
    machines = {machine.name: machine for machine in inventory.hosts}
    return tuple(
        Peer(host.name, machines[host.name].address, host.roles)
        for host in masters_first(wanted)
        if host.name in machines
    )


def masters_of(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """The masters among the peers."""
    return tuple(peer for peer in peers if is_master(peer.roles))


def derived_env(peer: Peer, phase: Phase, paths: HostPaths, peers: tuple[Peer, ...]) -> dict[str, str]:
    """The names that we set for one host. Lists are words with spaces between: `m1=10.0.0.1 m2=10.0.0.2`.

    SEALER_OUTPUT is not in it: its path is known to the wrapper on the host alone.
    """
    return {
        "SEALER_CLUSTER": paths.cluster,
        "SEALER_CID": paths.cid,
        "SEALER_HOST": peer.name,
        "SEALER_ROLES": " ".join(peer.roles),
        "SEALER_PHASE": phase.value,
        "SEALER_ROOTFS": paths.rootfs,
        "SEALER_DATA": paths.data,
        "SEALER_PEERS": " ".join(map(str, peers)),
        "SEALER_MASTERS": " ".join(map(str, masters_of(peers))),
        HOST_IP: peer.address,
    }


def user_env(image: Mapping[str, str], cluster: Mapping[str, Value], pool: Mapping[str, Value]) -> dict[str, Value]:
    """Image ENV, under the cluster's env, under the pool's (host over cluster); reserved names are dropped."""
    merged: dict[str, Value] = {**image, **cluster, **pool}
    return {name: value for name, value in merged.items() if not is_reserved(name)}


def script_env(derived: Mapping[str, str], user: Mapping[str, Value]) -> EnvItems:
    """The whole env of a script, sorted by name; derived names win over a user name that slipped through."""
    merged: dict[str, Value] = {**user, **derived}
    return tuple(sorted(merged.items(), key=lambda item: item[0]))
