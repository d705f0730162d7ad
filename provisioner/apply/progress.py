"""Telling how far a run is: phases with their times, and in an error what is done, what is not, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from provisioner.errors import SealerError
from provisioner.events import Events, Phase, PhaseDone, PhaseStarted
from provisioner.model.clock import Clock
from provisioner.model.ids import CLUSTER_SCOPE
from provisioner.model.plan import ApplyPlan
from provisioner.model.report import StepReport
from provisioner.model.steps import Step

SHOWN = 6
"""Titles, and hosts of one, that an error names; the rest is counted."""


class Progressing:
    """Emits phases and sums up their wall seconds."""

    def __init__(self, clock: Clock, events: Events) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._events = events

    @contextmanager
    def phase(self, phase: Phase, steps: list[Step]) -> Iterator[list[Step]]:
        """A phase around these steps; silent where there are none. The end is told only if it was good."""
        if not steps:
            yield steps
            return
        hosts = len({step.host for step in steps})
        self._events(PhaseStarted(phase, hosts))
        began = self._clock.monotonic()
        try:
            yield steps
        finally:
            seconds = self._clock.monotonic() - began
            self.seconds[phase.value] = self.seconds.get(phase.value, 0.0) + seconds
        self._events(PhaseDone(phase, describe(steps), seconds))


def describe(steps: Sequence[Step]) -> str:
    """Steps in short: host steps by title with their hosts counted, cluster steps with the host they ran on."""
    host_steps = [s for s in steps if not s.id.startswith(f"{CLUSTER_SCOPE}/")]
    parts = []
    if host_steps:
        titles = ", ".join(dict.fromkeys(s.title for s in host_steps))
        count = len({s.host for s in host_steps})
        parts.append(f"{titles} on {count} host{'s' if count != 1 else ''}")
    parts += [f"{s.title} on {s.host}" for s in steps if s not in host_steps]
    return " · ".join(parts)


def explain(error: SealerError, plan: ApplyPlan, reports: Sequence[StepReport], resume: str) -> None:
    """Add to the error's hint what is done, what is not, and the command that goes on; `error.told` says that it did."""
    done = {report.id for report in reports if report.rc == 0}
    begun = [s for s in plan.steps if s.id in done]
    left = [s for s in plan.steps if s.id not in done]
    parts = [error.hint, f"done: {_some(begun)}", f"not done: {_some(left)}", f"go on with: {resume}"]
    error.hint = "\n".join(part for part in parts if part)
    error.told = True


def _some(steps: Sequence[Step]) -> str:
    """`init.sh on m1 m2`: one entry per title, so that fifty hosts stay one line."""
    hosts: dict[str, list[str]] = {}
    for step in steps:
        hosts.setdefault(step.title, []).append(step.host)
    return _few([f"{title} on {_few(names, ' ')}" for title, names in hosts.items()], ", ") or "nothing"


def _few(words: Sequence[str], gap: str) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return gap.join(words[:SHOWN]) + more
