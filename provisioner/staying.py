"""Leaving machines that stay (bare metal): what a cluster made on them is undone, the users' data is theirs to keep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from provisioner import stage2
from provisioner.access import env_source
from provisioner.apply.context import RunContext
from provisioner.apply.undo import Remains
from provisioner.draft import Draft
from provisioner.draft import env_source as env_of_wish
from provisioner.errors import HostError, SealerError
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.model.driver import STAYING
from provisioner.model.hosts import NO_KEYS, Inventory
from provisioner.model.ids import HostName
from provisioner.model.plan import is_machine
from provisioner.model.report import KeptData
from provisioner.removal import Target, leaving_context
from provisioner.replacing import is_another
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import World

Found = Mapping[HostName, Remains | SealerError]


@dataclass(frozen=True, slots=True)
class _Site:
    """The machines of a cluster with open connections, and what undoing on them needs."""

    hosts: HostSet
    envs: stage2.Envs
    context: RunContext


async def measured(world: World, target: Target, *, delete_data: bool) -> Target:
    """The target as a person confirms it: for machines that stay, with the data that lies on them. Reads only."""
    if target.plan.provider not in STAYING:
        return target
    plan = replace(target.plan, stays=True, delete_data=delete_data)
    async with AsyncExitStack() as ending:
        site = await _enter(world, target, ending)
        if site is None:
            return replace(target, plan=plan)
        found = await stage2.remains(site.hosts, site.context)
    return replace(target, plan=replace(plan, data=_data(found, site.context)))


async def undo(world: World, target: Target) -> tuple[str, ...]:
    """Undo on every machine that stays; returns what is left and why: then nothing else may be deleted.

    Machines that go with the cluster need none of this.
    """
    if not target.plan.stays:
        return ()
    begun = world.clock.monotonic()
    async with AsyncExitStack() as ending:
        site = await _enter(world, target, ending)
        if site is None:
            return ()
        count = len(site.hosts.inventory.hosts)
        world.events(PhaseStarted(Phase.REMOVE, count))
        found = await stage2.undo(site.hosts, site.envs, site.context, delete_data=target.plan.delete_data)
    failed = {name: error for name, error in found.items() if isinstance(error, SealerError)}
    world.events(PhaseDone(Phase.REMOVE, f"{count - len(failed)} of {count} hosts undone", _since(world, begun)))
    return tuple(_line(name, error) for name, error in failed.items())


async def undo_leaving(world: World, draft: Draft) -> None:
    """Before stage 1 forgets machines that stay: undo on those that leave; the cluster's other hosts go on.

    Raises what undoing raises, but for a host that does not answer: that is a warning, as it may be gone for good.
    """
    names = {c.name for c in draft.previewed.plan.delete if is_machine(c.type)}
    inventory = draft.hosts.inventory
    leaving = tuple(h for h in inventory.hosts if h.name in names)
    if draft.wish.accepted.provider not in STAYING or not leaving:
        return
    source, context = _as_it_was(world, draft)
    envs = stage2.leave_envs(source, inventory)
    async with await _open(world, replace(inventory, hosts=leaving)) as hosts:
        found = await stage2.undo(hosts, envs, context, delete_data=False)
    for name, error in found.items():
        if isinstance(error, HostError):
            world.events(Warned(f"{name} leaves, but nothing could be undone there: {error.message}", error.hint))
        elif isinstance(error, SealerError):
            raise error
    for data in _data(found, context):
        if data.size is not None:
            world.events(Warned(f"{data.host} leaves; its data stays: {data.path}"))


def _as_it_was(world: World, draft: Draft) -> tuple[stage2.EnvSource, RunContext]:
    """What the leaving hosts hold is the old cluster's, which is another one where --replace gives its name away."""
    stored = draft.wish.stored
    if not is_another(draft.wish) or stored is None or stored.accepted is None or stored.cid is None:
        return env_of_wish(draft.wish), draft.context
    source = env_source(world, stored.accepted)
    return source, leaving_context(world, stored.accepted, stored.cid, source)


async def _enter(world: World, target: Target, ending: AsyncExitStack) -> _Site | None:
    """None where the state knows no machine: then nothing was ever done on one."""
    stored, accepted = target.stored, target.accepted
    if stored is None or accepted is None or stored.cid is None or not (stored.inventory and stored.inventory.hosts):
        return None
    source = env_source(world, accepted)
    hosts = await ending.enter_async_context(await _open(world, stored.inventory))
    context = leaving_context(world, accepted, stored.cid, source)
    return _Site(hosts, stage2.leave_envs(source, stored.inventory), context)


async def _open(world: World, inventory: Inventory) -> HostSet:
    return await open_hosts(inventory, NO_KEYS, world.connect, world.clock, patience=0)


def _data(found: Found, context: RunContext) -> tuple[KeptData, ...]:
    """A host that does not say is listed with an unknown size: its data may be there."""
    kept: list[KeptData] = []
    for name, it in found.items():
        size, link = (None, "") if isinstance(it, SealerError) else (it.data, it.link)
        if size != 0:
            kept.append(KeptData(name, link or context.paths.data, size, linked=bool(link)))
    return tuple(kept)


def _line(name: HostName, error: SealerError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"host {name}: {error.message}{hint}"


def _since(world: World, begun: float) -> float:
    return world.clock.monotonic() - begun
