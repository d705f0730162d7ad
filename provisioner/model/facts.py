"""What one read of a host tells. Hosts are hostile input: sizes were capped and bytes decoded before this type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.model.ids import Digest, HostName
from provisioner.model.ledger import Ledger


@dataclass(frozen=True, slots=True)
class HealthReading:
    """scripts/health.sh: `rc` 0 healthy, 75 not yet, other: failed; `line` the last line, at most 200 characters."""

    rc: int
    line: str


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A wrapper's run directory for an intent without a result: still alive, or dead without a status."""

    step: str
    run: str
    alive: bool
    rc: int | None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host, read in one round trip. Sizes in bytes. `digests` are rootfs that lie whole on the host.

    `current` is the digest that `rootfs` points to. `other_cids` are other clusters that left state here;
    `name_taken` is True where `<dataRoot>/<name>` exists without our state.
    `kept` is the sha256 of the record that it keeps of the cluster (`model/kept.py`), "" without one.
    `health` is None where there is no health.sh or nothing was started yet. `outputs` may hold secrets.
    """

    arch: str
    cpus: int
    memory: int
    disk_free: int
    boot_id: str
    uid: int
    tools: frozenset[str]
    ports: frozenset[int]
    other_cids: tuple[str, ...]
    name_taken: bool
    digests: frozenset[Digest]
    current: Digest | None
    health: HealthReading | None
    open_runs: tuple[OpenRun, ...]
    ledger: Ledger
    outputs: str = field(default="", repr=False)
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A host that could not be read, and why: `stopped` (stage 1 says so) or a reason for a person."""

    reason: str
    stopped: bool


FactMap = Mapping[HostName, HostFacts | Unreadable]
