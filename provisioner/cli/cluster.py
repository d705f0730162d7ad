"""What `up`, `plan` and `down` do with their flags: ask the pipeline, print its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner import pipeline
from provisioner.access import nearest_cluster
from provisioner.cli.board import Board
from provisioner.cli.durations import parse_duration
from provisioner.cli.jsonout import down_to_json, up_to_json
from provisioner.cli.options import listed
from provisioner.cli.planview import hash_line, plan_lines
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.sources import read_sources
from provisioner.cli.views import down_report_lines, up_lines
from provisioner.errors import PreconditionError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.model.clusterfile import parse_clusterfile
from provisioner.model.ids import StepId, parse_cluster_name
from provisioner.model.plan import Plan
from provisioner.model.planhash import plan_to_json
from provisioner.model.report import DownReport, UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.site import ANYWHERE, Site
from provisioner.world import UpChoice

_PRICE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
CHANGES_WAIT = 2
"""Only `plan --detailed-exitcode` ends with this."""

Given = Mapping[str, Any]
"""The flags of one command by name, as the parser read them."""


def run_up(session: Session, given: Given) -> int:
    """`up`. Returns the exit code; raises what the pipeline raises."""
    args, choice = args_of(session, given), choice_of(session, given)
    files = files_of(session, given)

    async def work(run: Run) -> tuple[UpReport, Board]:
        report = await pipeline.up(run.world, args, files, choice, run.asker.confirm_up)
        return report, run.view.board

    report, board = execute(session, work, yes=choice.yes)
    _print_up(session, report, {**board.finished, **report.apply.seconds})
    return 0


def run_plan(session: Session, given: Given, *, detailed: bool = False) -> int:
    """`plan`, and `up --dry-run`. Returns 2 with `detailed` where changes wait.

    Raises PreconditionError (12) for another plan than `--expect-plan` names.
    """
    args, choice = args_of(session, given), choice_of(session, given)
    files = files_of(session, given)

    async def work(run: Run) -> Plan:
        return await pipeline.plan(run.world, args, files, choice)

    plan = execute(session, work)
    if choice.expect_plan and choice.expect_plan != plan.plan_hash:
        raise PreconditionError(f"the plan is {plan.plan_hash}, not {choice.expect_plan}", hint="look at it again")
    _print_plan(session, plan)
    return CHANGES_WAIT if detailed and plan.changes else 0


@dataclass(frozen=True, slots=True)
class DownWords:
    """What `down` was told: a name, or a run whose clusters go."""

    name: str | None
    site: Site = ANYWHERE
    run: str | None = None
    delete_data: bool = False


def run_down(session: Session, words: DownWords, *, yes: bool) -> int:
    """`down`. Raises UsageError (3) for both a name and a run, or neither. Returns 6 where something is left."""
    if (words.name is None) == (words.run is None):
        raise UsageError("down wants the name of a cluster, or --run ID", hint="`sealer-cloud list` shows the names")
    if words.run is not None:
        return _down_run(session, words.run, words.site, yes=yes)
    name = words.name or ""
    cluster = parse_cluster_name(name)

    async def work(run: Run) -> DownReport:
        confirm = run.asker.confirm_down
        report = await pipeline.down(
            run.world, cluster, words.site, confirm, delete_data=words.delete_data, unasked=yes
        )
        if not report.removed and report.cid is None and run.world.engine.names():
            run.view.take(Warned(f"there is no cluster {name} here", nearest_cluster(run.world, name)))
        return report

    report = execute(session, work, yes=yes)
    if session.screen.look.output == "name":
        session.screen.print([report.cluster])
    elif session.screen.look.machine:
        session.screen.document(down_to_json(report))
    else:
        session.screen.print(down_report_lines(report))
    return ProviderError.exit_code if report.left else 0


def _down_run(session: Session, run: str, site: Site, *, yes: bool) -> int:
    from provisioner.cli.account import run_gc
    from provisioner.gc import GcChoice, name_run

    named = name_run(run, session.settings.environ)
    choice = GcChoice(site.provider, site.regions, named, delete=True, endpoints=site.endpoints)
    return run_gc(session, choice, yes=yes)


def args_of(session: Session, given: Given) -> UpArgs:
    """The words that say what is wanted."""
    environ = session.settings.environ
    return UpArgs(
        image=given["image"],
        name=given["name"],
        provider=given["provider"],
        masters=given["masters"],
        nodes=given["nodes"],
        env=listed(given["env"], "ENV", environ),
        env_secret=listed(given["env_secret"], "ENV_SECRET", environ),
        cmd=listed(given["cmd"], "CMD", environ),
        data_root=given["data_root"],
        replace=given["replace"],
        region=given["region"],
        zones=listed(given["zone"], "ZONE", environ),
        ttl=given["ttl"],
        user=given["user"],
        identity=given["identity"],
    )


def choice_of(session: Session, given: Given) -> UpChoice:
    """The words that say how to go about it. Raises UsageError for a bad duration or price."""
    environ = session.settings.environ
    return UpChoice(
        yes=given.get("yes", False),
        allow_delete=given.get("allow_delete", False),
        expect_plan=given["expect_plan"],
        redo=frozenset(StepId(i) for i in listed(given["redo"], "REDO", environ)),
        assume_done=frozenset(StepId(i) for i in listed(given["assume_done"], "ASSUME_DONE", environ)),
        all_at_once=given["all_at_once"],
        timeout=parse_duration(given["timeout"], "--timeout"),
        lock_timeout=parse_duration(given.get("lock_timeout", "0"), "--lock-timeout"),
        max_price=parse_price(given["max_price"]),
        only=given["only"],
    )


def parse_price(text: str | None) -> float | None:
    """A price per hour. Raises UsageError for anything but a number above zero."""
    if text is None:
        return None
    if not _PRICE.fullmatch(text) or float(text) <= 0:
        raise UsageError(f"--max-price: {text!r} is no price", hint="write a number like 0.25, without a currency")
    return float(text)


def files_of(session: Session, given: Given) -> Clusterfile:
    """The files that `-f` names, read and checked. Raises UsageError, InvalidFileError (3)."""
    return parse_clusterfile(read_sources(listed(given["file"], "FILE", session.settings.environ)))


def _print_up(session: Session, report: UpReport, phases: Mapping[str, float]) -> None:
    screen = session.screen
    if screen.look.output == "name":
        screen.print([report.inventory.cluster])
    elif screen.look.machine:
        screen.document(up_to_json(report, plan_to_json(report.plan), phases))
    else:
        screen.print(up_lines(report, phases, quiet=screen.look.quiet))


def _print_plan(session: Session, plan: Plan) -> None:
    screen = session.screen
    if screen.look.output == "name":
        screen.print(s.id for s in plan.apply.steps)
    elif screen.look.machine:
        screen.document(plan_to_json(plan))
    elif screen.look.output == "markdown":
        from provisioner.model.planhash import plan_to_markdown

        screen.print_raw(plan_to_markdown(plan).splitlines())
    else:
        screen.print((*plan_lines(plan, wide=screen.look.output == "wide"), hash_line(plan)))
