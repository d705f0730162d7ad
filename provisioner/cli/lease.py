"""`with`: a cluster for one command. Up, the command with the cluster in its environment, down; the command's exit code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provisioner import access, pipeline, ttl
from provisioner.cli.cluster import Given, args_of, choice_of, files_of
from provisioner.cli.failure import error_document, report_failure, to_sealer
from provisioner.cli.jsonout import status_to_json, up_to_json
from provisioner.cli.relay import Relay
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.screen import to_json
from provisioner.cli.text import escape, plain, styled
from provisioner.cli.views import up_lines
from provisioner.cli.world import build_world
from provisioner.errors import LockedError, ProviderError, SealerError, UsageError
from provisioner.events import ignore
from provisioner.files import atomic_write
from provisioner.handover import collect, command_env, read_outputs, write_inventory, write_kept
from provisioner.model.deadline import parse_ttl
from provisioner.model.grammar import BOUGHT
from provisioner.model.ids import SHORT, ClusterName, new_short, parse_cluster_name
from provisioner.model.imageref import parse_reference
from provisioner.model.plan import Plan
from provisioner.model.planhash import plan_to_json
from provisioner.model.report import DownReport, UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.site import Site
from provisioner.model.words import parse_provider
from provisioner.stop import Stop
from provisioner.world import UpChoice

DESTROY, KEEP = "destroy", "keep:"
LABEL = 63
REPORTS = ("up.json", "status.json", "error.json")


@dataclass(frozen=True, slots=True)
class Lease:
    """One run of `with`: what to bring up, what to run, and what becomes of it. `keep`: seconds to keep it on failure."""

    session: Session
    name: ClusterName
    args: UpArgs
    files: Clusterfile
    choice: UpChoice
    command: tuple[str, ...]
    keep: int | None
    artifacts: Path | None
    own: bool
    """The name is this run's own, so whatever lies under it on machines that stay is too."""


def run_with(session: Session, given: Given, command: tuple[str, ...]) -> int:
    """`with`. Returns the command's exit code; else that of `up` that failed, or of the signal; else that of `down`.

    Raises UsageError (3) before anything is made: no command, one that is not there, a cluster that stands already.
    """
    lease = _lease(session, given, command)
    with Relay() as relay:
        code, report, ours = _up(lease)
        if not ours:
            return code
        if report is not None:
            code = relay.exit_code or _command(lease, relay)
        if not _stands(lease):
            return code
        _save(lease, report)
        if code and lease.keep is not None:
            _keep(lease, lease.keep)
            return code
        return _down(lease, code)


def _lease(session: Session, given: Given, command: tuple[str, ...]) -> Lease:
    if not command:
        raise UsageError("with: no command given", hint="sealer-cloud with app:v1 --provider local -- pytest")
    if shutil.which(command[0], path=session.settings.environ.get("PATH")) is None:
        raise UsageError(
            f"with: there is no command {command[0]!r} on this machine; nothing was made",
            hint="check its spelling and PATH, or name it with its folder",
        )
    args, files = args_of(session, given), files_of(session, given)
    name = parse_cluster_name(args.name) if args.name else own_name(args, files, os.urandom)
    if build_world(session.settings, ignore, Stop()).engine.stored(name) is not None:
        raise UsageError(
            f"there is a cluster {name} already, and `with` would remove it afterwards",
            hint="leave --name out: each run then has a cluster of its own",
        )
    return Lease(
        session=session,
        name=name,
        args=replace(args, name=name),
        files=files,
        choice=choice_of(session, given),
        command=command,
        keep=parse_on_failure(given["on_failure"]),
        artifacts=_folder(given["artifacts"]),
        own=args.name is None,
    )


def own_name(args: UpArgs, files: Clusterfile, random: Callable[[int], bytes]) -> ClusterName:
    """A name that no other run has: of the file or the image, and six random characters. Raises UsageError."""
    doc = files.cluster
    image = args.image or (doc.image if doc else None)
    base = (doc.name if doc else None) or (parse_reference(image).short_name if image else None)
    if base is None:
        raise UsageError("no image and no name are given", hint="write `sealer-cloud with IMAGE -- COMMAND`")
    cut = base[: LABEL - SHORT - 1].rstrip("-")
    return parse_cluster_name(f"{cut}-{new_short(random)}")


def parse_on_failure(text: str) -> int | None:
    """Seconds that a cluster is kept after a failure; None: it is removed. Raises UsageError."""
    if text == DESTROY:
        return None
    if text.startswith(KEEP):
        return parse_ttl(text.removeprefix(KEEP), "--on-failure keep:")
    raise UsageError(f"--on-failure: {text!r} is neither destroy nor keep:DURATION", hint="write it like keep:30m")


def _folder(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in REPORTS:  # an earlier run's report beside this one's would tell two stories
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--artifacts {text}: {error.strerror or error}", hint="name a folder to write to") from error
    return path.absolute()


def _up(lease: Lease) -> tuple[int, UpReport | None, bool]:
    """Exit code, report, and False where the cluster is another run's, which took the name since we looked."""
    theirs, begun = False, False

    async def work(run: Run) -> tuple[UpReport, Mapping[str, float]]:
        def demand_new(plan: Plan) -> None:
            nonlocal theirs
            if plan.cid is not None:
                theirs = True
                raise UsageError(
                    f"another run made the cluster {lease.name} meanwhile; it is left alone",
                    hint="leave --name out: each run has a name of its own then",
                )

        def confirm(plan: Plan) -> bool:
            nonlocal begun
            demand_new(plan)
            begun = True
            return run.asker.confirm_up(plan)

        nonlocal theirs
        try:
            report = await pipeline.up(run.world, lease.args, lease.files, lease.choice, confirm)
        except LockedError:
            theirs = not begun
            raise
        demand_new(report.plan)
        return report, {**run.view.board.finished, **report.apply.seconds}

    code, found = _tried(lease, work, yes=lease.choice.yes)
    if found is None:
        return code, None, not theirs
    report, phases = found
    for line in up_lines(report, phases, quiet=True):
        lease.session.screen.say(line)
    if lease.artifacts:
        _write(lease, "up.json", up_to_json(report, plan_to_json(report.plan), phases))
    return 0, report, True


def _command(lease: Lease, relay: Relay) -> int:
    async def work(run: Run) -> dict[str, str]:
        return command_env(await read_outputs(run.world, lease.name), await write_inventory(run.world, lease.name))

    code, env = _tried(lease, work)
    if env is None:
        return code
    screen = lease.session.screen
    screen.say(styled(f"Running {escape(lease.command[0])} beside {lease.name}", "bold"))  # its words may be secret
    try:
        code = relay.run(lease.command, {**lease.session.settings.environ, **env})
    except OSError as error:
        failure = UsageError(
            f"cannot run {lease.command[0]}: {error.strerror or error}",
            hint="check that it may be run: nothing of the cluster is lost, it is removed now",
        )
        return report_failure(failure, screen, lease.session.settings)
    screen.say(f"The command ended with {code}")
    return code


def _stands(lease: Lease) -> bool:
    """True where there is something to keep or to remove; a state that cannot be read is something."""
    try:
        return build_world(lease.session.settings, ignore, Stop()).engine.stored(lease.name) is not None
    except SealerError:
        return True


def _save(lease: Lease, report: UpReport | None) -> None:
    """Reports, ledgers and step logs into the artifacts' folder; what is missing is said, and stops nothing."""
    folder = lease.artifacts
    if folder is None:
        return

    async def work(run: Run) -> tuple[str, ...]:
        missing = write_kept(folder, await collect(run.world, lease.name))
        if report is not None:
            _write(lease, "status.json", status_to_json(await access.status(run.world, lease.name)))
        return missing

    try:
        for line in execute(lease.session, work):
            _warn(lease, f"not in the artifacts: {line}")
    except (SealerError, BaseExceptionGroup) as error:
        known = to_sealer(error)
        _warn(lease, f"artifacts: {known.message if known else type(error).__name__}")


def _keep(lease: Lease, seconds: int) -> None:
    """Leave it standing, with a deadline where somebody keeps one; say how to look at it."""
    screen = lease.session.screen
    screen.insist(styled(f"{lease.name} is kept{_kept_until(lease, seconds)}", "yellow"))
    screen.insist(f"  look    sealer-cloud status {lease.name}")
    screen.insist(f"  enter   sealer-cloud ssh {lease.name} m1")
    screen.insist(f"  remove  sealer-cloud down {lease.name}")


def _kept_until(lease: Lease, seconds: int) -> str:
    """Until when, in words; never raises: the command has failed, and its exit code is what counts."""
    world = build_world(lease.session.settings, ignore, Stop())
    try:
        stored = world.engine.stored(lease.name)
    except SealerError as error:
        return f", but its state cannot be read: {escape(error.message)}"
    if not (stored and stored.accepted and stored.accepted.provider in BOUGHT):
        return " until you remove it: nobody else will"

    async def work(run: Run) -> str | None:
        return (await ttl.set_in(run.world, lease.name, seconds)).expires_at

    _, deadline = _tried(lease, work)
    if deadline:
        return f" until {deadline}"
    had = stored.accepted.expires_at
    return f" until {had}: its deadline could not be moved" if had else " until you remove it: no deadline could be set"


def _down(lease: Lease, code: int) -> int:
    """Remove it. What goes wrong here is the exit code only where all else went well."""

    async def work(run: Run) -> DownReport:
        provider = lease.args.provider
        site = Site(parse_provider(provider) if provider else None)
        return await pipeline.down(run.world, lease.name, site, lambda _plan: True, delete_data=lease.own)

    failed, report = _tried(lease, work, yes=True)
    screen = lease.session.screen
    if report is not None and report.left:
        failed = ProviderError.exit_code
        screen.insist(styled(f"{lease.name} is not gone; left are:", "red"))
        for thing in report.left:
            screen.insist(plain(f"  {escape(thing)}"))
    if failed:
        screen.insist(f"  remove  sealer-cloud down {lease.name}")
    elif report is not None:
        screen.say(f"{lease.name} is gone, nothing found afterwards")
    return code or failed


def _tried(lease: Lease, work: Callable[[Run], Any], *, yes: bool = False) -> tuple[int, Any]:
    """Run one part: (0, its value), or the exit code of its failure, which is said, and None."""
    try:
        return 0, execute(lease.session, work, yes=yes)
    except BaseException as error:  # noqa: BLE001  whatever it was, the cluster has to be removed
        known = to_sealer(error)
        if lease.artifacts and known is not None:
            _write(lease, "error.json", error_document(known))
        return report_failure(error, lease.session.screen, lease.session.settings), None


def _write(lease: Lease, name: str, document: Mapping[str, object]) -> None:
    if lease.artifacts is None:
        return
    try:
        atomic_write(lease.artifacts / name, to_json(document).encode())
    except SealerError as error:
        _warn(lease, error.message)


def _warn(lease: Lease, text: str) -> None:
    lease.session.screen.insist((("! ", "yellow"), (escape(text), "")))
