"""The seam of `adopt`: what a driver can say of a cluster whose state is lost. Each driver keeps one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Driver
from provisioner.model.hosts import InventoryHost
from provisioner.model.ids import ClusterId, HostName
from provisioner.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Login:
    """A login key: the private half in OpenSSH's file format, the public half as a line of authorized_keys."""

    private: Secret
    public: str


@runtime_checkable
class OnDisks(Driver, Protocol):
    """A driver whose hosts' disks lie on this machine: their clusters are adopted from there."""

    def kept(self, cid: ClusterId) -> Mapping[HostName, bytes]:
        """What each host that has its disk keeps of the cluster (see `model/kept.py`), empty where it keeps nothing."""

    def admit(self, cid: ClusterId) -> Login:
        """Make a new login key and have every host take it in the place of the lost one."""


@runtime_checkable
class ByInventory(Driver, Protocol):
    """A driver of machines that a request names: their clusters are adopted by looking at each. Both raise what is missing."""

    def entries(self, accepted: Accepted) -> tuple[InventoryHost, ...]:
        """How each machine is entered, and its pins."""

    def held(self, accepted: Accepted) -> Mapping[HostName, tuple[str, ...]]:
        """The cids whose state each machine holds."""


@dataclass(frozen=True, slots=True)
class Bought:
    """A machine of a cloud, found by its tags. `public` is its public address, None where it has none."""

    host: HostName
    id: str
    address: str
    public: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a cluster, with the tags that its resources carry. `others` are ids by logical name in the program."""

    region: str
    machines: tuple[Bought, ...]
    others: Mapping[str, str]
    expires_at: str | None = None
    ci_run: str | None = None
    repo: str | None = None


@runtime_checkable
class ByTags(Driver, Protocol):
    """A driver of a cloud: its clusters are found by tag, and their resources imported."""

    def standing(self, cid: ClusterId, region: str | None) -> Standing:
        """Everything of the cluster, wherever it is or in that region. Raises ProviderError where a host stands twice."""

    def imports(self, accepted: Accepted, standing: Standing) -> Mapping[str, str]:
        """What the program of this request imports: logical name → id.

        Raises UsageError (3) naming what is missing: the engine would make it anew.
        """
