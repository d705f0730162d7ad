"""The seams of one run, and what a command chose: passed along, never ambient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.events import Events, Warned, ignore
from provisioner.infra.engine import Engine
from provisioner.lookup import looker
from provisioner.model.clock import Clock
from provisioner.model.driver import Driver, DriverRegistry, Surroundings
from provisioner.model.endpoints import with_endpoints
from provisioner.model.ids import ClusterId, ClusterName, RandomBytes, StepId
from provisioner.model.images import ImageSource
from provisioner.model.networks import Tell
from provisioner.model.plan import Plan
from provisioner.model.report import KeptData
from provisioner.settings import Settings
from provisioner.stop import Stop
from provisioner.transport.connection import Connect


def surroundings_of(
    settings: Settings,
    clock: Clock,
    provider: str = "",
    endpoints: Mapping[str, str] | None = None,
    events: Events = ignore,
) -> Surroundings:
    """What drivers may know of this process; `endpoints` of a request stand in for variables that the user did not set."""
    environ = with_endpoints(settings.environ, provider, endpoints or {})
    tell: Tell = lambda text: events(Warned(text))  # noqa: E731
    return Surroundings(environ, settings.cache_dir, clock.now, looker(settings), tell)


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside of us, behind five seams (engine, images, connect, drivers, clock), and how to report."""

    settings: Settings
    clock: Clock
    events: Events
    stop: Stop
    engine: Engine
    images: ImageSource
    connect: Connect
    drivers: DriverRegistry
    random: RandomBytes

    def driver(self, provider: str, endpoints: Mapping[str, str] | None = None) -> Driver:
        """The driver of a provider that resolution has already accepted, where the request's endpoints say the cloud is."""
        return self.drivers[provider](surroundings_of(self.settings, self.clock, provider, endpoints, self.events))


@dataclass(frozen=True, slots=True)
class UpChoice:
    """How `up` and `plan` shall run; not part of what is wanted. Times in seconds."""

    yes: bool = False
    allow_delete: bool = False
    expect_plan: str | None = None
    redo: frozenset[StepId] = field(default=frozenset())
    assume_done: frozenset[StepId] = field(default=frozenset())
    all_at_once: bool = False
    timeout: float = 1800.0
    lock_timeout: float = 0.0
    max_price: float | None = None
    """The whole cluster per hour, in the currency of the plan; a dearer plan, or one without a price, is refused (13)."""
    only: str | None = None
    """`machines`: stage 1 alone; `cluster`: stage 2 alone, on machines that stand; None: both."""


@dataclass(frozen=True, slots=True)
class DownPlan:
    """What `down` will remove, for the question. `hosts` may be empty for a half-made cluster."""

    cluster: ClusterName
    cid: ClusterId | None
    provider: str
    image: str
    hosts: tuple[str, ...]
    without_state: bool
    stays: bool = False
    """The machines stay: what the cluster made on them is undone, host by host."""
    delete_data: bool = False
    """`data` is deleted too; else it is kept."""
    data: tuple[KeptData, ...] = ()
    """The users' data on machines that stay, as a look found it."""
    strangers: tuple[str, ...] = ()
    """What stands in the cluster's own network and is not of it, one line each: the network is left then."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended on one host: `rc` None when the link died; `error` when it could not be reached."""

    host: str
    rc: int | None
    stdout: str
    stderr: str
    error: str = ""


Confirm = Callable[[Plan], bool]
"""Shows the plan and asks; False is a "no". Raises UsageError (3) where nobody can be asked."""
ConfirmDown = Callable[[DownPlan], bool]
"""The same for `down`."""
