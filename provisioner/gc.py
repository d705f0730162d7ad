"""What stands in accounts by tag, whoever's state knows it: `gc` and `down --run`. Deletes only what `judge` lets go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from provisioner import hops
from provisioner.errors import (
    AccessError,
    InterruptedRunError,
    PreconditionError,
    ProviderError,
    RefusedKeyError,
    SealerError,
    UsageError,
    no_account,
)
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.model.ci import as_tag, ci_of
from provisioner.model.driver import Driver, FoundResource, Survey
from provisioner.model.endpoints import with_endpoints
from provisioner.model.grammar import BOUGHT
from provisioner.model.ids import ClusterId, ClusterName, name_of
from provisioner.model.leftovers import NOBODY, Fate, Leftover, Named, judge, repos_of
from provisioner.model.words import parse_provider
from provisioner.world import World


@dataclass(frozen=True, slots=True)
class GcChoice:
    """Where to look (nothing said: every provider, every region that it can see), what is named, whether to delete."""

    provider: str | None = None
    regions: tuple[str, ...] = ()
    named: Named = NOBODY
    delete: bool = False
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Where the provider's services are: then it is looked there alone."""


@dataclass(frozen=True, slots=True)
class GcReport:
    """What was found, where nobody could look (place, reason), what was removed and what was still there afterwards."""

    found: tuple[Leftover, ...]
    not_looked_at: tuple[tuple[str, str], ...]
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    deleted: bool = False
    """False for a dry run."""
    unsure: tuple[str, ...] = ()
    """Of the places where nobody could look those where something may stand that should be gone."""

    @property
    def complete(self) -> bool:
        """False where a deletion cannot say that all is gone which should be. A dry run says nothing of the kind."""
        return not self.deleted or not (self.left or self.unsure)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a place could not be looked at; `ours` where a request of this folder says that a cluster is there."""

    error: SealerError
    ours: bool

    def unsure(self, *, elsewhere: bool) -> bool:
        """True where something may stand there. `elsewhere`: the provider answered these credentials at another place.

        No credentials, no SDK: an account that nobody uses. A place that refuses a key which is good elsewhere is another's.
        """
        refused = isinstance(self.error, RefusedKeyError) and not elsewhere
        return self.ours or refused or isinstance(self.error, ProviderError)


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A look through accounts: what stands, where nobody could look (place, reason), and where of that something may stand."""

    found: tuple[Leftover, ...]
    dark: tuple[tuple[str, str], ...]
    unsure: tuple[str, ...]


Endpoints = Mapping[str, str]
ConfirmGc = Callable[[tuple[Leftover, ...]], bool]
"""Shows what will go and asks; False is a "no"."""


async def gc(world: World, choice: GcChoice, confirm: ConfirmGc) -> GcReport:
    """Look through accounts by tag, and with `delete` remove what is expired or named, each cluster as a whole.

    Raises as the driver's `survey` does for a provider that was named; UsageError (3) where a name means several
    clusters, or a run's id the runs of several repositories; InterruptedRunError (130) for a "no".
    """
    seen = await look(world, choice)
    found, dark = seen.found, seen.dark
    _refuse_foreign_runs(found, choice.named)
    going = tuple(left for left in found if left.goes)
    if not choice.delete or not going:
        return GcReport(found, dark, deleted=choice.delete, unsure=seen.unsure)
    _refuse_namesakes(going, choice.named)
    if not confirm(going):
        raise InterruptedRunError("not confirmed; nothing was deleted")
    removed, left = await remove(world, going, choice.named)
    return GcReport(found, dark, removed, left, deleted=True, unsure=seen.unsure)


def _refuse_namesakes(going: tuple[Leftover, ...], named: Named) -> None:
    """A name may be a colleague's too, in another region or account: only a cid says which is meant."""
    cids = sorted({left.cid for left in going if left.cid})
    if named.cluster and named.cluster not in cids and len(cids) > 1:
        raise UsageError(
            f"several clusters are called {named.cluster}: {', '.join(cids)}",
            hint=f"name the one that you mean: --cluster {cids[0]}",
        )


def _refuse_foreign_runs(found: tuple[Leftover, ...], named: Named) -> None:
    """A CI counts its runs per repository (or per instance): without the repository the id may be a colleague's too."""
    repos = repos_of(found, named)
    if len(repos) > 1:
        raise UsageError(
            f"run {named.run} is one of several repositories: {', '.join(r or '(none named)' for r in repos)}",
            hint=f"say which one: --run '{repos[-1]}#{named.run}', or name the cluster (`gc --cluster CID`)",
        )


def name_run(word: str | None, environ: Mapping[str, str], cluster: str | None = None) -> Named:
    """What `--run ID` or `--run REPOSITORY#ID` names; under a CI an id alone is one of its own repository.

    Raises UsageError (3) for a word that names no run.
    """
    if word is None:
        return Named(cluster)
    repo, _, run = word.rpartition("#")
    if not run.strip() or word.startswith("#"):
        raise UsageError(f"--run '{word}' names no run", hint="--run ID, or --run OWNER/REPOSITORY#ID")
    return Named(cluster, as_tag(run), as_tag(repo) or ci_of(environ)[1])


async def look(world: World, choice: GcChoice) -> Surveyed:
    """The survey of every provider that was meant, judged; and the places that could not be looked at.

    Raises as `survey` does for a provider that was named; UsageError (3) for one that sells no machines, AccessError (5)
    where no account at all could be looked at.
    """
    named = parse_provider(choice.provider) if choice.provider else None
    if named and named not in BOUGHT:
        raise UsageError(
            f"provider {named} has no account to look through: its clusters carry no deadline and stand until `down`",
            hint="`sealer-cloud list` shows them, `sealer-cloud down NAME` removes one",
        )
    found: list[Leftover] = []
    dark: list[tuple[str, str]] = []
    unsure: list[str] = []
    seen: set[str] = set()
    blind: list[tuple[str, SealerError]] = []
    world.events(PhaseStarted(Phase.LOOK))
    begun = world.clock.monotonic()
    for provider in [named] if named else list(world.drivers):
        surveys, failed = await _surveys(world, provider, choice)
        if failed and named and not surveys:
            raise failed[0].error
        dark += [(provider, failure.error.message) for failure in failed]
        unsure += [provider for failure in failed if failure.unsure(elsewhere=bool(surveys))]
        blind += [(provider, failure.error) for failure in failed]
        seen |= {provider} if surveys else set()
        for endpoints, survey in surveys:
            judged = judge(provider, survey.resources, world.clock.now(), choice.named)
            found += _spare(world, [replace(left, endpoints=endpoints) for left in judged])
            dark += [(f"{provider} {region}", reason) for region, reason in survey.not_looked_at]
            unsure += [f"{provider} {region}" for region in sorted(survey.unsure)]
    if blind and not seen & set(BOUGHT):  # "nothing found" would be a comfort that nobody has looked for
        raise AccessError(
            "no cloud account could be looked at: " + "; ".join(error.message for _, error in blind),
            hint=no_account(blind),
        )
    world.events(PhaseDone(Phase.LOOK, f"{len(found)} clusters found", world.clock.monotonic() - begun))
    return Surveyed(tuple(found), tuple(dark), tuple(dict.fromkeys(unsure)))


async def _surveys(
    world: World, provider: str, choice: GcChoice
) -> tuple[list[tuple[Endpoints, Survey]], list[Failure]]:
    """A survey of the place that was named; else of the usual one, and of every other that a cluster of this folder is in.

    And why some could not be had.

    What is found in two places is one thing under two addresses: it is told once.
    """
    surveys: list[tuple[Endpoints, Survey]] = []
    failed: list[Failure] = []
    known: set[tuple[object, ...]] = set()
    for endpoints, ours in [(choice.endpoints, False)] if choice.endpoints else _places(world, provider):
        try:
            survey = await _survey(world, provider, choice.regions, endpoints)
        except SealerError as error:
            failed.append(Failure(error, ours))
            continue
        new = tuple(r for r in survey.resources if _identity(r) not in known)
        known |= {_identity(r) for r in new}
        surveys.append((endpoints, replace(survey, resources=new)))
    return surveys, failed


def _identity(found: FoundResource) -> tuple[object, ...]:
    return found.cid, found.kind, found.region, found.id


def _places(world: World, provider: str) -> list[tuple[Endpoints, bool]]:
    """Where the provider's services are: as the variables say it, and (True) as the requests of this folder do."""
    places: dict[tuple[tuple[str, str], ...], tuple[Endpoints, bool]] = {}
    for endpoints, ours in (({}, False), *((said, True) for said in _said(world, provider))):
        meant = tuple(sorted(with_endpoints(world.settings.environ, provider, endpoints).items()))
        places[meant] = (places.get(meant, (endpoints, ours))[0], ours)
    return list(places.values())


def _said(world: World, provider: str) -> Iterator[Endpoints]:
    """A state that does not open must not keep the others from being looked for."""
    names: tuple[ClusterName, ...] = ()
    with contextlib.suppress(SealerError):
        names = tuple(world.engine.names()) if provider in BOUGHT else ()
    for name in names:
        with contextlib.suppress(SealerError):
            stored = world.engine.stored(name)
            if stored and stored.accepted and stored.accepted.provider == provider:
                yield stored.accepted.endpoints


async def _survey(world: World, provider: str, regions: tuple[str, ...], endpoints: Endpoints) -> Survey:
    driver = await asyncio.to_thread(world.driver, provider, endpoints)
    return await asyncio.to_thread(driver.survey, regions)


def _spare(world: World, found: Iterable[Leftover]) -> list[Leftover]:
    """What this state folder knows to be protected stays, whatever was named."""
    return [
        replace(left, fate=Fate.UNKNOWN, why="it is protected") if left.goes and _protected(world, left) else left
        for left in found
    ]


def _protected(world: World, left: Leftover) -> bool:
    if left.cid is None:
        return False
    try:
        stored = world.engine.stored(name_of(left.cid))
    except PreconditionError:
        return False
    return bool(stored and stored.cid == left.cid and stored.accepted and stored.accepted.protect)


async def remove(world: World, going: Iterable[Leftover], named: Named) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sweep each cluster by its cid and look again: (removed, still left). One that fails does not stop the others."""
    removed: list[str] = []
    left: list[str] = []
    for leftover in going:
        if leftover.cid is None:
            continue
        try:
            gone, stays = await _remove_one(world, leftover, leftover.cid, named)
        except InterruptedRunError:
            raise
        except SealerError as error:
            left.append(f"{leftover.cid}: {error.message}")
            continue
        removed += [f"{leftover.cid}: {line}" for line in gone]
        left += [f"{leftover.cid}: {line}" for line in stays]
    return tuple(removed), tuple(left)


async def _remove_one(
    world: World, leftover: Leftover, cid: ClusterId, named: Named
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Under the run lock of that name: a run of ours may be at work on it."""
    world.stop.check("gc")
    name = name_of(cid)
    begun = world.clock.monotonic()
    async with hops.holding(world, name, "gc", 0.0):
        if why := await _spared_since(world, leftover, named):
            world.events(Warned(f"{cid} stays: {why}"))
            return (), ()
        driver = world.driver(leftover.provider, leftover.endpoints)
        world.events(PhaseStarted(Phase.REMOVE))
        driver.within(tuple(sorted({r.region for r in leftover.resources})))
        gone, left = await asyncio.to_thread(_sweep, driver, cid)
        world.events(PhaseDone(Phase.REMOVE, f"{cid}: {len(gone)} things", world.clock.monotonic() - begun))
        if not left:
            await _forget(world, name, cid)
    return gone, left


def _sweep(driver: Driver, cid: ClusterId) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What went and what is left, by its ids; of what was refused the reason stands first. Raises where no look says."""
    try:
        return driver.sweep(cid), driver.leftovers(cid)
    except SealerError as error:
        left = driver.leftovers(cid)
        return (), (error.message, *left) if left else ()


async def _spared_since(world: World, leftover: Leftover, named: Named) -> str:
    """Why it may not go any more: a person may have read for an hour, and its deadline been moved meanwhile.

    Raises ProviderError (6) where a region that it is in cannot be looked at any more: nobody knows then.
    """
    regions = tuple(sorted({r.region for r in leftover.resources}))
    survey = await _survey(world, leftover.provider, regions, leftover.endpoints)
    if survey.not_looked_at:
        dark = "; ".join(f"{region}: {reason}" for region, reason in survey.not_looked_at)
        raise ProviderError(f"it was not looked at once more: {dark}", hint="run the same command again")
    found = judge(leftover.provider, survey.resources, world.clock.now(), named)
    return next((now.why for now in _spare(world, found) if now.cid == leftover.cid and not now.goes), "")


async def _forget(world: World, name: ClusterName, cid: ClusterId) -> None:
    """A state that knew just this cluster is over; it is kept aside. Another cluster of that name keeps its own."""
    try:
        stored = world.engine.stored(name)
        if stored is not None and stored.cid == cid:
            await world.engine.forget(name, aside=True)
    except SealerError as error:
        world.events(Warned(f"{cid} is gone, its state is not: {error.message}", error.hint))
