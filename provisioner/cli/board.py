"""What a run is doing right now, made of events: the state behind the live view and behind the failure screen. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from provisioner.cli.text import grouped
from provisioner.events import (
    BytesSent,
    Event,
    HealthSeen,
    PhaseDone,
    PhaseStarted,
    Progress,
    ResourceChanged,
    StepDone,
    StepStarted,
)
from provisioner.model.ids import HostName, StepId

WINDOW = 3.0
"""Seconds over which the rate is taken: long enough to be calm, short enough to be true."""


@dataclass(slots=True)
class Transfer:
    """One host's rootfs: uncompressed bytes."""

    sent: int
    total: int

    @property
    def share(self) -> float:
        """0..1; an empty rootfs is sent."""
        return self.sent / self.total if self.total else 1.0


@dataclass(slots=True)
class PhaseState:
    """An open phase: when it began, how many take part, how many are through."""

    since: float
    total: int


@dataclass(slots=True)
class Board:
    """The state of a run. `take` is the only way in; times are seconds of one monotonic clock."""

    phases: dict[str, PhaseState] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    transfers: dict[HostName, Transfer] = field(default_factory=dict)
    running: dict[tuple[HostName, StepId], str] = field(default_factory=dict)
    done: list[StepDone] = field(default_factory=list)
    health: dict[HostName, HealthSeen] = field(default_factory=dict)
    resources: dict[str, bool] = field(default_factory=dict)
    work: Progress | None = None
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, event: Event, now: float) -> None:
        """Learn from one event."""
        match event:
            case PhaseStarted(phase, total):
                self.phases[phase] = PhaseState(now, total)
                self.work = None
            case PhaseDone(phase, _, seconds):
                self.phases.pop(phase, None)
                self.finished[phase] = self.finished.get(phase, 0.0) + seconds
                self.work = None
            case BytesSent(host, sent, total):
                self.transfers[host] = Transfer(sent, total)
                self._sample(now)
            case StepStarted(host, step, title):
                self.running[host, step] = title
            case StepDone(host, step):
                self.running.pop((host, step), None)
                self.done.append(event)
            case HealthSeen(host):
                self.health[host] = event
            case ResourceChanged(_, name, op, done) if op != "same" and self.making:
                self.resources[name] = done
            case Progress():
                self.work = event
            case _:
                pass

    @property
    def making(self) -> bool:
        """True while machines are really made or removed: a preview tells of the same resources and makes none."""
        return bool(self.phases.keys() & {"machines", "remove"})

    def rate(self) -> float:
        """Bytes per second over all hosts, lately; 0 while unknown."""
        if len(self._samples) < 2:  # noqa: PLR2004  a rate needs two points
            return 0.0
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) / (end - start)) if end > start else 0.0

    def seconds_left(self) -> float | None:
        """Until the last byte at the present rate; None while unknown."""
        rate = self.rate()
        missing = sum(t.total - t.sent for t in self.transfers.values())
        return missing / rate if rate else None

    def awaited(self) -> str:
        """What is running right now, for the line after the first Ctrl-C."""
        if self.running:
            return ", ".join(grouped((title, host) for (host, _), title in self.running.items()))
        sending = [host for host, t in self.transfers.items() if t.sent < t.total]
        if sending:
            return f"the transfer to {', '.join(sending)}"
        return f"phase {' and '.join(self.phases)}" if self.phases else "what is under way"

    def _sample(self, now: float) -> None:
        self._samples.append((now, sum(t.sent for t in self.transfers.values())))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW:  # noqa: PLR2004  keep two points
            self._samples.popleft()
