"""The hops of `up` and `down` that are more than one call. Each takes frozen values and gives one."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from provisioner import operator, stage2
from provisioner.apply.inputs import PlanInputs
from provisioner.apply.outputs import merge_outputs, show_outputs
from provisioner.apply.plan import phases_of, plan_apply
from provisioner.draft import Draft, Wish, deleted_hosts, env_source, reading_for
from provisioner.errors import (
    DeadlineError,
    HostError,
    HostKeyError,
    InterruptedRunError,
    LockedError,
    PreconditionError,
    UsageError,
)
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.infra.locks import ClusterLock
from provisioner.machines import raise_machines
from provisioner.model.facts import FactMap, HostFacts, Unreadable
from provisioner.model.hosts import ClusterKeys, Inventory, StackOutputs, is_master, to_inventory
from provisioner.model.ids import ClusterName, new_run_id
from provisioner.model.images import Codec
from provisioner.model.plan import ApplyPlan, Plan
from provisioner.model.planhash import steps_differ
from provisioner.model.report import ApplyReport, LockInfo, UpReport
from provisioner.model.steps import StepKind
from provisioner.replacing import is_another, is_standing
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import Confirm, UpChoice, World


@dataclass(frozen=True, slots=True)
class Ready:
    """Machines that answer, read for the last time before anything is done on them."""

    inventory: Inventory
    keys: ClusterKeys
    hosts: HostSet
    facts: FactMap


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Bound a whole command. Raises DeadlineError (11) when the time is over."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError as error:
        raise DeadlineError(
            f"out of time after {seconds:.0f} s", hint="run the same command again: it goes on; or give --timeout"
        ) from error


def ask(confirm: Confirm, plan: Plan, limit: asyncio.Timeout) -> None:
    """Have the plan confirmed; a person's time to read it is not the command's. Raises InterruptedRunError (130)."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    if not confirm(plan):
        raise InterruptedRunError("not confirmed; nothing was changed")
    when = limit.when()
    if when is not None:
        limit.reschedule(when + loop.time() - begun)


@asynccontextmanager
async def holding(world: World, cluster: ClusterName, command: str, wait: float) -> AsyncIterator[None]:
    """Hold the cluster's run lock from before the preview to the end. Raises LockedError (10) naming the holder.

    So it does where another run takes the lock meanwhile: the engine is killed and what goes on here is cancelled, as
    anything that this run still wrote would be written over the new holder's work.
    """
    now = world.clock.now()
    owner = LockInfo(
        os.getpid(), new_run_id(now, world.random), f"{command} {cluster}", now.isoformat(timespec="seconds")
    )
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def lost(now: str) -> None:
        world.stop.lose(_lost_lock(cluster, now))
        if task:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing goes on any more
                loop.call_soon_threadsafe(task.cancel)

    lock = ClusterLock(world.settings, cluster, owner, lost)
    await lock.acquire(wait, world.clock, lambda who: world.events(Warned(f"waiting for the lock of {cluster}: {who}")))
    try:
        try:
            if lock.broken:
                world.events(Warned(f"broke the lock of {lock.broken}: it was silent for a minute"))
                # Now, whatever this run will do: that its machine's locks are a dead run's is known only until we give ours back.
                await repair(world, cluster, state=False)
            yield
        finally:
            await lock.release()
    except (Exception, asyncio.CancelledError) as error:
        if world.stop.lost is None or error is world.stop.lost:
            raise
        if task and isinstance(error, asyncio.CancelledError):
            task.uncancel()
        raise world.stop.lost from error


def _lost_lock(cluster: ClusterName, now: str) -> LockedError:
    return LockedError(
        f"the lock of cluster {cluster} was lost while this run went on: {now}; this run ended at once",
        hint=f"wait for the other run, look with `sealer-cloud status {cluster}`, then run the same command again",
    )


async def repair(world: World, cluster: ClusterName, *, state: bool = True) -> None:
    """End what a killed run left, and say so. `state` False: the state is damaged or gone, leave it alone."""
    for note in await world.engine.repair(cluster, state=state):
        world.events(Warned(note))


def demand_provider(wish: Wish, choice: UpChoice) -> None:
    """Under --yes nobody reads which provider was guessed, so it must have been named. Raises UsageError (3)."""
    if choice.yes and not wish.request.provider_named:
        raise UsageError(
            "with --yes the provider must be named",
            hint=f"add --provider {wish.request.provider}, or an Infra document",
        )


def guard(draft: Draft, choice: UpChoice) -> None:
    """Refuse a plan that may not run: another hash than expected (12), deletions under --yes without leave (3)."""
    if choice.expect_plan and choice.expect_plan != draft.plan.plan_hash:
        raise PreconditionError(
            f"the plan is {draft.plan.plan_hash}, not {choice.expect_plan}; nothing was changed",
            hint="look at `sealer-cloud plan` again",
        )
    lost = deleted_hosts(draft)
    before = draft.wish.stored.accepted if draft.wish.stored else None
    if lost and (draft.wish.accepted.protect or (before and before.protect)):
        raise UsageError(
            f"{draft.plan.cluster} is protected: {', '.join(lost)} would be deleted or replaced",
            hint="set `protect: false` in its Infra document and run `up` with that alone first",
        )
    if lost and choice.yes and not choice.allow_delete:
        raise UsageError(
            f"this deletes or replaces {', '.join(lost)}", hint="look at the plan; then give --allow-delete too"
        )
    if draft.previewed.plan.changes:
        _demand_answers(draft)
    if not is_another(draft.wish):
        _keep_quorum(draft, lost)


def _demand_answers(draft: Draft) -> None:
    """A host that should run but does not answer stops us before the engine acts on the others. Raises HostError (7)."""
    plan = draft.previewed.plan
    touched = {c.name for c in (*plan.create, *plan.update, *plan.replace, *plan.delete)}
    silent = [
        f"{name}: {facts.reason}"
        for name, facts in draft.inputs.facts.items()
        if isinstance(facts, Unreadable) and not facts.stopped and name not in touched
    ]
    if silent:
        raise HostError(
            "not all hosts answer: " + "; ".join(silent), hint="nothing was changed; mend them and run it again"
        )


def _keep_quorum(draft: Draft, lost: tuple[str, ...]) -> None:
    """Losing half of the masters at once would lose what they agree on. Raises UsageError (3)."""
    before = [h for h in draft.inputs.inventory.hosts if is_master(h.roles)]
    gone = [h.name for h in before if h.name in lost]
    if gone and len(gone) * 2 >= len(before) and len(before) > 1:
        raise UsageError(
            f"taking {', '.join(gone)} away at once leaves {len(before) - len(gone)} of {len(before)} masters: no quorum",
            hint="change it in smaller steps, or remove the whole cluster with `down`",
        )


async def make_machines(world: World, draft: Draft, choice: UpChoice) -> tuple[Draft, StackOutputs]:
    """Stage 1: the engine makes it so; without a change its preview already told everything.

    The draft comes back as it was carried out: a cloud without stock may have led to other machines.
    """
    outputs = draft.previewed.outputs
    if draft.previewed.plan.changes:
        begun = world.clock.monotonic()
        world.events(PhaseStarted(Phase.MACHINES, len(draft.wish.accepted.hosts)))
        if choice.only != "machines":
            _begin_archive(draft)
        draft, outputs = await raise_machines(world, draft, choice.max_price)
        text = f"{len(outputs.hosts)} of {len(draft.wish.accepted.hosts)}"
        world.events(PhaseDone(Phase.MACHINES, text, world.clock.monotonic() - begun))
    missing = [h.name for h in draft.wish.accepted.wanted if h.name not in {m.name for m in outputs.hosts}]
    if missing or outputs.keys is None:
        raise PreconditionError(
            f"stage 1 ended without {', '.join(missing) or 'the keys of the cluster'}",
            hint="run the same command again: it goes on with what stands",
        )
    return draft, outputs


def _begin_archive(draft: Draft) -> None:
    """Write what new machines will get while they are made; they are taken to know zstd until they are read."""
    sent = {s.host for s in draft.plan.apply.steps if s.kind is StepKind.ROOTFS}
    if sent & draft.inputs.creating:
        draft.context.archives.begin(Codec.ZSTD)


async def connect(world: World, draft: Draft, outputs: StackOutputs) -> Ready:
    """Connect to the machines (those of the draft are kept where stage 1 changed nothing) and read them again."""
    inventory = to_inventory(draft.plan.cluster, outputs, draft.wish.accepted.wanted)
    keys = outputs.keys
    if keys is None:
        raise PreconditionError(
            "stage 1 ended without the keys of the cluster",
            hint="run the same command again: it goes on with what stands",
        )
    hosts = draft.hosts
    if draft.previewed.plan.changes and is_standing(draft.wish):  # a rule that was asked for just now is for him too
        await operator.let_in(world, world.engine.stored(draft.plan.cluster), draft.driver)
    if inventory != hosts.inventory or hosts.failures:
        begun = world.clock.monotonic()
        world.events(PhaseStarted(Phase.CONNECT, len(inventory.hosts)))
        hosts = await draft.undo.enter_async_context(await open_hosts(inventory, keys, world.connect, world.clock))
        _refuse_failures(hosts)
        text = f"{len(inventory.hosts)} of {len(inventory.hosts)}, host keys known"
        world.events(PhaseDone(Phase.CONNECT, text, world.clock.monotonic() - begun))
    draft.context.failpoint("connected")
    # Read again even where nothing was made: a host may have changed while a person read the plan.
    reading = reading_for(draft.wish, inventory)
    facts = await stage2.settle(hosts, await stage2.read_hosts(hosts, reading), reading, draft.context)
    draft.context.failpoint("read")
    return Ready(inventory, keys, hosts, facts)


def _refuse_failures(hosts: HostSet) -> None:
    """All hosts that cannot be reached, in one error. Raises HostError (7); HostKeyError first of all."""
    failures = list(hosts.failures.values())
    if len(failures) == 1:
        raise failures[0]
    if failures:
        first = next((f for f in failures if isinstance(f, HostKeyError)), failures[0])
        text = "; ".join(f.message for f in failures)
        raise type(first)(text, hint=first.hint, host=first.host, phase="connect")


async def preflight(draft: Draft, ready: Ready) -> None:
    """Every host must be able to take the image, before any host is changed."""
    context = replace(draft.context, facts=ready.facts)
    envs = stage2.look_envs(env_source(draft.wish), ready.inventory, phases_of(_final_inputs(draft, ready)))
    await stage2.preflight(ready.hosts, ready.facts, context, envs)


async def keep(draft: Draft) -> None:
    """Of a run that has nothing to do: masters that an older version set up get their record. No call where all have it."""
    if draft.inputs.keys is not None:
        context = replace(draft.context, facts=draft.inputs.facts)
        await stage2.keep(draft.hosts, context, draft.wish.accepted, draft.inputs.keys)


async def apply(draft: Draft, ready: Ready, plan: ApplyPlan) -> ApplyReport:
    """Stage 2: do the plan; beside its first steps the masters keep what was accepted, also where the plan fails."""
    context = replace(draft.context, facts=ready.facts)
    keeping = asyncio.create_task(stage2.keep(ready.hosts, context, draft.wish.accepted, ready.keys))
    try:
        report = await stage2.apply(plan, ready.hosts, context)
    except asyncio.CancelledError:
        keeping.cancel()
        raise
    finally:
        await asyncio.gather(keeping, return_exceptions=True)  # the plan's own failure is the one that counts
    keeping.result()  # a host that keeps nothing is a warning, so what is raised here is a bug of ours
    return report


def _final_inputs(draft: Draft, ready: Ready) -> PlanInputs:
    """What is known now that every machine was read."""
    return replace(
        draft.inputs,
        inventory=ready.inventory,
        facts=ready.facts,
        keys=ready.keys,
        creating=frozenset(),
        final=True,
    )


def final_plan(draft: Draft, ready: Ready) -> ApplyPlan:
    """The plan that will run; it may hold nothing that was not shown. Raises PreconditionError (12)."""
    final = plan_apply(_final_inputs(draft, ready))
    differences = steps_differ(draft.plan.apply, final)
    if differences:
        raise PreconditionError(
            "the hosts are not as they were when the plan was shown: " + "; ".join(differences),
            hint="no host was changed; run the same command again and look at the new plan",
        )
    return final


def to_report(world: World, draft: Draft, inventory: Inventory, report: ApplyReport, begun: float) -> UpReport:
    """The last value of `up`."""
    seconds = world.clock.monotonic() - begun
    return UpReport(draft.plan, inventory, report, changed=draft.plan.changes, seconds=seconds)


def machines_report(world: World, draft: Draft, outputs: StackOutputs, begun: float) -> UpReport:
    """The last value of `up --only machines`: nothing was done on the hosts."""
    inventory = to_inventory(draft.plan.cluster, outputs, draft.wish.accepted.wanted)
    return replace(to_report(world, draft, inventory, ApplyReport(), begun), only="machines")


def seen_health(draft: Draft) -> ApplyReport:
    """What the one read said, for a run that had nothing to do."""
    facts = {name: found for name, found in draft.inputs.facts.items() if isinstance(found, HostFacts)}
    health = {name: found.health for name, found in facts.items() if found.health is not None}
    outputs = merge_outputs(draft.hosts.inventory.hosts, facts)
    return ApplyReport(health=health, outputs=show_outputs(outputs, draft.context.masker))
