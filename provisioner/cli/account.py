"""What `gc`, `down --run`, `ttl` and `outputs` do."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner import ttl
from provisioner.cli.accountviews import (
    gc_lines,
    gc_to_json,
    leftover_rows,
    outputs_env_lines,
    outputs_lines,
    outputs_to_json,
    ttl_lines,
    ttl_to_json,
    unsure_lines,
)
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.text import count, plain
from provisioner.cli.world import build_world
from provisioner.clock import SystemClock
from provisioner.errors import HostError, ProviderError
from provisioner.events import ignore
from provisioner.gc import GcChoice, GcReport, gc
from provisioner.handover import Outputs, read_outputs
from provisioner.model.deadline import parse_ttl
from provisioner.model.ids import parse_cluster_name
from provisioner.model.leftovers import Leftover
from provisioner.stop import Stop
from provisioner.ttl import TtlReport


def run_gc(session: Session, choice: GcChoice, *, yes: bool) -> int:
    """`gc`, and `down --run`. Returns 6 where something that should be gone is not, or nobody could see whether it is."""

    async def work(run: Run) -> GcReport:
        def confirm(going: tuple[Leftover, ...]) -> bool:
            rows = leftover_rows(going, run.world.clock.now())
            question = f"Delete {count(len(going), 'cluster')} for good? [y/N] "
            return run.asker.confirm(tuple(map(plain, rows)), question, "--yes")

        return await gc(run.world, choice, confirm)

    report = execute(session, work, yes=yes)
    screen = session.screen
    if screen.look.output == "name":
        screen.print(left.cid for left in report.found if left.goes and left.cid)
    elif screen.look.machine:
        screen.document(gc_to_json(report))
    else:
        screen.print(gc_lines(report, SystemClock().now()))
    if report.complete:
        return 0
    for line in unsure_lines(report):
        screen.insist(line)
    return ProviderError.exit_code


@dataclass(frozen=True, slots=True)
class TtlWords:
    """What `ttl` was told: `extend` by a duration, `cancel`, or neither: show."""

    name: str
    extend: str | None = None
    cancel: bool = False


def run_ttl(session: Session, words: TtlWords) -> int:
    """`ttl show|extend|cancel`. Returns 7 where a machine could not be told."""
    name = parse_cluster_name(words.name)
    seconds = parse_ttl(words.extend, "ttl extend") if words.extend is not None else 0

    async def work(run: Run) -> TtlReport:
        if words.cancel:
            return await ttl.cancel(run.world, name)
        return await ttl.extend(run.world, name, seconds)

    changes = words.cancel or words.extend is not None
    report = execute(session, work) if changes else ttl.show(build_world(session.settings, ignore, Stop()), name)
    screen = session.screen
    if screen.look.output == "name":
        screen.print([report.expires_at] if report.expires_at else [])
    elif screen.look.machine:
        screen.document(ttl_to_json(report))
    else:
        screen.print(ttl_lines(report))
    return HostError.exit_code if report.silent else 0


def run_outputs(session: Session, name: str, *, secrets: bool) -> int:
    """`outputs`."""
    cluster = parse_cluster_name(name)

    async def work(run: Run) -> Outputs:
        return await read_outputs(run.world, cluster)

    outputs = execute(session, work)
    screen = session.screen
    for host in outputs.unread:
        screen.insist((("! ", "yellow"), (f"{host} was not read: what only it said is missing", "")))
    if screen.look.output == "env":
        screen.print_raw(outputs_env_lines(outputs, secrets=secrets))
        if outputs.secret and not secrets:
            screen.say(f"left out: {', '.join(outputs.secret)}; --show-secrets prints them")
    elif screen.look.output == "name":
        screen.print(outputs.values)
    elif screen.look.machine:
        screen.document(outputs_to_json(outputs, secrets=secrets))
    else:
        screen.print_raw(outputs_lines(outputs, secrets=secrets))
    return 0
