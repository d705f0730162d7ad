"""Work as data: a Step can be printed, hashed, recorded in a ledger and done again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from provisioner.model.ids import Digest, HostName, StepId
from provisioner.model.secret import Value


class StepKind(StrEnum):
    """Every kind of step this version knows; a ledger that names another one is newer than we are."""

    ROOTFS = "rootfs"
    FILE = "file"
    MEMBER = "member"
    INIT = "init"
    START = "start"
    RECONFIGURE = "reconfigure"
    HEALTH = "health"
    CMD = "cmd"
    REMOVE = "remove"
    CLEAN = "clean"


class StepState(StrEnum):
    """Why a step is in the plan."""

    NEW = "new"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    MAYBE = "maybe"


@dataclass(frozen=True, slots=True)
class LayRootfs:
    """Lay the image's rootfs: stream, verify, switch by rename."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class PutFile:
    """Write one rendered file below the rootfs, whole or not at all. 0600 where a secret is in it."""

    path: str
    content: Value
    mode: int


@dataclass(frozen=True, slots=True)
class RunScript:
    """Run one script of the rootfs contract, by shebang, cwd = rootfs, with `args`."""

    path: str
    args: tuple[str, ...]
    env: tuple[tuple[str, Value], ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run one CMD with `sh -c`, cwd = rootfs."""

    command: str
    env: tuple[tuple[str, Value], ...]
    timeout: float
    idempotent: bool


@dataclass(frozen=True, slots=True)
class AwaitHealth:
    """Run scripts/health.sh until it says 0, or give up after `timeout` seconds."""

    env: tuple[tuple[str, Value], ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Record:
    """Nothing to run: write down that the state is already as wanted (the baseline of `reconfigure`)."""


Action = LayRootfs | PutFile | RunScript | RunCommand | AwaitHealth | Record


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work on one host. `inputs` is the HMAC of what it depends on, None while something is unknown.

    `action` is None in a provisional plan for what cannot be rendered yet. `quiet` steps (records) are not shown.
    """

    id: StepId
    host: HostName
    kind: StepKind
    title: str
    state: StepState
    inputs: str | None = None
    action: Action | None = None
    quiet: bool = False
