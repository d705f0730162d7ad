"""Waiting for health: one look after another, each told, until health.sh says 0 or the time is up."""

from __future__ import annotations

from provisioner.apply.facts import HEALTH_SECONDS, read_look
from provisioner.apply.perform import Performer
from provisioner.apply.wire import EnvItems, parse_reply, render_env
from provisioner.errors import DeadlineError, HostError, HostKeyError
from provisioner.events import HealthSeen
from provisioner.model.facts import HealthReading
from provisioner.model.ids import HostName
from provisioner.model.steps import AwaitHealth, Step

HEALTHY, NOT_YET = 0, 75
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


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

    Raises DeadlineError (11) with the last line: out of time, or health.sh keeps saying that the host failed.
    """
    context = performer.context
    action = step.action
    if not isinstance(action, AwaitHealth):
        raise TypeError(f"{step.id} is no wait for health")
    began = context.clock.monotonic()
    failing_since: float | None = None
    pause = FIRST_PAUSE
    while True:
        seen = await _look_or_none(performer, step.host, action.env)
        now = context.clock.monotonic()
        if seen is not None and seen.rc == HEALTHY:
            return seen
        failed = seen is not None and seen.rc != NOT_YET
        failing_since = (failing_since if failing_since is not None else now) if failed else None
        if failing_since is not None and now - failing_since >= context.patience.failed:
            raise _ill(step.host, seen, f"failed for {now - failing_since:.0f} s")
        if now - began >= action.timeout:
            raise _ill(step.host, seen, f"not healthy within {action.timeout:g} s")
        context.stop.check("health")
        await context.clock.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _look_or_none(performer: Performer, host: HostName, env: EnvItems) -> HealthReading | None:
    try:
        return await look_once(performer, host, env)
    except HostKeyError:
        raise
    except (HostError, DeadlineError) as error:
        return HealthReading(NOT_YET, error.message[:200])


def _ill(host: HostName, seen: HealthReading | None, what: str) -> DeadlineError:
    line = seen.line if seen is not None else "no answer"
    return DeadlineError(
        f"{host} is {what}: {line}" if what.startswith("not") else f"health.sh of {host} {what}: {line}",
        host=host,
        phase="health",
        evidence=line,
    )
