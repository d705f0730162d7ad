"""Typed progress: what happens, as values. Nothing below `cli/` prints; it emits these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from provisioner.model.ids import HostName, StepId


class Phase(StrEnum):
    """The phases of a run, in the order a person sees them."""

    PLAN = "plan"
    MACHINES = "machines"
    CONNECT = "connect"
    PREFLIGHT = "preflight"
    ROOTFS = "rootfs"
    STEPS = "steps"
    HEALTH = "health"
    REMOVE = "remove"
    LOOK = "look"
    ENGINE = "engine"
    BUILD = "build"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins; `total` hosts (or resources) take part, 0 when unknown."""

    phase: Phase
    total: int = 0


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """A phase ended well. `text` is what the person reads; `seconds` is its wall time."""

    phase: Phase
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ResourceChanged:
    """Stage 1 acted on one resource: `op` as in a plan (create, update, replace, delete, same, refresh)."""

    type: str
    name: str
    op: str
    done: bool


@dataclass(frozen=True, slots=True)
class BytesSent:
    """A host has got `sent` of `total` uncompressed bytes of the rootfs."""

    host: HostName
    sent: int
    total: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began on a host (for cluster steps: the first master)."""

    host: HostName
    step: StepId
    title: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended with `rc` (0 is success)."""

    host: HostName
    step: StepId
    title: str
    rc: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HealthSeen:
    """One look at a host's health: `rc` 0 healthy, 75 not yet; `line` is its last line (200 characters)."""

    host: HostName
    rc: int
    line: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Free progress of a long local work (the engine build): a line, and a share 0..1 where known."""

    phase: Phase
    text: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should read that stops nothing."""

    text: str
    hint: str = ""


Event = PhaseStarted | PhaseDone | ResourceChanged | BytesSent | StepStarted | StepDone | HealthSeen | Progress | Warned
Events = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Take an event and do nothing: for callers that show no progress."""
