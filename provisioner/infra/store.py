"""Where stacks lie, as we read them without Pulumi: a Protocol for folders and buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from provisioner.infra.statefile import Deployment
from provisioner.model.ids import ClusterName


@dataclass(frozen=True, slots=True)
class StackLock:
    """One lock of Pulumi's: where it lies, what it says (empty where it cannot be read), and how it is removed."""

    where: str
    raw: Mapping[str, object]
    remove: Callable[[], None]


@dataclass(frozen=True, slots=True)
class StackCopy:
    """An older copy of a checkpoint that Pulumi keeps: where it lies, its bytes, and how it is removed."""

    where: str
    data: bytes
    remove: Callable[[], None]


class Store(Protocol):
    """The stacks of one backend, read directly: no process, no key derivation."""

    def names(self) -> tuple[ClusterName, ...]:
        """All stacks of our project; what cannot be ours is passed over."""

    def exists(self, cluster: ClusterName) -> bool:
        """True if there is a checkpoint, whatever state it is in."""

    def read(self, cluster: ClusterName) -> Deployment | None:
        """The checkpoint; None only if there is none. Raises PreconditionError (12) for a damaged or newer one."""

    def locks(self, cluster: ClusterName) -> tuple[StackLock, ...]:
        """Pulumi's own locks of this stack."""

    def dead_machines(self, cluster: ClusterName) -> frozenset[str]:
        """Machines whose runs are known to be dead, though their locks lie there: only sharers can have such."""

    def mend(self, cluster: ClusterName) -> tuple[str, ...]:
        """Remove what a killed engine left half written and could not read itself; says what. For the lock's holder."""

    def copies(self, cluster: ClusterName) -> Iterator[StackCopy]:
        """Older copies of the checkpoint: backups and history. Some are notes that hold no state."""

    def put_aside(self, cluster: ClusterName) -> None:
        """Move the checkpoint aside, where a person can still read it."""

    def drop_empty_folders(self, cluster: ClusterName) -> None:
        """Remove what the engine leaves empty when a stack goes."""
