"""Machines as stage 1 hands them over, hosts as stage 2 works on them."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.secret import Secret


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where we connect; may differ from the address the cluster uses, and several hosts may share it."""

    host: str
    port: int = 22
    user: str = "root"


@dataclass(frozen=True, slots=True)
class Jump:
    """A host that we connect through: its own target and pinned keys; `identity` as in InventoryHost."""

    target: SshTarget
    host_keys: tuple[str, ...]
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class WantedHost:
    """One host that the request wants: named once, kept for ever, never by list position.

    `slot` is a small number that this name keeps for life (0-based); drivers derive addresses from it.
    """

    name: HostName
    pool: str
    roles: tuple[str, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """One machine as stage 1 knows it.

    `host_keys` are public keys in OpenSSH form (`ssh-ed25519 AAAA…`), pinned before the first connect.
    `machine_id` changes when the machine is another one (its disk is new). `running` is None where unknown.
    """

    name: HostName
    roles: tuple[str, ...]
    address: str
    ssh: SshTarget
    host_keys: tuple[str, ...]
    machine_id: str
    running: bool | None = None
    jump: Jump | None = None
    identity: str | None = None
    """Path of the user's own private key, for machines that we did not make; None: the cluster's login key."""

    @property
    def sudo(self) -> bool:
        """True where commands need `sudo -n`: we log in as somebody else than root."""
        return self.ssh.user != "root"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All machines of a cluster, in the order of the request (masters first)."""

    cluster: ClusterName
    cid: ClusterId
    hosts: tuple[InventoryHost, ...]

    def host(self, name: str) -> InventoryHost | None:
        """The machine of that name, if it is there."""
        return next((h for h in self.hosts if h.name == name), None)


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """What Intent made for this cluster: the login key pair and the HMAC key of its ledgers."""

    login_private: Secret
    login_public: str
    hmac: Secret


NO_KEYS = ClusterKeys(Secret(""), "", Secret(""))
"""For machines that we did not make: they are entered with the user's own key, and a lost passphrase keeps nobody out."""


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """What stage 1 gives: machines and keys. In a preview, machines that do not exist yet are absent."""

    cid: ClusterId
    keys: ClusterKeys | None
    hosts: tuple[InventoryHost, ...] = field(default=())


def is_master(roles: tuple[str, ...]) -> bool:
    """True for a host that may hold cluster-scoped work."""
    return "master" in roles


def to_inventory(cluster: ClusterName, outputs: StackOutputs, wanted: tuple[WantedHost, ...]) -> Inventory:
    """Stage 1's machines in the order of the request; a machine nobody wants is left out."""
    by_name = {h.name: h for h in outputs.hosts}
    return Inventory(cluster, outputs.cid, tuple(by_name[w.name] for w in wanted if w.name in by_name))
