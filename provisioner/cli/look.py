"""What `status`, `list`, `ssh` and `exec` do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner import access, finding
from provisioner.cli.durations import parse_duration
from provisioner.cli.jsonout import exec_to_json, list_to_json, status_to_json
from provisioner.cli.lostviews import print_lost
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.screen import Screen
from provisioner.cli.text import escape_lines, plain
from provisioner.cli.views import list_lines, status_lines
from provisioner.cli.world import build_world
from provisioner.errors import HostError, PreconditionError, StepError, UsageError
from provisioner.events import ignore
from provisioner.model.hosts import Inventory
from provisioner.model.ids import parse_cluster_name
from provisioner.model.report import LostReport, StatusReport
from provisioner.model.site import ANYWHERE, Site
from provisioner.stop import Stop
from provisioner.world import ExecResult, World


@dataclass(frozen=True, slots=True)
class Reach:
    """Which hosts: by name and by role, together; nothing said means all."""

    hosts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


def run_status(session: Session, name: str, site: Site = ANYWHERE) -> int:
    """`status NAME`; at the site by tag, where no state here knows it."""
    cluster = parse_cluster_name(name)

    async def work(run: Run) -> StatusReport | LostReport:
        return await finding.status(run.world, cluster, site)

    report = execute(session, work)
    screen = session.screen
    if isinstance(report, LostReport):
        print_lost(screen, report)
    elif screen.look.output == "name":
        screen.print(h.name for h in report.hosts)
    elif screen.look.machine:
        screen.document(status_to_json(report))
    else:
        screen.print(status_lines(report, wide=screen.look.output == "wide"))
    return 0


def run_list(session: Session) -> int:
    """`list`."""
    rows = access.list_clusters(build_world(session.settings, ignore, Stop()))
    screen = session.screen
    if screen.look.output == "name":
        screen.print(r.cluster for r in rows)
    elif screen.look.machine:
        screen.document(list_to_json(rows))
    elif rows:
        screen.print(list_lines(rows, wide=screen.look.output == "wide"))
    else:
        screen.say("No clusters in this state folder; `sealer-cloud up IMAGE` makes one")
    return 0


def run_ssh(session: Session, name: str, host: str, command: tuple[str, ...]) -> int:
    """`ssh`: this process becomes the system's ssh. Raises PreconditionError (12) where there is none."""
    world = build_world(session.settings, ignore, Stop())
    argv = [*access.ssh_argv(world, parse_cluster_name(name), host), *command]
    try:
        os.execvp(argv[0], argv)  # noqa: S606  no shell, and meant to replace us
    except OSError as error:
        raise PreconditionError(
            f"cannot start {argv[0]}: {error.strerror}", hint="install the OpenSSH client (openssh-client)"
        ) from error


def run_exec(session: Session, name: str, reach: Reach, command: tuple[str, ...], timeout: str) -> int:
    """`exec`. Returns 8 if the command failed on a host, 7 if one could not be reached; the lowest wins."""
    if not command:
        raise UsageError("exec: no command given", hint=f"sealer-cloud exec {name} -- uname -a")
    cluster, limit = parse_cluster_name(name), parse_duration(timeout, "--timeout")

    async def work(run: Run) -> tuple[ExecResult, ...]:
        hosts = select_hosts(_inventory(run.world, name), reach)
        return await access.exec_on(run.world, cluster, hosts, list(command), limit)

    results = execute(session, work)
    print_results(session.screen, name, results)
    if any(r.rc is None for r in results):
        return HostError.exit_code
    return StepError.exit_code if any(r.rc for r in results) else 0


def select_hosts(inventory: Inventory, reach: Reach) -> tuple[str, ...]:
    """The hosts that are meant, in the cluster's order. Raises UsageError naming what is not there."""
    known = [h.name for h in inventory.hosts]
    if unknown := [h for h in reach.hosts if h not in known]:
        raise UsageError(f"{inventory.cluster} has no host {', '.join(unknown)}", hint=f"it has {', '.join(known)}")
    roles = {r for h in inventory.hosts for r in h.roles}
    if missing := [r for r in reach.roles if r not in roles]:
        raise UsageError(f"no host has the role {', '.join(missing)}", hint=f"roles are {', '.join(sorted(roles))}")
    every = not reach.hosts and not reach.roles
    return tuple(h.name for h in inventory.hosts if every or h.name in reach.hosts or set(h.roles) & set(reach.roles))


def _inventory(world: World, name: str) -> Inventory:
    state = world.engine.stored(parse_cluster_name(name))
    if state is None or state.inventory is None:
        raise UsageError(f"there is no cluster {name} here", hint=access.nearest_cluster(world, name))
    return state.inventory


def print_results(screen: Screen, name: str, results: Sequence[ExecResult]) -> None:
    """What hosts of cluster `name` answered, in the form that was asked for; and the way on where one did not."""
    for result in results:
        if screen.look.machine:
            screen.record(exec_to_json(result))
        elif screen.look.output == "name":
            screen.print([result.host])
        else:
            _print_result(screen, result, f"{result.host}: " if len(results) > 1 else "")
    if any(r.rc is None for r in results):
        screen.insist((("  → ", "cyan"), (f"`sealer-cloud up -n {name}` looks at its hosts and mends them", "")))


def _print_result(screen: Screen, result: ExecResult, prefix: str) -> None:
    screen.print_raw(plain(prefix + line) for line in escape_lines(result.stdout))
    for line in escape_lines(result.stderr):
        screen.insist_raw(plain(prefix + line))
    if result.error:
        error = " ".join(escape_lines(result.error))
        lead = "" if error.startswith(f"{result.host} ") else f"{result.host}: "
        screen.insist((("✘ ", "red"), (lead + error, "")))
    elif result.rc:
        screen.insist((("✘ ", "red"), (f"{result.host}: exit status {result.rc}", "")))
