"""Clusters that no state here knows, found by looking: what `down` removes and `status` shows. Reads only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from provisioner import access
from provisioner.errors import SealerError, UsageError, worst_of
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.model.driver import STAYING, FoundCluster
from provisioner.model.ids import ClusterName
from provisioner.model.report import LostCluster, LostReport, StatusReport
from provisioner.model.site import ANYWHERE, Site
from provisioner.world import World


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found, through which places it went, and which could not be looked at, with the reason."""

    found: tuple[FoundCluster, ...]
    where: tuple[str, ...]
    dark: tuple[tuple[str, SealerError], ...] = ()


async def look_for(world: World, name: ClusterName, site: Site, verb: str = "down") -> Looked:
    """The clusters of that name at the site, or with no provider named at all of them; as `find` raises for a named one.

    Without a name a provider that cannot be looked at is told: most people have no account with most clouds. A region
    that cannot be looked at is told where the cluster was found elsewhere; else nobody may say that it is not there.
    `verb` is the command that looks: the hints name it again, as one that looks must not lead to one that removes.
    """
    found: list[FoundCluster] = []
    where: list[str] = []
    dark: list[tuple[str, SealerError]] = []
    unseen: list[tuple[str, SealerError]] = []
    for provider in [site.provider] if site.provider else [p for p in world.drivers if p not in STAYING]:
        before = len(unseen)
        try:
            driver = world.driver(provider, site.endpoints)
            found += await asyncio.to_thread(
                driver.find, name, site.regions, lambda region, error: unseen.append((region, error))
            )
            where.append(" ".join((provider, *site.regions)))
        except SealerError as error:
            if site.provider:
                raise
            dark.append((provider, error))
        dark += [(f"{provider} {region}", why) for region, why in unseen[before:]]
    if site.provider and unseen and not found:
        raise _not_seen(name, site.provider, unseen)
    for place, why in dark if not found or site.provider else ():
        command = f"`sealer-cloud {verb} {name} {site.words(place.partition(' ')[0])}`"
        world.events(Warned(f"{place} was not looked at: {why.message}", f"if it is there: {command}"))
    return Looked(tuple(found), tuple(where), tuple(dark))


def _not_seen(name: ClusterName, provider: str, unseen: list[tuple[str, SealerError]]) -> SealerError:
    """Nothing was found, and not everywhere was looked: that is no proof."""
    worst = worst_of(error for _, error in unseen)
    places = ", ".join(region for region, _ in unseen)
    return type(worst)(
        f"no cluster {name} was found, but {provider} could not be looked at in {places}: {worst.message}",
        hint=worst.hint or "run the same command again when it answers",
    )


async def status(world: World, name: ClusterName, site: Site = ANYWHERE) -> StatusReport | LostReport:
    """How a cluster is: by its state and its hosts; where no state here knows it and a provider is named, by looking.

    A state that is here answers, whatever the site. Raises UsageError (3) where nothing of that name is found.
    """
    if site.provider is None or world.engine.stored(name) is not None:
        return await access.status(world, name)
    if site.provider in STAYING:
        raise UsageError(
            f"there is no cluster {name} here, and machines of provider {site.provider} carry no tag to find it by: "
            "only a state or an inventory says which they are",
            hint=f"sealer-cloud adopt {name} --provider {site.provider} -f INFRA.yaml reads it back from its machines",
        )
    return await _look(world, name, site, site.provider)


async def _look(world: World, name: ClusterName, site: Site, provider: str) -> LostReport:
    begun = world.clock.monotonic()
    world.events(PhaseStarted(Phase.LOOK))
    looked = await look_for(world, name, site, "status")
    if not looked.found:
        raise UsageError(
            f"there is no cluster {name} here, and nothing in {', '.join(looked.where)} carries its name",
            hint=access.nearest_cluster(world, name),
        )
    clusters = tuple([await asyncio.to_thread(_inspect, world, site, found) for found in looked.found])
    world.events(PhaseDone(Phase.LOOK, f"{provider} by tag", world.clock.monotonic() - begun))
    dark = tuple((place, error.message) for place, error in looked.dark)
    return LostReport(name, provider, clusters, dark, site.words(provider))


def _inspect(world: World, site: Site, found: FoundCluster) -> LostCluster:
    driver = world.driver(found.provider, site.endpoints)
    driver.within(found.regions)
    return LostCluster(found.cid, found.regions, driver.inspect(found.cid), driver.leftovers(found.cid))
