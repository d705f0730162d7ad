"""Waiting for health: one look after another, each told, until health.sh says 0 or the time is up."""

from __future__ import annotations

from provisioner.apply.contract import Script
from provisioner.apply.facts import HEALTH_SECONDS, read_look
from provisioner.apply.perform import Performer
from provisioner.apply.wire import EnvItems, parse_reply, render_env, step_fields, step_key
from provisioner.errors import DeadlineError, HostError, HostKeyError
from provisioner.events import HealthSeen
from provisioner.model.facts import HealthReading
from provisioner.model.ids import HostName, step_id
from provisioner.model.steps import AwaitHealth, Step, StepKind

HEALTHY, NOT_YET = 0, 75
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


def reason_of(seen: HealthReading) -> str:
    """What health.sh printed last; where it failed in silence, that: nobody can act on an empty reason."""
    if seen.line or seen.rc == HEALTHY:
        return seen.line
    said = "says not yet (75)" if seen.rc == NOT_YET else f"ended with {seen.rc}"
    return f"health.sh {said} and printed nothing"


async def look_once(performer: Performer, host: HostName, env: EnvItems) -> HealthReading | None:
    """One look at a host, told as an event; None where the rootfs has no health.sh. Raises HostError."""
    result = await performer.call(host, "health", HEALTH_SECONDS, stdin=render_env(env), more=HEALTH_SECONDS)
    try:
        seen = read_look(parse_reply(result.stdout, host), performer.context.masker)
    except ValueError as error:
        raise HostError(f"the reply of {host} makes no sense", host=host) from error
    if seen is not None:
        performer.context.events(HealthSeen(host, seen.rc, seen.line))
    return seen


async def wait_health(performer: Performer, step: Step) -> HealthReading:
    """Look until the host is healthy.

    Raises DeadlineError (11) with the last line: out of time, or health.sh keeps saying that the host failed. Where it
    said "not yet" to the end, the ledger is told, so that the next plan may start a host again that was healthy before.
    """
    context = performer.context
    action = step.action
    if not isinstance(action, AwaitHealth):
        raise TypeError(f"{step.id} is no wait for health")
    began = context.clock.monotonic()
    failing_since: float | None = None
    pause = FIRST_PAUSE
    while True:
        seen, heard = await _try_look(performer, step.host, action.env)
        now = context.clock.monotonic()
        if seen is not None and seen.rc == HEALTHY:
            return seen
        failed = seen is not None and seen.rc != NOT_YET
        failing_since = (failing_since if failing_since is not None else now) if failed else None
        if failing_since is not None and now - failing_since >= context.patience.failed:
            raise _ill(step, f"health.sh of {step.host} failed for {now - failing_since:.0f} s", seen)
        if now - began >= action.timeout:
            told = heard and not failed and await _tell_ledger(performer, step)
            what = f"{step.host} is not healthy within {action.timeout:g} s"
            raise _ill(step, what, seen, hint=_ways_on(step.host) if told else "")
        context.stop.check("health")
        await context.clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _try_look(performer: Performer, host: HostName, env: EnvItems) -> tuple[HealthReading | None, bool]:
    """One look, and whether health.sh was heard; a host that does not answer is not well yet, whatever runs there."""
    try:
        seen = await look_once(performer, host, env)
    except HostKeyError:
        raise
    except (HostError, DeadlineError) as error:
        return HealthReading(NOT_YET, error.message[:200]), False
    return seen, seen is not None


async def _tell_ledger(performer: Performer, step: Step) -> bool:
    """Write down that a whole wait ran out; False where that fails, as the wait's own end is the news."""
    line = f"pair {NOT_YET} {step_key(step.id)} {step_fields(performer.context.author, step)}\n"
    try:
        await performer.call(step.host, "record", stdin=line.encode())
    except (HostError, DeadlineError):
        return False
    return True


def _ways_on(host: HostName) -> str:
    start = step_id(host, StepKind.START, Script.START)
    return (
        f"look there with `exec --host {host}`; if {host} was healthy since start.sh ran last, the next `up` runs start.sh"
        f" again, and `up --redo {start}` does in any case"
    )


def _ill(step: Step, what: str, seen: HealthReading | None, *, hint: str = "") -> DeadlineError:
    line = "no answer" if seen is None else reason_of(seen)
    return DeadlineError(f"{what}: {line}", host=step.host, phase="health", evidence=line, hint=hint)
