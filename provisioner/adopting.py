"""`adopt`: the state of a cluster is lost and its machines live; they are taken over as they are.

What is not in any state is read back from where it still is: who the hosts are from disks, tags or the inventory, what
was accepted and the key of the ledgers from what the masters keep. Then an ordinary run of the engine writes the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from provisioner import hops
from provisioner.adoptways import AdoptArgs, Taken, Way, way_of
from provisioner.busy import ride_out
from provisioner.draft import check_machine
from provisioner.errors import InterruptedRunError, PreconditionError, UsageError
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.infra.outputs import keys_to_json
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import ByTags
from provisioner.model.driver import Driver, Marks, Program
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost, StackOutputs
from provisioner.model.ids import ClusterId, ClusterName, new_run_id
from provisioner.model.refs import parse_ref
from provisioner.model.request import Clusterfile
from provisioner.model.secret import Secret
from provisioner.model.words import parse_provider
from provisioner.world import World
from stacks.program import Standing, build_adoption, build_program

__all__ = ["AdoptArgs", "AdoptPlan", "AdoptReport", "adopt"]


@dataclass(frozen=True, slots=True)
class AdoptPlan:
    """What will be taken over, for the question. `references` are what later runs will read on this machine for it."""

    cluster: ClusterName
    cid: ClusterId
    provider: str
    image: str
    hosts: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What `adopt` ends with; `cid` None: nothing was found there."""

    cluster: ClusterName
    cid: ClusterId | None
    provider: str
    image_reference: str = ""
    image_digest: str = ""
    hosts: tuple[InventoryHost, ...] = ()
    seconds: float = 0.0


ConfirmAdopt = Callable[[AdoptPlan], bool]


async def adopt(world: World, args: AdoptArgs, files: Clusterfile, confirm: ConfirmAdopt) -> AdoptReport:
    """Take over the cluster of that name; nothing on its machines is made, replaced or restarted.

    Raises UsageError (3): a state that is there, several clusters of that name, a machine that is missing, nothing that
    tells the request; AccessError (5) keys or credentials, HostError (7), LockedError (10), InterruptedRunError (130).
    """
    begun = world.clock.monotonic()
    provider = parse_provider(args.provider)
    async with hops.holding(world, args.name, "adopt", 0.0):
        endpoints = files.infra.endpoints if files.infra else {}
        driver = await asyncio.to_thread(world.driver, provider, endpoints)
        half = _demand_lost(world, args.name, driver)
        await hops.repair(world, args.name)
        way = way_of(world, driver, args, files, half)
        cid = _one_of(args, provider, await way.cids())
        if cid is None:
            return AdoptReport(args.name, None, provider, seconds=world.clock.monotonic() - begun)
        taken = await way.take(cid)
        _demand_endpoints(taken.accepted, endpoints)
        spec = await asyncio.to_thread(_checked, driver, taken.accepted)
        if not confirm(_plan_of(taken, provider)):
            raise InterruptedRunError("not confirmed; nothing was changed")
        outputs = await _take_over(world, driver, spec, taken, way)
        return _report(taken.accepted, outputs, provider, world.clock.monotonic() - begun)


def _demand_lost(world: World, name: ClusterName, driver: Driver) -> Inventory | None:
    """A state that knows its cluster is no lost one. One that was only begun knows nothing: it is taken up.

    Where a cloud's cluster was adopted in part, what is known of it: an `up` would buy the rest. Raises UsageError (3).
    """
    stored = world.engine.stored(name)
    if stored is None or stored.accepted is None or stored.cid is None:
        return None
    known = {host.name for host in stored.inventory.hosts} if stored.inventory else set()
    cut = any(host.name not in known for host in stored.accepted.wanted)
    if cut and isinstance(driver, ByTags) and stored.accepted.provider == driver.name:
        return stored.inventory or Inventory(name, stored.cid, ())
    raise UsageError(
        f"the state of {name} is not lost: this state folder knows it as {stored.cid}",
        hint=f"`sealer-cloud up -n {name}` {'goes on where a run was cut' if cut else 'works on it'}",
    )


def _one_of(args: AdoptArgs, provider: str, cids: tuple[ClusterId, ...]) -> ClusterId | None:
    """The one that is meant. Raises UsageError (3) for several, and for one that is not among them."""
    if args.cid is not None:
        if args.cid not in cids:
            there = f"; there is {', '.join(cids)}" if cids else ""
            raise UsageError(
                f"nothing of {args.cid} is found in {provider}{there}",
                hint=f"check --cluster-id{f': {cids[0]}' if cids else ''}",
            )
        return ClusterId(args.cid)
    if len(cids) > 1:
        raise UsageError(
            f"several clusters are called {args.name}: {', '.join(cids)}",
            hint=f"name the one that you mean: --cluster-id {cids[0]}",
        )
    return cids[0] if cids else None


def _demand_endpoints(accepted: Accepted, endpoints: Mapping[str, str]) -> None:
    """A host's word alone shall not say where our credentials are used. Raises UsageError (3)."""
    if accepted.endpoints and dict(accepted.endpoints) != dict(endpoints):
        raise UsageError(
            "the cluster was made with endpoints of its own: " + ", ".join(map(str, accepted.endpoints.values())),
            hint="name them yourself: -f a file whose Infra document has them",
        )


def _checked(driver: Driver, accepted: Accepted) -> object:
    spec = driver.parse_spec(accepted)
    check_machine(driver, spec, standing=True)
    return spec


def _plan_of(taken: Taken, provider: str) -> AdoptPlan:
    accepted = taken.accepted
    envs = (accepted.env, *(pool.env for pool in accepted.pools))
    references = [value for env in envs for value in env.values() if parse_ref(value)]
    return AdoptPlan(
        cluster=ClusterName(accepted.cluster),
        cid=taken.cid,
        provider=provider,
        image=accepted.image.reference,
        hosts=tuple(host.name for host in accepted.hosts),
        references=tuple(dict.fromkeys(references)),
    )


async def _take_over(world: World, driver: Driver, spec: object, taken: Taken, way: Way) -> StackOutputs:
    begun = world.clock.monotonic()
    count = len(taken.accepted.hosts)
    world.events(PhaseStarted(Phase.MACHINES, count))
    needs = await asyncio.to_thread(driver.needs)
    world.engine.demand()  # before any host is changed: it would take the new key for nothing
    login = await way.login(taken)
    keys = ClusterKeys(login.private, login.public, taken.hmac) if login else ClusterKeys(Secret(""), "", taken.hmac)
    given = {key: value for key, value in keys_to_json(keys).items() if value}
    run = new_run_id(world.clock.now(), world.random)
    # As its resources are tagged: an import takes them as they are, or not at all.
    marks = Marks(taken.cid, run, taken.accepted.expires_at, taken.ci_run, taken.repo)
    cluster = ClusterName(taken.accepted.cluster)
    still = partial(check_machine, driver, spec, standing=True)

    async def run_engine(program: Program) -> StackOutputs:
        up = partial(world.engine.up, cluster, taken.cid, program, world.events, needs, still=still)
        return await ride_out(world, up)

    try:
        outputs = await run_engine(build_adoption(driver, spec, taken.accepted, marks, Standing(taken.adopt, given)))
        if taken.adopt:  # what is imported by one run is an ordinary resource for the next
            outputs = await run_engine(build_program(driver, spec, taken.accepted, marks))
    except BaseException:
        world.events(Warned(f"{cluster} is taken over in part", way.go_on(taken)))
        raise
    missing = [h.name for h in taken.accepted.wanted if h.name not in {m.name for m in outputs.hosts}]
    if missing:
        raise PreconditionError(f"stage 1 ended without {', '.join(missing)}", hint=way.go_on(taken))
    world.events(PhaseDone(Phase.MACHINES, f"{count} of {count} taken over", world.clock.monotonic() - begun))
    return outputs


def _report(accepted: Accepted, outputs: StackOutputs, provider: str, seconds: float) -> AdoptReport:
    machines = {host.name: host for host in outputs.hosts}
    return AdoptReport(
        cluster=ClusterName(accepted.cluster),
        cid=outputs.cid,
        provider=provider,
        image_reference=accepted.image.reference,
        image_digest=accepted.image.digest,
        hosts=tuple(machines[host.name] for host in accepted.wanted),
        seconds=seconds,
    )
