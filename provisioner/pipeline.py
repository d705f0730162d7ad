"""The one page: what each command does, hop by hop. Every hop is a verb; what goes in and out are frozen values.

words, files ─ make_wish ─▶ Wish ─ make_draft ─▶ Draft (plan: shown, confirmed)
─ make_machines ─▶ Inventory ─ open, read, preflight ─▶ facts ─ plan_apply ─▶ ApplyPlan ─ apply ─▶ UpReport
"""

from __future__ import annotations

from provisioner import hops, removal, staying
from provisioner.access import exec_on, list_clusters, ssh_argv
from provisioner.draft import make_draft, make_wish
from provisioner.errors import InterruptedRunError
from provisioner.finding import status
from provisioner.model.ids import ClusterName
from provisioner.model.intent import resolve_name
from provisioner.model.plan import Plan
from provisioner.model.report import DownReport, UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.site import Site
from provisioner.world import Confirm, ConfirmDown, UpChoice, World

__all__ = ["down", "exec_on", "list_clusters", "plan", "ssh_argv", "status", "up"]


async def plan(world: World, args: UpArgs, files: Clusterfile, choice: UpChoice) -> Plan:
    """Both stages, looked at; nothing changes anywhere. Raises as `up` does, but for locks and steps."""
    async with hops.deadline(choice.timeout):
        wish = await make_wish(world, args, files, resolve_name(args, files))
        async with await make_draft(world, wish, choice, acting=False) as draft:
            return draft.plan


async def up(world: World, args: UpArgs, files: Clusterfile, choice: UpChoice, confirm: Confirm) -> UpReport:
    """Make it so. Run again after any stop, it ends where an unbroken run would have.

    Raises by exit code: 3 wrong use, 4 image, 5 secrets, 6 stage 1, 7 a host, 8 a step, 10 locked, 11 out of time,
    12 plan changed or something missing, 130 a "no" or an interrupt.
    """
    begun = world.clock.monotonic()
    cluster = resolve_name(args, files)
    async with hops.deadline(choice.timeout) as limit, hops.holding(world, cluster, "up", choice.lock_timeout):
        await hops.repair(world, cluster)
        wish = await make_wish(world, args, files, cluster)
        hops.demand_provider(wish, choice)
        async with await make_draft(world, wish, choice, acting=True) as draft:
            hops.guard(draft, choice)
            if not draft.plan.changes and not draft.plan.apply.changes:
                await hops.keep(draft)
                seen = hops.seen_health(draft)
                return hops.to_report(world, draft, draft.hosts.inventory, seen, begun)
            if draft.plan.changes:
                hops.ask(confirm, draft.plan, limit)
            await staying.undo_leaving(world, draft)
            draft, outputs = await hops.make_machines(world, draft, choice)  # noqa: PLW2901 - the same, as carried out
            if choice.only == "machines":
                return hops.machines_report(world, draft, outputs, begun)
            ready = await hops.connect(world, draft, outputs)
            await hops.preflight(draft, ready)
            final = hops.final_plan(draft, ready)
            report = await hops.apply(draft, ready, final)
            return hops.to_report(world, draft, ready.inventory, report, begun)


async def down(
    world: World,
    name: ClusterName,
    site: Site,
    confirm: ConfirmDown,
    *,
    delete_data: bool = False,
    unasked: bool = False,
) -> DownReport:
    """Remove a cluster, look, and only then say that it is gone; by looking at the site where its state is lost.

    On machines that stay it is undone, and their data kept unless `delete_data`; while one of them cannot be undone,
    the state stays, so that the same command goes on. `unasked`: nobody will read the plan, so what is not of the
    cluster and stands in its network stops it (3); else it is named in the plan, and the network is left.

    Raises UsageError (3) no provider, protected, or several of that name, AccessError (5) a state that does not open
    and no provider named, LockedError (10), InterruptedRunError (130).
    """
    begun = world.clock.monotonic()
    async with hops.holding(world, name, "down", 0.0):
        target = await removal.find_target(world, name, site)
        if isinstance(target, removal.Nothing):
            await world.engine.forget(name)  # a `down` that was cut at its last act may have left a key behind
            return removal.nothing_found(world, name, target, begun)
        await removal.demand_account(world, target)
        target = await removal.with_strangers(world, target, unasked=unasked)
        target = await staying.measured(world, target, delete_data=delete_data)
        if not confirm(target.plan):
            raise InterruptedRunError("not confirmed; nothing was changed")
        await hops.repair(world, name, state=target.stored is not None)
        await removal.say_goodbye(world, target)
        if standing := await staying.undo(world, target):
            return removal.to_report(world, target, (), standing, begun)
        strangers = target.plan.strangers  # the engine would wait for minutes for each part of a network that is in use
        failed = strangers or await removal.destroy(world, target, named=site.provider is not None)
        removed, left = await removal.sweep(world, target)
        if not left:  # the look decides, not what the engine could not do
            await world.engine.forget(name, aside=target.stored is None or bool(failed))
        return removal.to_report(world, target, removed, left and (*failed, *left), begun)
