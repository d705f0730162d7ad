"""The first half of `up` and all of `plan`: from words to a plan that a person can confirm. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner import stage2
from provisioner.apply.inputs import PlanInputs
from provisioner.errors import PreconditionError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Driver, Program
from provisioner.model.engine import Previewed, StackState
from provisioner.model.facts import FactMap
from provisioner.model.hosts import ClusterKeys, Inventory, to_inventory
from provisioner.model.ids import ClusterId, ClusterName, HostName, RunId, new_cid, new_run_id
from provisioner.model.images import Changeset, PinnedImage
from provisioner.model.intent import accept_request, resolve_request
from provisioner.model.plan import Plan
from provisioner.model.planhash import plan_hash
from provisioner.model.request import Clusterfile, UpArgs, UpRequest
from provisioner.model.secret import Value
from provisioner.settings import resolve_values
from provisioner.transport.hostset import HostSet
from provisioner.world import UpChoice, World


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted, pinned: the request, the image by digest, and the stack it meets (None: a new cluster)."""

    request: UpRequest
    stored: StackState | None
    image: PinnedImage
    changeset: Changeset
    accepted: Accepted
    values: Mapping[str, Value]
    pool_values: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A wish with its plan, and what the second half goes on with. `hosts` stays open for it."""

    wish: Wish
    cid: ClusterId
    run: RunId
    program: Program
    previewed: Previewed
    inputs: PlanInputs
    hosts: HostSet
    plan: Plan


async def make_wish(world: World, args: UpArgs, files: Clusterfile, cluster: ClusterName) -> Wish:
    """Merge words, files and the stored intent; pin the image; name the hosts; resolve references.

    Raises UsageError (3), ImageError (4), AccessError (5), PreconditionError (12).
    """
    stored = world.engine.stored(cluster)
    before = stored.accepted if stored else None
    request = resolve_request(args, files, before)
    image = await asyncio.to_thread(world.images.resolve, request.image)
    changeset = await asyncio.to_thread(world.images.changeset, image)
    accepted = accept_request(request, image, before)
    return Wish(
        request=request,
        stored=stored,
        image=image,
        changeset=changeset,
        accepted=accepted,
        values=resolve_values(accepted.env, world.settings.environ),
        pool_values={p.name: resolve_values(p.env, world.settings.environ) for p in accepted.pools},
    )


def check_machine(driver: Driver) -> None:
    """Refuse, before anything is made, a machine that cannot serve the provider. Raises PreconditionError (12)."""
    lacks = [c for c in driver.check() if not c.ok]
    if lacks:
        raise PreconditionError(
            f"provider {driver.name} cannot work here: " + "; ".join(f"{c.name}: {c.detail}" for c in lacks),
            hint="; ".join(dict.fromkeys(c.hint for c in lacks if c.hint)),
        )


def choose_cid(world: World, wish: Wish, driver: Driver) -> ClusterId:
    """The stored cid, else a new one. Machines of this name without state are somebody's: refused (3)."""
    if wish.stored and wish.stored.cid:
        return wish.stored.cid
    name = ClusterName(wish.accepted.cluster)
    strangers = driver.find(name)
    if strangers:
        raise UsageError(
            f"{name} is already on this machine as {', '.join(f.cid for f in strangers)}, but its state is not here",
            hint=f"remove it with `sealer-cloud down {name} --provider {driver.name}`, or take another --name",
        )
    return new_cid(name, world.random)


async def make_draft(world: World, wish: Wish, choice: UpChoice) -> Draft:
    """Preview stage 1 while the existing hosts are read; plan stage 2 with what is known; hash both."""
    driver = world.driver(wish.accepted.provider)
    check_machine(driver)
    spec = driver.parse_spec(wish.accepted)
    cid = choose_cid(world, wish, driver)
    run = new_run_id(world.clock.now(), world.random)
    program = _program(driver, spec, wish.accepted, cid, run)
    keys = await world.engine.keys(ClusterName(wish.accepted.cluster)) if wish.stored else None
    reading = asyncio.create_task(_read_existing(world, wish, cid, keys))
    try:
        previewed = await world.engine.preview(ClusterName(wish.accepted.cluster), cid, program, world.events)
        hosts, facts = await reading
    except BaseException:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        raise
    inputs = _plan_inputs(wish, choice, cid, previewed, facts, keys)
    return Draft(wish, cid, run, program, previewed, inputs, hosts, _joint_plan(wish, cid, previewed, inputs))


def deleted_hosts(draft: Draft) -> tuple[str, ...]:
    """Hosts whose machine the plan deletes or replaces, by name: what the question and --allow-delete are about."""
    changes = (*draft.previewed.plan.delete, *draft.previewed.plan.replace)
    return tuple(c.name for c in changes if c.type.endswith(":Host"))
