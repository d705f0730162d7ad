"""What a run did, for the last screen, for JSON and for the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.model.driver import FoundMachine
from provisioner.model.facts import HealthReading
from provisioner.model.hosts import Inventory
from provisioner.model.ids import ClusterId, ClusterName, HostName, StepId
from provisioner.model.plan import Plan


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step that ran: exit status, wall seconds, last lines of its output (secrets masked), log path on the host."""

    id: StepId
    host: HostName
    title: str
    rc: int | None
    seconds: float
    tail: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """Stage 2's report. `seconds` maps phases to wall seconds."""

    steps: tuple[StepReport, ...] = ()
    health: Mapping[HostName, HealthReading] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpReport:
    """What `up` ends with. `changed` is False when nothing had to be done."""

    plan: Plan
    inventory: Inventory
    apply: ApplyReport
    changed: bool
    seconds: float
    only: str | None = None
    """`machines`: stage 1 alone was run, nothing was done on the hosts."""


@dataclass(frozen=True, slots=True)
class KeptData:
    """A data folder on a machine that stays: the host's name, the folder there, its size in bytes (None: unknown).

    `linked`: the cluster's data is a link to it; such a folder stays though the data is deleted.
    """

    host: HostName
    path: str
    size: int | None
    linked: bool = False


@dataclass(frozen=True, slots=True)
class DownReport:
    """What `down` ends with: what was removed, what the look afterwards found."""

    cluster: ClusterName
    cid: ClusterId | None
    provider: str
    removed: tuple[str, ...]
    left: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float
    kept: tuple[KeptData, ...] = ()
    """Data that stays on machines that stay, as nobody said `--delete-data`."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host in `status`: `state` is healthy, unhealthy, starting, stopped, unreachable, or laid (no health.sh)."""

    name: HostName
    address: str
    roles: tuple[str, ...]
    state: str
    line: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LockInfo:
    """Who holds a cluster: pid on this machine, run id, command, and when it began (RFC 3339)."""

    pid: int
    run: str
    command: str
    since: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What `status` prints."""

    cluster: ClusterName
    cid: ClusterId
    image_reference: str
    image_digest: str
    provider: str
    phase: str
    hosts: tuple[HostStatus, ...]
    outputs: Mapping[str, str]
    expires_at: str | None
    lock: LockInfo | None


@dataclass(frozen=True, slots=True)
class LostCluster:
    """A cluster that no state here knows: its machines, and everything that stands of it, one line each."""

    cid: ClusterId
    regions: tuple[str, ...]
    machines: tuple[FoundMachine, ...]
    things: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LostReport:
    """What `status` prints where only a look finds the cluster; of one name there may be several.

    `words` are the flags that lead the next commands there.
    """

    cluster: ClusterName
    provider: str
    found: tuple[LostCluster, ...]
    not_looked_at: tuple[tuple[str, str], ...]
    words: str


@dataclass(frozen=True, slots=True)
class ListRow:
    """One cluster in `list`."""

    cluster: ClusterName
    cid: ClusterId
    provider: str
    image: str
    hosts: int
    expires_at: str | None
