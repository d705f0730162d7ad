"""What executing a plan needs besides the plan: where, who, with what, and whom to tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.apply.distribute import Archives
from provisioner.apply.output import Masker
from provisioner.apply.wire import Author
from provisioner.events import Events
from provisioner.failpoints import Failpoint, no_failpoint
from provisioner.model.clock import Clock
from provisioner.model.facts import FactMap
from provisioner.model.paths import HostPaths
from provisioner.stop import Stop


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    `command`: one short verb; `idle`: no byte moves; `grace`: beyond a step's own limit; `link`: to get a lost host
    back; `failed`: how long health.sh may say "failed" before that is believed; `settle`:
    for what an earlier run left running.
    """

    command: float = 60.0
    idle: float = 60.0
    grace: float = 30.0
    link: float = 120.0
    failed: float = 20.0
    settle: float = 1800.0


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run. `resume` is the command that goes on after a failure."""

    author: Author
    paths: HostPaths
    facts: FactMap
    archives: Archives
    masker: Masker
    clock: Clock
    events: Events
    stop: Stop
    resume: str
    patience: Patience = field(default_factory=Patience)
    failpoint: Failpoint = no_failpoint
