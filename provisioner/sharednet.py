"""`network create|list|delete`: long-lived networks that clusters share. No state: the account's tags are all there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from provisioner.errors import (
    InterruptedRunError,
    PreconditionError,
    ProviderError,
    SealerError,
    UsageError,
    no_account,
    worst_of,
)
from provisioner.events import Phase, PhaseDone, PhaseStarted, Progress
from provisioner.model.ci import ci_of
from provisioner.model.driver import Driver
from provisioner.model.grammar import BOUGHT
from provisioner.model.ids import new_run_id
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, Part, SharedNetwork, Tell, delete_words
from provisioner.model.site import Site
from provisioner.model.tags import network_tags
from provisioner.world import World

LAG_SECONDS = 4.0
"""How long after a cut run its network may not show up yet: a look that finds none is repeated before one is made."""
LOOKS = 3
MOST_LINES = 20
"""Occupants that a refusal names; a network of hundreds of machines must not fill the screen."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Created:
    """A network that stands as wished, and the parts that were missing for it."""

    network: SharedNetwork
    made: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What went, and what a look afterwards still found or the provider refused. `found` False: it was not there."""

    name: str
    provider: str
    region: str
    found: bool
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


ConfirmPlan = Callable[[NetworkPlan], bool]
"""Shows what will be made and asks; False is a "no"."""
ConfirmDelete = Callable[[Sequence[SharedNetwork]], bool]
"""The same for what will go."""


async def list_networks(world: World, site: Site, regions: tuple[str, ...]) -> Networks:
    """The shared networks of the site's provider, or of all that sell machines; with what could not be looked at.

    In these regions (none: all of them). Raises what a named provider raises; without one the worst of all where none
    could be looked at (5, 6).
    """
    named = site.provider
    found: list[SharedNetwork] = []
    dark: list[tuple[str, str]] = []
    failed: list[tuple[str, SealerError]] = []
    asked = [named] if named else [name for name in world.drivers if name in BOUGHT]
    for name in asked:
        try:
            networks = await _look(world, await asyncio.to_thread(world.driver, name, site.endpoints), regions, None)
        except SealerError as error:
            if named or isinstance(error, InterruptedRunError):
                raise
            dark.append((name, error.message))
            failed.append((name, error))
            continue
        found += networks.found
        dark += [(f"{name} {region}", reason) for region, reason in networks.not_looked_at]
    if failed and len(failed) == len(asked):
        worst = worst_of(error for _, error in failed)
        told = "; ".join(f"{where}: {reason}" for where, reason in dark)
        raise type(worst)(f"no cloud account could be looked at: {told}", hint=no_account(failed)) from worst
    return Networks(tuple(sorted(found, key=lambda n: (n.name, n.provider, n.region, n.id or ""))), tuple(dark))


async def create_network(world: World, site: Site, wish: NetworkWish, confirm: ConfirmPlan) -> Created:
    """Make a network, or what it lacks; nothing where it is whole. `wish.region` is filled in here.

    Raises UsageError for a range that differs, InterruptedRunError (130) for a "no", PreconditionError (12) where it
    changed while a person read, and what the driver raises.
    """
    driver = await _driver(world, site)
    region = await _region(driver, site)
    wish = replace(wish, region=region, words=f"{site.words(driver.name)} --region {region}")
    plan = await _phase(world, Phase.LOOK, f"network {wish.name}", lambda: asyncio.to_thread(driver.plan_network, wish))
    if plan.parts:
        if not confirm(plan):
            raise InterruptedRunError("not confirmed; nothing was changed")
        plan = await _unchanged(world, driver, wish, plan)
        await _phase(world, Phase.NETWORK, f"network {wish.name}", lambda: _make(world, driver, wish, plan))
    return Created(await _standing(world, driver, wish, plan), plan.parts)


async def delete_network(world: World, site: Site, name: str, confirm: ConfirmDelete) -> Deleted:
    """Remove an empty network and look again; `found` False where there is none.

    Raises UsageError naming who still uses it, InterruptedRunError (130) for a "no", PreconditionError (12) where it grew
    while a person read, and what the driver raises.
    """
    driver = await _driver(world, site)
    region = await _region(driver, site)
    found = (await _look(world, driver, (region,), name)).found
    report = Deleted(name, driver.name, region, found=bool(found))
    if not found:
        return report
    _refuse_used(found)
    if not confirm(found):
        raise InterruptedRunError("not confirmed; nothing was deleted")
    shown, found = found, (await asyncio.to_thread(driver.networks, (region,), name)).found
    _refuse_used(found)  # a person may have read for an hour
    _refuse_more(shown, found)
    refused = await _phase(world, Phase.REMOVE, f"network {name}", lambda: _remove(world, driver, found))
    left = await _left(world, driver, region, name)
    parts = [part for network in found for part in network.parts]
    removed = tuple(str(part) for part in parts if part.id not in {p.id for p in left})
    lines = (*map(str, left), *refused) if left else ()
    return replace(report, removed=removed, left=lines)


async def _driver(world: World, site: Site) -> Driver:
    return await asyncio.to_thread(world.driver, site.demand(), site.endpoints)


async def _region(driver: Driver, site: Site) -> str:
    """Raises UsageError where nobody names one, and where the provider has none."""
    region = site.region or await asyncio.to_thread(driver.region)
    if region:
        return region
    if driver.name not in BOUGHT:
        await asyncio.to_thread(driver.networks)  # refused by name
    raise UsageError(
        "no region is named", hint="use --region, the variable that your cloud's own tools read, or -f with an Infra"
    )


async def _look(world: World, driver: Driver, regions: tuple[str, ...], name: str | None) -> Networks:
    what = f"networks of {driver.name}"
    return await _phase(world, Phase.LOOK, what, lambda: asyncio.to_thread(driver.networks, regions, name))


async def _phase(world: World, phase: Phase, text: str, work: Callable[[], Awaitable[_T]]) -> _T:
    world.events(PhaseStarted(phase))
    begun = world.clock.monotonic()
    answer = await work()
    world.events(PhaseDone(phase, text, world.clock.monotonic() - begun))
    return answer


def _teller(world: World, phase: Phase, total: int) -> Tell:
    """Progress for a person, and the place where a run can be stopped: before a change, when none is under way."""
    done = 0

    def tell(text: str) -> None:
        nonlocal done
        world.stop.check(phase)
        world.events(Progress(phase, text, done / max(total, 1)))
        done += 1

    return tell


async def _unchanged(world: World, driver: Driver, wish: NetworkWish, shown: NetworkPlan) -> NetworkPlan:
    """The plan by a second look. Raises PreconditionError where it holds more than was shown."""
    if shown.vpc is None:
        await world.clock.sleep(LAG_SECONDS)
    plan = await asyncio.to_thread(driver.plan_network, wish)
    if not set(plan.parts) <= set(shown.parts):
        raise PreconditionError(
            f"network {wish.name} changed meanwhile; nothing was made", hint="run the same command again"
        )
    return plan


async def _make(world: World, driver: Driver, wish: NetworkWish, plan: NetworkPlan) -> None:
    ci_run, repo = ci_of(world.settings.environ)
    tags = network_tags(plan.name, new_run_id(world.clock.now(), world.random), ci_run, repo)
    tell = _teller(world, Phase.NETWORK, len(plan.parts))
    go_on = f"the same command goes on with what stands; `{delete_words(wish)}` removes it"
    try:
        await asyncio.to_thread(driver.make_network, plan, tags, tell)
    except InterruptedRunError as error:
        raise InterruptedRunError("interrupted; what was made stands", hint=go_on) from error
    except SealerError as error:
        error.hint = error.hint or go_on
        raise


async def _standing(world: World, driver: Driver, wish: NetworkWish, plan: NetworkPlan) -> SharedNetwork:
    """The network as a look shows it. Raises ProviderError where it is not there as made, or stands twice."""
    zones = {part.zone for part in plan.parts if part.zone}
    found: tuple[SharedNetwork, ...] = ()
    for number in range(LOOKS):
        await world.clock.sleep(LAG_SECONDS if number else 0.0)
        found = (await asyncio.to_thread(driver.networks, (wish.region,), wish.name)).found
        if len(found) == 1 and found[0].id and zones <= set(found[0].zones):
            return found[0]
    ids = ", ".join(n.id or "a rest" for n in found) or "nothing"
    raise ProviderError(
        f"network {wish.name} was made, and a look in {wish.region} finds {ids}",
        hint=f"if it stands twice, another run made it at the same time: `{delete_words(wish)}` removes both",
    )


def _refuse_used(found: Iterable[SharedNetwork]) -> None:
    used = [network for network in found if network.occupants]
    if not used:
        return
    clusters = sorted({cid for network in used for cid in network.clusters})
    lines = [line for network in used for line in network.occupants]
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    whose = f" by {', '.join(clusters)}" if clusters else ""
    raise UsageError(
        "\n".join([f"network {used[0].name} is in use{whose}; nothing was deleted", *lines[:MOST_LINES], *more]),
        hint="take the clusters down and remove what else stands in it, then run the same command",
    )


def _refuse_more(shown: Iterable[SharedNetwork], found: Iterable[SharedNetwork]) -> None:
    """Nothing goes that nobody has seen: another run may just make a network of that name. Raises PreconditionError."""
    seen = {part.id for network in shown for part in network.parts}
    more = [str(part) for network in found for part in network.parts if part.id not in seen]
    if more:
        raise PreconditionError(
            f"the network changed meanwhile ({', '.join(more)}); nothing was deleted", hint="run the same command again"
        )


async def _remove(world: World, driver: Driver, found: Sequence[SharedNetwork]) -> list[str]:
    tell = _teller(world, Phase.REMOVE, sum(len(network.parts) for network in found))
    refused: list[str] = []
    for network in found:
        refused += await asyncio.to_thread(driver.remove_network, network, tell)
    return refused


async def _left(world: World, driver: Driver, region: str, name: str) -> list[Part]:
    """What is still there; looked for again, as what is gone may show for a moment."""
    left: list[Part] = []
    for number in range(LOOKS):
        await world.clock.sleep(LAG_SECONDS if number else 0.0)
        found = (await asyncio.to_thread(driver.networks, (region,), name)).found
        left = [part for network in found for part in network.parts]
        if not left:
            break
    return left
