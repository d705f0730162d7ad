"""The seam to a provider: spec, checks, resources, and looking without state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from provisioner.model.accepted import Accepted
from provisioner.model.ids import ClusterId, ClusterName, RunId

OutputSink = Callable[[str, object], None]
"""Called by a running program with `keys` (login_private, login_public, hmac) and `host` (one InventoryHost as a dict),
in the process that runs the program: so a secret output reaches us without being printed by anything."""

Program = Callable[[OutputSink], None]
"""A Pulumi program: declares the resources of one cluster, gives known outputs to the sink."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold on this machine or in this account. `ok` False stops, `hint` says what to do."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class FoundCluster:
    """A cluster found by looking (records, tags), without any state of stage 1."""

    name: ClusterName
    cid: ClusterId
    provider: str
    hosts: tuple[str, ...]


class Driver(Protocol):
    """What every provider can do. `spec` is the driver's own frozen type, opaque to everybody else."""

    name: str

    def parse_spec(self, accepted: Accepted) -> object:
        """The driver's spec. Raises UsageError naming the key that this provider cannot serve."""

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        """What this machine lacks for the provider; reads only.

        With what only a new cluster needs (of that spec, where there is one), but for a `standing` one.
        """

    def declare(self, spec: object, cid: ClusterId, run: RunId, intent: object, sink: OutputSink) -> list[object]:
        """Declare the resources (inside a Pulumi program); returns one pulumi.Output per host for export.

        Every resource depends on `intent` and takes from it only what never changes.
        """

    def find(self, name: ClusterName | None) -> tuple[FoundCluster, ...]:
        """Clusters that a look finds, all or by name."""

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        """Everything of this cluster that is still there, one line each, after looking from outside."""

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        """Remove everything of this cluster by its cid alone; idempotent. Returns what was removed."""


DriverRegistry = Mapping[str, Callable[[], Driver]]
