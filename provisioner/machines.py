"""Stage 1 at work: what a cut run left is taken over first; where a cloud has none left, the next choice is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from provisioner.busy import ride_out
from provisioner.draft import Draft, check_machine
from provisioner.errors import AccessError, CapacityError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Choice, Driver, Refused
from provisioner.model.engine import StackState
from provisioner.model.failover import moved_lines, over_price, price_of, refusal_lines, refused_by
from provisioner.model.hosts import StackOutputs
from provisioner.model.plan import is_machine, renewed_keys
from provisioner.placing import in_order, known_offers, stopped_machines, with_placement
from provisioner.replacing import is_standing
from provisioner.world import World
from stacks.program import build_program

UNSEEN_SECONDS = 30.0
"""For how long a machine may stand that no look shows."""
UNSEEN_PAUSE = 3.0


async def raise_machines(world: World, draft: Draft, max_price: float | None) -> tuple[Draft, StackOutputs]:
    """Have the engine make the machines; the draft that comes back says where they were made in the end.

    Raises CapacityError (13) saying what was tried when nothing is left, or when going on would cost more than
    `max_price`; any other error of the engine at once.
    """
    if draft.choice.placement:  # a person may have read for an hour: one signed call before the engine reads anything
        standing = is_standing(draft.wish)
        await asyncio.to_thread(check_machine, draft.driver, _spec(draft), standing=standing)
    adopt = await _orphans(world, draft)
    if adopt:
        _demand_disks(draft, adopt)
        draft = await _as_bought(world, draft, frozenset(adopt))
    stopped = stopped_machines(draft.previewed.outputs, draft.plan.provider)
    if stopped:  # after all that may refuse: who is refused has changed nothing
        await asyncio.to_thread(draft.driver.start, tuple(stopped.values()))
    renew = renewed_keys(draft.plan.infra, adopt, draft.run)  # once: the same word at every try renews nothing twice
    refused: tuple[Refused, ...] = ()
    while True:
        try:
            if adopt:  # a machine is imported by one run and the resource is an ordinary one for the next
                await _up(world, draft, {**renew, **adopt})
                adopt = {}
            outputs = await _up(world, draft, renew)
        except CapacityError as error:
            recorded = _recorded(world, draft)
            adopt = {part: own for part, own in adopt.items() if own not in recorded}
            draft, refused = await _move_on(world, draft, refused, error, max_price)
        else:
            await _end_twins(world, draft)
            return draft, outputs


async def _end_twins(world: World, draft: Draft) -> None:
    """What stands twice, as the engine sent a create call again whose answer was lost: the state knows one of each."""
    stored = world.engine.stored(draft.plan.cluster)
    made = [c for c in draft.plan.infra.create if not is_machine(c.type) and not c.type.startswith("sealer:index:")]
    if stored is None or not made:
        return
    try:
        gone = await asyncio.to_thread(draft.driver.end_strays, draft.cid, frozenset(stored.resource_ids))
    except (AccessError, ProviderError) as error:  # the machines stand; `down` looks again
        told = f"it is not known whether a part of the network was made twice: {error.message}"
        world.events(Warned(told, error.hint))
        return
    for line in gone:
        world.events(Warned(f"{line} was made twice, as an answer of the cloud was lost: it is removed"))


def _spec(draft: Draft) -> object:
    return draft.driver.parse_spec(draft.wish.accepted)


async def _up(world: World, draft: Draft, adopt: Mapping[str, str]) -> StackOutputs:
    spec = _spec(draft)
    program = build_program(draft.driver, spec, draft.wish.accepted, draft.marks, adopt)
    still = partial(check_machine, draft.driver, spec, standing=True)

    async def once() -> StackOutputs:
        needs = await asyncio.to_thread(draft.driver.needs)  # anew: credentials may be short-lived
        return await world.engine.up(draft.plan.cluster, draft.cid, program, world.events, needs, still=still)

    return await ride_out(world, once)


async def _orphans(world: World, draft: Draft) -> Mapping[str, str]:
    """Machines that a cut run made and could not record, by host: taken over, so that no host is ever bought twice.

    Looked for whenever the engine would make something of a cluster that is older than this run: not only after a
    repair, as the run that repaired may have been cut in its turn. A machine that is replaced may stand twice then.
    """
    stored = draft.wish.stored
    made = (*draft.plan.infra.create, *draft.plan.infra.replace)
    bought = [c for c in made if is_machine(c.type) or not c.type.startswith("sealer:")]
    if stored is None or not is_standing(draft.wish) or not bought:
        return {}
    wanted = {c.name for c in made if is_machine(c.type)}
    found = await found_by_tag(world, draft.driver, stored, wanted)
    for host, machine in found.items():
        if host in wanted:
            world.events(Warned(f"{host}: machine {machine} stands already, from a run that was cut: it is taken over"))
        else:
            hint = f"`sealer-cloud down {draft.plan.cluster}` removes it too"
            world.events(Warned(f"machine {machine} ({host}) carries this cluster's tags and has no place in it", hint))
    return {host: machine for host, machine in found.items() if host in wanted}


def _demand_disks(draft: Draft, adopt: Mapping[str, str]) -> None:
    """Refuse to take over a machine with other disks than are asked for now: the engine would change it, or end it.

    No plan has named that. Raises UsageError (3).
    """
    before = draft.wish.stored.accepted if draft.wish.stored else None
    if before is None:
        return
    old, new = _disks(before), _disks(draft.wish.accepted)
    differ = [host for host in adopt if host in old and host in new and old[host] != new[host]]
    if differ:
        name = draft.plan.cluster
        told = "; ".join(f"{host} ({adopt[host]}) with {old[host]}, and not {new[host]}" for host in differ)
        raise UsageError(
            f"a run that was cut has made {told}",
            hint=f"write the disks as they were and run the same command again, or `sealer-cloud down {name}` first",
        )


def _disks(accepted: Accepted) -> dict[str, str]:
    """By host, in the words of the file."""
    said = {p.name: f"systemDisk {p.system_disk or 'default'}, dataDisks {[*p.data_disks]}" for p in accepted.pools}
    return {str(host.name): said[host.pool] for host in accepted.hosts}


async def found_by_tag(
    world: World, driver: Driver, stored: StackState, wanted: Collection[str] | None = None
) -> Mapping[str, str]:
    """`Driver.orphans`; for a machine (of those wanted) that a cut run had begun to make it is asked again for a while.

    Clouds are asked at one place and answer from another: "not there" soon after a create means "not yet".
    """
    if stored.cid is None:
        return {}
    begun, since = world.engine.begun(stored.cluster)
    begun = begun - {*stored.machines} if wanted is None else begun & {*wanted}
    told = False
    while True:
        found = await asyncio.to_thread(driver.orphans, stored.cid, frozenset(stored.resource_ids))
        missing = sorted(begun - found.keys())
        if not missing or world.clock.now().timestamp() >= since + UNSEEN_SECONDS:
            return found
        if not told:
            world.events(Warned(f"{', '.join(missing)}: a run that was cut had begun to make it; it is looked for"))
            told = True
        await world.clock.sleep(UNSEEN_PAUSE)


async def _as_bought(world: World, draft: Draft, adopted: frozenset[str]) -> Draft:
    """Machines that are taken over stay what they were bought as: the cut run stored its choice before it made them.

    Without this a stock or a price that changed meanwhile would choose another type, and the import be refused.
    """
    before = draft.wish.stored.accepted if draft.wish.stored else None
    if before is None or not before.placement or before.placement == draft.wish.accepted.placement:
        return draft
    accepted = draft.wish.accepted.model_copy(update={"placement": before.placement})
    standing = _made(world, draft) | adopted
    choice = await asyncio.to_thread(draft.driver.choose, accepted, draft.cid, standing=standing)
    return _with_choice(world, replace(draft, wish=replace(draft.wish, accepted=accepted)), choice)


def _made(world: World, draft: Draft) -> frozenset[str]:
    """Hosts that have a machine by now."""
    stored = _stored(world, draft)
    return frozenset(stored.machines if stored else ())


def _recorded(world: World, draft: Draft) -> frozenset[str]:
    """Ids of all that the state knows by now."""
    stored = _stored(world, draft)
    return frozenset(stored.resource_ids if stored else ())


def _stored(world: World, draft: Draft) -> StackState | None:
    """The state of the draft's cluster as it is by now; a namesake's is none."""
    stored = world.engine.stored(draft.plan.cluster)
    return stored if stored and stored.cid == draft.cid else None


async def _move_on(
    world: World, draft: Draft, refused: tuple[Refused, ...], error: CapacityError, max_price: float | None
) -> tuple[Draft, tuple[Refused, ...]]:
    """The next choice for the pools that were refused; the others, and machines that were made, stay as they are."""
    accepted = draft.wish.accepted
    found = [r for r in refused_by(accepted, error.hosts or (error.host,), error.code) if r not in refused]
    tried = refusal_lines((*refused, *found))
    if not found:
        raise _out_of_choices(error.message, error, tried)
    refused = (*refused, *found)
    standing = _made(world, draft)
    try:
        choice = await asyncio.to_thread(draft.driver.choose, accepted, draft.cid, refused, standing=standing)
    except CapacityError as none_left:
        raise _out_of_choices(none_left.message, error, tried) from none_left
    moved = _with_choice(world, draft, choice)
    lines = moved_lines(accepted, moved.wish.accepted)
    reason = over_price(moved.plan.offers, moved.plan.price, max_price)
    if reason or not lines:
        raise _out_of_choices(reason or error.message, error, tried)
    world.events(Warned(f"{'; '.join(refusal_lines(found))}; going on with {'; '.join(lines)}{_price_words(moved)}"))
    return moved, refused


def _price_words(draft: Draft) -> str:
    price = draft.plan.price
    return f", now {price.per_hour:.4g} {price.currency} per hour in all" if price else ""


def _out_of_choices(message: str, error: CapacityError, tried: tuple[str, ...]) -> CapacityError:
    told = f"{message}; tried: {'; '.join(tried)}" if tried else message
    told_of = CapacityError(told, hint=error.hint, host=error.host, phase="machines", evidence=error.evidence)
    told_of.code, told_of.hosts = error.code, error.hosts
    return told_of


def _with_choice(world: World, draft: Draft, choice: Choice) -> Draft:
    accepted = with_placement(draft.wish.accepted, choice)
    offers = known_offers(in_order(choice.offers, accepted), draft.plan.offers)
    price = price_of(offers, world.clock.now(), accepted.expires_at)
    return replace(
        draft,
        wish=replace(draft.wish, accepted=accepted),
        choice=choice,
        plan=replace(draft.plan, offers=offers, price=price),
    )
