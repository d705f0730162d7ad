"""The hops of `down`: find what there is (by state, else by looking), say goodbye, destroy, sweep, look."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from provisioner import operator, stage2
from provisioner.access import env_source, known_image
from provisioner.apply.context import RunContext
from provisioner.apply.distribute import Archives
from provisioner.apply.env import Phase as Why
from provisioner.apply.facts import Reading
from provisioner.apply.output import Masker
from provisioner.draft import author_of, check_machine, secrets_of
from provisioner.errors import AccessError, PreconditionError, ProviderError, SealerError, UsageError, worst_of
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.finding import look_for
from provisioner.machines import found_by_tag
from provisioner.model.accepted import Accepted
from provisioner.model.driver import STAYING, Driver, FoundCluster
from provisioner.model.engine import StackState
from provisioner.model.grammar import BOUGHT
from provisioner.model.hosts import Inventory
from provisioner.model.ids import ClusterId, ClusterName, new_run_id, parse_digest
from provisioner.model.images import Changeset, PinnedImage
from provisioner.model.report import DownReport
from provisioner.model.site import Site, removal_words
from provisioner.transport.hostset import open_hosts
from provisioner.world import DownPlan, World


@dataclass(frozen=True, slots=True)
class Target:
    """What `down` works on: a stack's state, or a cluster found by looking (`stored` None)."""

    plan: DownPlan
    stored: StackState | None
    cids: tuple[ClusterId, ...]
    """Every cid to sweep: one, but after a `--replace` that was cut."""
    regions: tuple[str, ...] = ()
    """Where a look saw it; empty where the state knows, or where there are no regions."""
    said: Mapping[str, str] = field(default_factory=dict)
    """Endpoints that a file says, for a cluster without a stored request."""

    @property
    def accepted(self) -> Accepted | None:
        """The stored request, where the stack got that far."""
        return self.stored.accepted if self.stored else None

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Where its cloud's services are."""
        return self.accepted.endpoints if self.accepted else self.said


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no such cluster in these places."""

    where: tuple[str, ...]


async def find_target(world: World, name: ClusterName, site: Site) -> Target | Nothing:
    """The cluster by its state; by looking at the site where there is none, or where it does not know the machines.

    Raises UsageError (3): protected, another provider, region or endpoints, several of that name; PreconditionError (12)
    a broken state and no provider named.
    """
    provider = site.provider
    try:
        stored = world.engine.stored(name)
    except PreconditionError as error:
        if provider in STAYING:  # nobody else knows which machines they were
            raise
        if provider is None:
            more = f"`sealer-cloud down {name} --provider local` removes by looking alone"
            error.hint = f"{error.hint}; {more}" if error.hint else more
            raise
        world.events(Warned(f"{error.message}; removing by looking alone"))
        stored = None
    if stored is None:
        found, where = await _look_for(world, name, site)
        if found and provider is None:
            raise _whose(found)
        if not found:
            return Nothing(where)
        return Target(_plan_by_look(found), None, (found.cid,), found.regions, site.endpoints)
    plan = _plan_of(name, stored, site)
    if plan.cid is not None:
        return Target(plan, stored, tuple(dict.fromkeys((plan.cid, *stored.cids))))
    # Its Intent is gone, or was never made: a cut run may still have left machines.
    asked = stored.accepted
    site = Site(asked.provider, asked.region, asked.endpoints) if asked else site
    found, _ = await _look_for(world, name, site)
    # On this machine `up` has looked for that name before it began; of an account it looks at one region alone.
    if found and site.provider is None and found.provider in BOUGHT and found.cid not in stored.cids:
        raise _whose(found)
    plan = replace(plan, provider=found.provider) if found else plan
    cids = tuple(dict.fromkeys((*((found.cid,) if found else ()), *stored.cids)))
    plan = replace(plan, cid=cids[0] if cids else None, hosts=found.hosts if found else ())
    return Target(plan, stored, cids, found.regions if found else site.regions, site.endpoints)


def _whose(found: FoundCluster) -> UsageError:
    """A name alone may be a colleague's cluster, of another state folder: whoever wants it gone says where it is."""
    return UsageError(
        f"this state folder knows no cluster {found.name}, but {found.provider} has {found.cid}",
        hint=f"if that is the one you mean: sealer-cloud down {found.name} --provider {found.provider}, or take it over: "
        f"sealer-cloud adopt {found.name} --provider {found.provider}",
    )


def _plan_by_look(found: FoundCluster) -> DownPlan:
    return DownPlan(found.name, found.cid, found.provider, "", found.hosts, without_state=True)


def _plan_of(name: ClusterName, stored: StackState, site: Site) -> DownPlan:
    accepted = stored.accepted
    if accepted and accepted.protect:
        raise UsageError(f"{name} is protected", hint="set `protect: false` in its Infra document and run `up` first")
    if accepted:
        _demand_same(name, accepted, site)
    return DownPlan(
        cluster=name,
        cid=stored.cid,
        provider=accepted.provider if accepted else site.provider or "local",
        image=accepted.image.reference if accepted else "",
        hosts=tuple(h.name for h in stored.inventory.hosts) if stored.inventory else (),
        without_state=False,
    )


def _demand_same(name: ClusterName, accepted: Accepted, site: Site) -> None:
    """A state that is here says where its cluster is: elsewhere all of it would look gone. Raises UsageError (3)."""
    if site.provider and site.provider != accepted.provider:
        raise UsageError(
            f"{name} is on provider {accepted.provider}, not {site.provider}",
            hint=f"`sealer-cloud down {name}` alone finds it",
        )
    if site.region and accepted.region and site.region != accepted.region:
        what = f"{name} is in region {accepted.region}, and the file says {site.region}"
        raise UsageError(what, hint="leave -f out: its state is here, and knows where it is")
    if site.endpoints and dict(site.endpoints) != dict(accepted.endpoints):
        raise UsageError(
            f"{name} was made with {_shown(accepted.endpoints)}, and the file says {_shown(site.endpoints)}",
            hint="leave -f out: its state is here; `up -f FILE` is what changes its endpoints",
        )


def _shown(endpoints: Mapping[str, str]) -> str:
    return "endpoints " + ", ".join(f"{k}: {v}" for k, v in sorted(endpoints.items())) if endpoints else "no endpoints"


async def _look_for(world: World, name: ClusterName, site: Site) -> tuple[FoundCluster | None, tuple[str, ...]]:
    """The one of that name, and where was looked. Raises UsageError (3) for several."""
    looked = await look_for(world, name, site)
    if len(looked.found) > 1:
        cids = [found.cid for found in looked.found]
        raise UsageError(
            f"several clusters are called {name}: {', '.join(cids)}",
            hint=f"name the one that you mean: {removal_words(name, looked.found[0].provider, site.files, cids)}",
        )
    return looked.found[0] if looked.found else None, looked.where


async def with_strangers(world: World, target: Target, *, unasked: bool) -> Target:
    """The target with what stands in the cluster's networks and is not of it, looked for before anything is changed.

    `unasked` True where nobody will read the plan (`--yes`): then such things stop it. Raises UsageError (3).
    """
    driver = _driver_of(world, target)
    region = target.accepted.region if target.accepted else None
    try:
        found = [line for cid in target.cids for line in await asyncio.to_thread(driver.strangers, region, cid)]
    except SealerError as error:
        world.events(Warned(f"nobody looked for foreign machines in its network: {error.message}", error.hint))
        return target
    if found and unasked:
        raise UsageError(
            f"what is not of {target.plan.cluster} stands in its network: {'; '.join(found)}",
            hint="remove or move it first; or run it without --yes: its own machines go then, and the network is left",
        )
    return replace(target, plan=replace(target.plan, strangers=tuple(found)))


async def demand_account(world: World, target: Target) -> None:
    """Refuse credentials that do not work, or are of another account than the cluster's: to them all of it looks gone.

    An engine that is told "not found" at each delete forgets machines that stand. Raises AccessError (5),
    PreconditionError (12).
    """
    if target.accepted is None or not target.accepted.placement:
        return
    driver = world.driver(target.plan.provider, target.accepted.endpoints)
    spec = driver.parse_spec(target.accepted)
    await asyncio.to_thread(check_machine, driver, spec, standing=True)


def nothing_found(world: World, name: ClusterName, nothing: Nothing, begun: float) -> DownReport:
    """The report of a `down` that found nothing: what was looked through stands in it."""
    return DownReport(name, None, ", ".join(nothing.where), (), (), (), world.clock.monotonic() - begun)


async def say_goodbye(world: World, target: Target) -> None:
    """Run the image's remove.sh where a master answers; whatever goes wrong is a warning, the machines go anyway."""
    stored, accepted = target.stored, target.accepted
    if stored is None or accepted is None or stored.inventory is None or stored.cid is None:
        return
    try:
        if not await asyncio.to_thread(_has_hook, world, accepted):
            return
        async with asyncio.timeout(stage2.REMOVE_SECONDS + 30):
            await operator.let_in(world, stored)
            await _run_remove_hook(world, accepted, stored.inventory, stored.cid)
    except (SealerError, TimeoutError) as error:
        text = error.message if isinstance(error, SealerError) else "it took too long"
        world.events(Warned(f"the removal hook was not run: {text}"))


async def _run_remove_hook(world: World, accepted: Accepted, inventory: Inventory, cid: ClusterId) -> None:
    keys = await world.engine.keys(ClusterName(accepted.cluster))
    if keys is None:
        return
    paths = stage2.host_paths(accepted, cid)
    async with await open_hosts(inventory, keys, world.connect, world.clock, patience=0) as hosts:
        source = env_source(world, accepted)
        facts = await stage2.read_hosts(hosts, Reading(paths))
        context = leaving_context(world, accepted, cid, source)
        await stage2.remove_hooks(hosts, facts, stage2.look_envs(source, inventory, Why.LEAVE), context)


def _has_hook(world: World, accepted: Accepted) -> bool:
    """True if the image has the script; where the store has the image no more, it is tried."""
    image = known_image(world, accepted)
    return image is None or stage2.REMOVE in world.images.changeset(image).texts


def leaving_context(world: World, accepted: Accepted, cid: ClusterId, source: stage2.EnvSource) -> RunContext:
    """What running scripts on the way out needs."""
    digest = parse_digest(accepted.image.digest)
    image = PinnedImage(accepted.image.reference, accepted.image.repository, digest, "", {}, {}, (), (), 0)
    run = new_run_id(world.clock.now(), world.random)
    return RunContext(
        author=author_of(world, run, cid),
        paths=stage2.host_paths(accepted, cid),
        facts={},
        archives=Archives(world.images, image, Changeset(digest, (), {}, 0)),  # nothing is laid on the way out
        masker=Masker(secrets_of(source.values, *source.pool_values.values())),
        clock=world.clock,
        events=world.events,
        stop=world.stop,
        resume=f"sealer-cloud down {accepted.cluster}",
    )


async def destroy(world: World, target: Target, *, named: bool) -> tuple[str, ...]:
    """Have the engine delete what it knows; returns what it could not delete.

    A state that does not open (its passphrase is lost) is passed over where the provider is `named`: looking finds the
    machines too. Raises AccessError (5) where it is not.
    """
    if target.stored is None:
        return ()
    begun = world.clock.monotonic()
    world.events(PhaseStarted(Phase.REMOVE, len(target.plan.hosts)))
    try:
        driver = _driver_of(world, target)
        needs = await asyncio.to_thread(driver.needs)
        await _end_orphans(world, driver, target.stored)
        result = await world.engine.destroy(target.plan.cluster, world.events, needs)
    except AccessError as error:
        if not named:
            command = f"`sealer-cloud down {target.plan.cluster} --provider {target.plan.provider}`"
            error.hint = f"{error.hint}; {command} removes by looking alone"
            raise
        world.events(Warned(f"{error.message}; removing by looking alone"))
        return ("the state could not be opened",)
    text = f"{len(result.deleted)} resources deleted"
    world.events(PhaseDone(Phase.REMOVE, text, world.clock.monotonic() - begun))
    return tuple(f"{c.type} {c.name}: {c.detail}".rstrip(": ") for c in result.failed)


def _driver_of(world: World, target: Target) -> Driver:
    """The driver, told of the request that stands: so it looks where the cluster is, and cannot say "gone" without.

    Without a request it looks wherever the account may.
    """
    driver = world.driver(target.plan.provider, target.endpoints)
    driver.within(target.regions)
    if target.accepted is not None:
        with contextlib.suppress(SealerError):  # half made: its region is known even so, where one was named
            driver.parse_spec(target.accepted)
    return driver


async def _end_orphans(world: World, driver: Driver, stored: StackState) -> None:
    """After a cut create: a machine that the state does not know would hold its network, and the engine wait for it."""
    if stored.cid is None or not any(line.startswith("creating ") for line in stored.pending):
        return
    try:
        found = await found_by_tag(world, driver, stored)
        what = ", ".join(f"{host} ({machine})" for host, machine in found.items())
        text = f"the state does not know {what}" if found else ""
    except ProviderError as error:  # a host that stands twice: whoever goes on with it must know which, we need not
        text = error.message
    if text:
        world.events(Warned(f"{text}: all machines are removed by their tags"))
        await asyncio.to_thread(driver.sweep, stored.cid)


async def sweep(world: World, target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Look from outside, remove what is left by cid alone, look again: (removed, still left)."""
    driver = _driver_of(world, target)
    begun = world.clock.monotonic()
    world.events(PhaseStarted(Phase.LOOK))
    swept: list[str] = []
    refused: list[SealerError] = []
    for cid in target.cids:
        try:
            swept += await asyncio.to_thread(driver.sweep, cid)
        except SealerError as error:
            refused.append(error)
    left = tuple([line for cid in target.cids for line in await asyncio.to_thread(driver.leftovers, cid)])
    if refused:
        _tell_refusal(world, target, worst_of(refused), left)
    text = f"{len(left)} things left" if left else "nothing left"
    world.events(PhaseDone(Phase.LOOK, text, world.clock.monotonic() - begun))
    if target.stored is None:
        return tuple(swept), left
    still = await _standing(driver, target) if left else frozenset()
    return tuple(f"host {name}" for name in target.plan.hosts if name not in still), left


async def _standing(driver: Driver, target: Target) -> frozenset[str]:
    """The hosts that the state knew and a look still finds; all of them where nobody can look: none is gone then."""
    found: set[str] = set()
    try:
        for cid in target.cids:
            found |= {machine.host for machine in await asyncio.to_thread(driver.inspect, cid)}
    except SealerError:
        return frozenset(target.plan.hosts)
    return frozenset(found)


def _tell_refusal(world: World, target: Target, error: SealerError, left: tuple[str, ...]) -> None:
    """What could not be removed is left, each thing by its id; where nothing is, another's delete was just quicker.

    Raises AccessError (5) with the ids: whoever may not delete hears that first.
    """
    if isinstance(error, AccessError):
        told = f"; left: {', '.join(left)}" if left else ""
        raise type(error)(f"{error.message}{told}", hint=error.hint, evidence=error.evidence) from error
    if left:
        world.events(Warned(error.message, error.hint or f"run `sealer-cloud down {target.plan.cluster}` again"))


def to_report(
    world: World, target: Target, removed: tuple[str, ...], left: tuple[str, ...], begun: float
) -> DownReport:
    """The last value of `down`."""
    plan = target.plan
    seconds = world.clock.monotonic() - begun
    kept = tuple(k for k in plan.data if k.linked or not plan.delete_data)
    return DownReport(plan.cluster, plan.cid, plan.provider, removed, left, (), seconds, kept)
