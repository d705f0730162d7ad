"""A cluster's deadline: shown, moved, taken away. Nothing else of the cluster changes, and no step runs on a host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from provisioner import hops, operator
from provisioner.access import require_cluster, require_keys
from provisioner.busy import ride_out
from provisioner.draft import check_machine
from provisioner.errors import DeadlineError, HostError, UsageError
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.model.accepted import Accepted
from provisioner.model.deadline import check_soonest, deadline_in, is_expired, is_too_near, keeper_of, soonest_of
from provisioner.model.engine import StackState
from provisioner.model.grammar import BOUGHT
from provisioner.model.ids import ClusterId, ClusterName, HostName, new_run_id
from provisioner.model.plan import InfraPlan
from provisioner.model.userdata import power_off_script
from provisioner.placing import marks_of
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import World
from stacks.program import build_program

_GUEST = frozenset({"aws"})
"""Where the machines themselves hold the deadline, so that it is moved there too."""
_TIMER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class TtlReport:
    """A cluster's deadline (None: none), what it was before, and who keeps it. `silent`: hosts that did not hear of it."""

    cluster: ClusterName
    cid: ClusterId
    provider: str
    expires_at: str | None
    before: str | None
    keeper: str | None
    silent: tuple[str, ...] = ()


def show(world: World, name: ClusterName) -> TtlReport:
    """The deadline as it is accepted. Raises UsageError (3) where there is no such cluster."""
    _, accepted, cid = require_cluster(world, name)
    return _report(accepted, cid, accepted.expires_at)


async def extend(world: World, name: ClusterName, seconds: int) -> TtlReport:
    """Move the deadline by so many seconds; from now on where there is none, or where it is past."""

    def later(before: str | None) -> str:
        old = datetime.fromisoformat(before) if before else None
        now = world.clock.now()
        return deadline_in(seconds, max(old, now) if old else now)

    return await _change(world, name, later)


async def set_in(world: World, name: ClusterName, seconds: int) -> TtlReport:
    """Have the deadline so many seconds from now, or as soon as its cloud takes one, whatever it was."""
    _, accepted, _ = require_cluster(world, name)
    ahead = max(seconds, soonest_of(accepted.provider))
    return await _change(world, name, lambda _before: deadline_in(ahead, world.clock.now()))


async def cancel(world: World, name: ClusterName) -> TtlReport:
    """Take the deadline away: the cluster stays until `down`."""
    return await _change(world, name, lambda _before: None)


def _report(accepted: Accepted, cid: ClusterId, before: str | None, silent: tuple[str, ...] = ()) -> TtlReport:
    keeper = keeper_of(accepted.provider, accepted.expires_at)
    name = ClusterName(accepted.cluster)
    return TtlReport(name, cid, accepted.provider, accepted.expires_at, before, keeper, silent)


async def _change(world: World, name: ClusterName, deadline: Callable[[str | None], str | None]) -> TtlReport:
    """Raises UsageError (3) no such cluster, a provider that keeps no deadline, or other changes that wait; HostError (7).

    Else as the engine's `up` does.
    """
    async with hops.holding(world, name, "ttl", 0.0):
        stored, accepted, cid = require_cluster(world, name)
        if accepted.provider not in BOUGHT:
            raise UsageError(
                f"{name} is on provider {accepted.provider}, where nobody would end it: it stands until `down`",
                hint=f"nothing to do: it has no deadline, and only {' and '.join(sorted(BOUGHT))} keep one",
            )
        wanted = accepted.model_copy(update={"expires_at": deadline(accepted.expires_at)})
        if wanted.expires_at != accepted.expires_at:
            check_soonest(accepted.provider, wanted.expires_at, world.clock.now())
            await hops.repair(world, name)
            now = world.clock.now()
            anew = " --ttl 2h" if is_expired(accepted, now) or is_too_near(accepted, now) else ""
            await _apply(world, wanted, cid, f"sealer-cloud up -n {name}{anew}")
        silent = await _tell_hosts(world, wanted, stored) if accepted.provider in _GUEST else ()
    return _report(wanted, cid, accepted.expires_at, silent)


async def _apply(world: World, wanted: Accepted, cid: ClusterId, again: str) -> None:
    """Have the engine update tags and release times; anything more than that is `up`'s, which `again` is the command for."""
    driver = await asyncio.to_thread(world.driver, wanted.provider, wanted.endpoints)
    spec = driver.parse_spec(wanted)
    await asyncio.to_thread(check_machine, driver, spec, standing=True)
    needs = await asyncio.to_thread(driver.needs)
    run = new_run_id(world.clock.now(), world.random)
    program = build_program(driver, spec, wanted, marks_of(world.settings.environ, wanted, cid, run))
    name = ClusterName(wanted.cluster)
    begun = world.clock.monotonic()
    world.events(PhaseStarted(Phase.MACHINES))
    seen = await ride_out(world, lambda: world.engine.preview(name, cid, program, world.events, needs))
    _refuse_more(name, seen.plan, again)
    still = partial(check_machine, driver, spec, standing=True)
    await ride_out(world, lambda: world.engine.up(name, cid, program, world.events, needs, still=still))
    world.events(PhaseDone(Phase.MACHINES, "deadline set", world.clock.monotonic() - begun))


def _refuse_more(name: ClusterName, plan: InfraPlan, again: str) -> None:
    more = [f"{op} {c.name}" for op in ("create", "replace", "delete") for c in getattr(plan, op)]
    if more:
        raise UsageError(
            f"other changes of {name} wait ({', '.join(more[:5])}{' …' if more[5:] else ''}); its deadline was not moved",
            hint=f"run `{again}` first",
        )


async def _tell_hosts(world: World, wanted: Accepted, stored: StackState) -> tuple[str, ...]:
    """Move the timers in the machines; returns hosts that could not be told, whose old timer still runs."""
    keys = await require_keys(world, ClusterName(wanted.cluster))
    inventory = stored.inventory
    if inventory is None:
        return ()
    await operator.let_in(world, stored)
    script = power_off_script(wanted.expires_at).encode()
    async with await open_hosts(inventory, keys, world.connect, world.clock) as hosts:
        reasons = await asyncio.gather(*(_tell_host(hosts, host.name, script) for host in inventory.hosts))
    silent = {host.name: reason for host, reason in zip(inventory.hosts, reasons, strict=True) if reason}
    for host, reason in silent.items():
        world.events(
            Warned(f"{host} keeps its old timer: {reason}", f"run `sealer-cloud ttl` again when {host} answers")
        )
    return tuple(silent)


async def _tell_host(hosts: HostSet, name: HostName, script: bytes) -> str:
    try:
        result = await hosts.get(name).run(("sh",), stdin=script, timeout=_TIMER_SECONDS)
    except (HostError, DeadlineError) as error:
        return error.message
    return "" if result.ok else f"setting the timer ended with {result.rc}"
