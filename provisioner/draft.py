"""The first half of `up` and all of `plan`: from words to a plan that a person can confirm. Changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioner import __version__, operator, stage2
from provisioner.apply.context import RunContext
from provisioner.apply.contract import commands_of
from provisioner.apply.distribute import Archives
from provisioner.apply.facts import Reading
from provisioner.apply.inputs import PlanInputs
from provisioner.apply.output import Masker
from provisioner.apply.plan import plan_apply
from provisioner.apply.preflight import parse_requires
from provisioner.apply.wire import Author
from provisioner.busy import ride_out
from provisioner.errors import AccessError, PreconditionError, ProviderError, UsageError
from provisioner.events import Phase, PhaseDone, PhaseStarted
from provisioner.failpoints import arm_failpoint, no_failpoint
from provisioner.infra.workdir import throwaway
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Choice, Driver, Marks
from provisioner.model.engine import Previewed, StackState
from provisioner.model.facts import FactMap, HostFacts
from provisioner.model.failover import price_of
from provisioner.model.grammar import BOUGHT
from provisioner.model.hosts import NO_KEYS, ClusterKeys, Inventory
from provisioner.model.ids import ClusterId, ClusterName, HostName, RunId, new_cid, new_run_id
from provisioner.model.images import Changeset, PinnedImage
from provisioner.model.intent import accept_request, changed_parts, resolve_request
from provisioner.model.plan import ApplyPlan, InfraPlan, Plan, is_machine
from provisioner.model.planhash import plan_hash
from provisioner.model.request import Clusterfile, UpArgs, UpRequest
from provisioner.model.secret import Secret, Value
from provisioner.model.settle import Folders, settle_logins
from provisioner.model.site import removal_words, site_words
from provisioner.placing import demand_price, demand_time, marks_of, place, with_starts
from provisioner.replacing import demand_new_machines, demand_other_machines, is_another, is_standing
from provisioner.settings import resolve_values, with_absolute_files
from provisioner.together import together
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import UpChoice, World
from stacks.program import build_program

_OWN_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


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
    files: tuple[str, ...] = ()
    """As in `Clusterfile`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A wish with its plan, and what the second half goes on with: open connections, and how to end it all."""

    wish: Wish
    cid: ClusterId
    run: RunId
    driver: Driver
    marks: Marks
    choice: Choice
    previewed: Previewed
    inputs: PlanInputs
    hosts: HostSet
    context: RunContext
    plan: Plan
    undo: AsyncExitStack

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.undo.aclose()


async def make_wish(world: World, args: UpArgs, files: Clusterfile, cluster: ClusterName) -> Wish:
    """Merge words, files and the stored intent; pin the image; name the hosts; resolve references.

    Raises UsageError (3), ImageError (4), AccessError (5), PreconditionError (12).
    """
    stored = world.engine.stored(cluster)
    before = stored.accepted if stored else None
    now = world.clock.now()
    asked = _with_region(resolve_request(args, files, before, now=now, ci=world.settings.ci), world)
    request = settle_request(asked, world)
    image = await asyncio.to_thread(world.images.resolve, request.image)
    changeset = await asyncio.to_thread(world.images.changeset, image)
    wish = Wish(request, stored, image, changeset, accept_request(request, image, before, now=now), {}, {}, files.files)
    if is_another(wish):  # nothing of the old cluster stands in the new one's request, not even its host names
        wish = replace(wish, accepted=accept_request(request, image, None, now=now))
    environ = world.settings.environ
    return replace(
        wish,
        values=resolve_values(wish.accepted.env, environ),
        pool_values={p.name: resolve_values(p.env, environ) for p in wish.accepted.pools},
    )


def _with_region(request: UpRequest, world: World) -> UpRequest:
    """A cloud's request that names no region means the one of the user's own settings; from then on it is stored."""
    if request.region is not None or request.provider not in BOUGHT:
        return request
    return replace(request, region=world.driver(request.provider).region())


def settle_request(request: UpRequest, world: World) -> UpRequest:
    """The request with all its paths absolute, as the folder and the user of this run mean them."""
    return settle_logins(settle_files(request, _here()), user_folders(_here(), world.settings.environ))


def _here() -> Path:
    """The folder that relative paths mean. Raises UsageError where it was removed under us."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError("the folder that this was started in is gone", hint="cd to one that is there") from error


def settle_files(request: UpRequest, base: Path) -> UpRequest:
    """A later command resolves the stored references again, from whatever folder: they are made absolute here."""
    pools = tuple(replace(pool, env=with_absolute_files(pool.env, base)) for pool in request.pools)
    return replace(request, env=with_absolute_files(request.env, base), pools=pools)


def user_folders(base: Path, environ: Mapping[str, str]) -> Folders:
    """What paths of logins mean for this user, and the first of the keys that `ssh` itself would try."""
    home = Path(environ.get("HOME") or Path.home())
    keys = [path for name in _OWN_KEYS if (path := home / ".ssh" / name).is_file()]
    return Folders(str(base), str(home), str(keys[0]) if keys else None)


def check_machine(driver: Driver, spec: object, *, standing: bool) -> None:
    """Refuse, before anything is made, a machine that cannot serve the provider.

    Raises by the lowest cause: AccessError (5) for credentials, ProviderError (6) where the provider does not answer,
    PreconditionError (12). What only new machines need is not asked for where the cluster stands: a run that changes
    nothing must not need it.
    """
    lacks = [c for c in driver.check(spec, standing=standing) if not c.ok]
    if lacks:
        causes = [AccessError if c.access else ProviderError if c.refused else PreconditionError for c in lacks]
        raise min(causes, key=lambda kind: kind.exit_code)(
            f"provider {driver.name} cannot work here: " + "; ".join(f"{c.name}: {c.detail}" for c in lacks),
            hint="; ".join(dict.fromkeys(c.hint for c in lacks if c.hint)),
        )


def choose_cid(world: World, wish: Wish, driver: Driver) -> ClusterId:
    """The stored cid; a new one for a new cluster, and for another cluster that takes the name over (--replace).

    Machines of this name without state are somebody's, on this machine or in the account: refused (3).
    """
    if wish.stored and wish.stored.cid:
        return wish.stored.cid if is_standing(wish) else new_cid(ClusterName(wish.accepted.cluster), world.random)
    name = ClusterName(wish.accepted.cluster)
    # A cluster lives in one region, and this one would be there: an account has dozens of others.
    strangers = driver.find(name, (wish.accepted.region,) if wish.accepted.region else ())
    if strangers:
        where, cids = site_words(driver.name, wish.files), [f.cid for f in strangers]
        which = f" --cluster-id {cids[0]}" if len(cids) > 1 else ""
        remove = removal_words(name, driver.name, wish.files, cids)
        raise UsageError(
            f"{name} stands already on {driver.name} as {', '.join(cids)}, but its state is not here",
            hint=f"take it over with `sealer-cloud adopt {name} {where}{which}`, remove it with `{remove}`, "
            "or take another --name",
        )
    return new_cid(name, world.random)


async def make_draft(world: World, wish: Wish, choice: UpChoice, *, acting: bool) -> Draft:
    """Preview stage 1 while the existing hosts are read; plan stage 2 with what is known; hash both.

    `acting` (with the run lock held): what an earlier run left running on the hosts is waited for and recorded first.
    """
    demand_other_machines(wish)
    begun = world.clock.monotonic()
    world.events(PhaseStarted(Phase.PLAN))  # before the account is asked, which may take its time to answer
    driver = world.driver(wish.accepted.provider, wish.accepted.endpoints)
    wish, chosen = await _placed(world, wish, driver, choice.max_price)
    spec = driver.parse_spec(wish.accepted)
    await asyncio.to_thread(check_machine, driver, spec, standing=is_standing(wish))
    cid = await asyncio.to_thread(choose_cid, world, wish, driver)
    run = new_run_id(world.clock.now(), world.random)
    marks = marks_of(world.settings.environ, wish.accepted, cid, run)
    program = build_program(driver, spec, wish.accepted, marks)
    needs = await asyncio.to_thread(driver.needs)
    cluster = ClusterName(wish.accepted.cluster)
    keys = await world.engine.keys(cluster) if wish.stored else None
    async with AsyncExitStack() as undo:
        folder = undo.enter_context(throwaway(world.settings)).path  # found by the next run, if we are killed
        archives = await undo.enter_async_context(Archives(world.images, wish.image, wish.changeset, folder))
        context = make_context(world, wish, cid, run, archives)
        # The preview first: its process works while we load what connecting needs.
        seen, (hosts, facts) = await together(
            ride_out(world, lambda: world.engine.preview(cluster, cid, program, world.events, needs)),
            _open_and_read(world, wish, context, keys, (undo, driver), acting=acting),
        )
        previewed = replace(seen, plan=_settle_plan(wish, with_starts(seen, wish.accepted.provider)))
        demand_new_machines(wish, previewed.plan)
        demand_time(wish.accepted, previewed.plan, world.clock.now())
        _demand_machines(wish, choice, previewed.plan)
        inputs = _plan_inputs(wish, choice, cid, previewed, facts=facts, keys=keys)
        plan = _with_offers(world, _joint_plan(wish, choice, cid, previewed, inputs), wish, chosen)
        answering = sum(isinstance(found, HostFacts) for found in facts.values())
        read = f"{answering} of {len(facts)} hosts read" if facts else "no hosts yet"
        world.events(PhaseDone(Phase.PLAN, read, world.clock.monotonic() - begun))
        return Draft(wish, cid, run, driver, marks, chosen, previewed, inputs, hosts, context, plan, undo.pop_all())


async def _placed(world: World, wish: Wish, driver: Driver, max_price: float | None) -> tuple[Wish, Choice]:
    """The wish with what the driver chose for it; refused (13) where that costs too much."""
    stored = wish.stored if is_standing(wish) else None
    standing = frozenset(stored.machines if stored else ())
    accepted, chosen = await place(
        driver, wish.accepted, stored.accepted if stored else None, stored.cid if stored else None, standing
    )
    price = price_of(chosen.offers, world.clock.now(), accepted.expires_at)
    demand_price(chosen.offers, price, max_price, standing)
    return replace(wish, accepted=accepted), chosen


def _demand_machines(wish: Wish, choice: UpChoice, infra: InfraPlan) -> None:
    """With `--only cluster` stage 1 must have nothing to do. Raises PreconditionError (12)."""
    if choice.only == "cluster" and infra.changes:
        found = [c.name for c in (*infra.create, *infra.update, *infra.replace, *infra.delete)]
        raise PreconditionError(
            f"--only cluster works on machines as they stand, and stage 1 has changes: {', '.join(found)}",
            hint=f"run `sealer-cloud up -n {wish.request.cluster}` with the same words and --only machines first",
        )


async def _open_and_read(
    world: World,
    wish: Wish,
    context: RunContext,
    keys: ClusterKeys | None,
    using: tuple[AsyncExitStack, Driver],
    *,
    acting: bool,
) -> tuple[HostSet, FactMap]:
    undo, driver = using
    if is_standing(wish):
        await operator.let_in(world, wish.stored, driver, acting=acting)
    hosts = await undo.enter_async_context(await open_known_hosts(world, wish, context.paths.cid, keys))
    return hosts, await read_known_hosts(hosts, wish, context, acting=acting)


async def open_known_hosts(world: World, wish: Wish, cid: ClusterId, keys: ClusterKeys | None) -> HostSet:
    """Connect to the machines that the state knows; nobody is there for a new cluster."""
    inventory = wish.stored.inventory if wish.stored and keys else None
    empty = Inventory(ClusterName(wish.accepted.cluster), cid, ())
    return await open_hosts(inventory or empty, keys or NO_KEYS, world.connect, world.clock, patience=0)


async def read_known_hosts(hosts: HostSet, wish: Wish, context: RunContext, *, acting: bool) -> FactMap:
    """One read of each; when acting, steps that an earlier run left alive are settled first."""
    reading = reading_for(wish, hosts.inventory)
    facts = await stage2.read_hosts(hosts, reading)
    return await stage2.settle(hosts, facts, reading, context) if acting else facts


def env_source(wish: Wish) -> stage2.EnvSource:
    """What the env of scripts is made of."""
    return stage2.EnvSource(wish.accepted, wish.image.env, wish.values, wish.pool_values)


def reading_for(wish: Wish, inventory: Inventory) -> Reading:
    """How to read the hosts of a wish: with the env that health.sh needs, and the commands that the image asks for."""
    return Reading(
        paths=stage2.host_paths(wish.accepted, inventory.cid),
        envs=stage2.look_envs(env_source(wish), inventory),
        commands=parse_requires(wish.image.labels).commands,
    )


def make_context(world: World, wish: Wish, cid: ClusterId, run: RunId, archives: Archives) -> RunContext:
    """What executing needs besides the plan. A test may name a failpoint in the environment."""
    armed = world.settings.environ.get("SEALER_CLOUD_FAILPOINT")
    return RunContext(
        author=author_of(world, run, cid),
        paths=stage2.host_paths(wish.accepted, cid),
        facts={},
        archives=archives,
        masker=Masker(secrets_of(wish.values, *wish.pool_values.values())),
        clock=world.clock,
        events=world.events,
        stop=world.stop,
        resume=f"sealer-cloud up -n {wish.request.cluster}",  # the machines stand, so the request is stored
        failpoint=arm_failpoint(armed) if armed else no_failpoint,
    )


def author_of(world: World, run: RunId, cid: ClusterId) -> Author:
    """Who writes ledger lines in this run."""
    return Author(run, cid, f"{world.settings.state_dir}:{os.getpid()}", f"sealer-cloud {__version__}")


def secrets_of(*envs: Mapping[str, Value]) -> list[Secret]:
    """Every secret value, for masking what hosts say."""
    return [value for env in envs for value in env.values() if isinstance(value, Secret)]


def _plan_inputs(
    wish: Wish, choice: UpChoice, cid: ClusterId, previewed: Previewed, *, facts: FactMap, keys: ClusterKeys | None
) -> PlanInputs:
    inventory = wish.stored.inventory if wish.stored and wish.stored.inventory else None
    made = {c.name for c in (*previewed.plan.create, *previewed.plan.replace) if is_machine(c.type)}
    return PlanInputs(
        accepted=wish.accepted,
        image=wish.image,
        changeset=wish.changeset,
        cid=cid,
        values=wish.values,
        pool_values=wish.pool_values,
        inventory=inventory or Inventory(ClusterName(wish.accepted.cluster), cid, ()),
        facts=facts,
        keys=keys,
        creating=frozenset(HostName(name) for name in made),
        redo=choice.redo,
        assume_done=choice.assume_done,
        all_at_once=choice.all_at_once,
    )


def _joint_plan(wish: Wish, choice: UpChoice, cid: ClusterId, previewed: Previewed, inputs: PlanInputs) -> Plan:
    nothing = ApplyPlan(ClusterName(wish.accepted.cluster), wish.image.digest, ())
    plan = Plan(
        cluster=ClusterName(wish.accepted.cluster),
        cid=cid if wish.stored else None,
        provider=wish.accepted.provider,
        image_reference=wish.image.reference,
        image_digest=wish.image.digest,
        image_size=wish.image.size,
        infra=previewed.plan,
        apply=nothing if choice.only == "machines" else plan_apply(inputs),
        notes=(*wish.request.notes, *wish.changeset.dropped),
        data_root=wish.accepted.data_root,
        commands=commands_of(wish.accepted.cmd, wish.image),
        ports=tuple(sorted(parse_requires(wish.image.labels).ports)),
    )
    return replace(plan, plan_hash=plan_hash(plan, wish.accepted))


def _with_offers(world: World, plan: Plan, wish: Wish, chosen: Choice) -> Plan:
    """What is bought stands in the plan and not in its hash: prices change by themselves."""
    price = price_of(chosen.offers, world.clock.now(), wish.accepted.expires_at)
    return replace(plan, notes=(*plan.notes, *chosen.notes), offers=chosen.offers, price=price)


def _settle_plan(wish: Wish, infra: InfraPlan) -> InfraPlan:
    """The engine's preview in the product's words.

    It calls "replace" what goes because its network is replaced, also where nothing comes back; and it only says that
    the accepted request changes, not what of it.
    """
    wanted = {host.name for host in wish.accepted.wanted}
    gone = tuple(c for c in infra.replace if is_machine(c.type) and c.name not in wanted)
    before = wish.stored.accepted if wish.stored else None
    detail = ", ".join(changed_parts(before, wish.accepted)) if before else ""
    return replace(
        infra,
        replace=tuple(c for c in infra.replace if c not in gone),
        delete=(*infra.delete, *gone),
        update=tuple(replace(c, detail=detail) if c.type.endswith(":Intent") else c for c in infra.update),
    )


def deleted_hosts(draft: Draft) -> tuple[str, ...]:
    """Hosts whose machine the plan deletes or replaces, by name: what the question and --allow-delete are about."""
    changes = (*draft.previewed.plan.delete, *draft.previewed.plan.replace)
    return tuple(c.name for c in changes if is_machine(c.type))
