"""The one page: what each command does, hop by hop. Every hop is a verb; what goes in and out are frozen values.

    words, files ─ make_wish ─▶ Wish ─ make_draft ─▶ Draft (plan: shown, confirmed)
        ─ make_machines ─▶ Inventory ─ open, read, preflight ─▶ facts ─ plan_apply ─▶ ApplyPlan ─ apply ─▶ UpReport
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from provisioner import hops
from provisioner.draft import make_draft, make_wish
from provisioner.errors import InterruptedRunError
from provisioner.infra.locks import RunLock
from provisioner.model.ids import ClusterName
from provisioner.model.intent import resolve_name
from provisioner.model.plan import Plan
from provisioner.model.report import DownReport, ListRow, StatusReport, UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.world import Confirm, ConfirmDown, UpChoice, World


async def plan(world: World, args: UpArgs, files: Clusterfile, choice: UpChoice) -> Plan:
    """Both stages, looked at; nothing changes anywhere. Raises as `up` does, except for locks and steps."""
    async with hops.deadline(choice.timeout):
        wish = await make_wish(world, args, files, resolve_name(args, files))
        draft = await make_draft(world, wish, choice)
        await draft.hosts.close()
        return draft.plan


async def up(world: World, args: UpArgs, files: Clusterfile, choice: UpChoice, confirm: Confirm) -> UpReport:
    """Make it so. Run again after any stop, it ends where an unbroken run would have."""
    cluster = resolve_name(args, files)
    async with hops.deadline(choice.timeout), hops.holding(world, cluster, "up", choice.lock_timeout):
        await hops.repair(world, cluster)
        wish = await make_wish(world, args, files, cluster)
        draft = await make_draft(world, wish, choice)
        try:
            hops.guard(draft, choice)
            if not draft.plan.changes:
                return hops.unchanged(world, draft)
            if not confirm(draft.plan):
                raise InterruptedRunError("not confirmed; nothing was changed")
            machines = await hops.make_machines(world, draft)
            ready = await hops.read_again(world, draft, machines, choice)
            final = hops.final_plan(draft, ready, choice)
            report = await hops.apply(world, draft, ready, final)
            return hops.changed(world, draft, ready, final, report)
        finally:
            await draft.hosts.close()
