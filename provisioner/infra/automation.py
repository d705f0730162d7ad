"""The Automation API, wrapped: the only module of this room that imports Pulumi, so import it where it is needed.

What is added to the SDK: the CLI runs in its own session and leaves a record of itself; it can be stopped softly and
hard; no process is started only to ask for a version, outputs or history; no secret is asked for in clear; events are
collected to the last one before a call returns.
"""

from __future__ import annotations

import subprocess
import threading
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

import pulumi
from pulumi.automation import (
    CommandError,
    CommandResult,
    EngineEvent,
    LocalWorkspace,
    OutputMap,
    PulumiCommand,
    PulumiFn,
    Stack,
    UpdateSummary,
)
from pulumi.automation.events import StepEventMetadata
from semver import VersionInfo

from provisioner.errors import PreconditionError, SealerError
from provisioner.infra.changes import REFRESH, DiagnosticSeen, StepSeen
from provisioner.infra.failures import Outcome, to_error
from provisioner.infra.processes import RECORDING_SH, Child, Watch
from provisioner.infra.statefile import name_of_urn
from provisioner.model.driver import OutputSink, Program

# The SDK warns on stderr, with the whole event in the text, when a stream is cut; nothing below the CLI prints.
warnings.filterwarnings("ignore", message="(Error in event stream|Failed to parse engine event)")


def _unsaid(*_: object, **__: object) -> None:
    """Say nothing. The SDK sends each of its debug lines to the engine, waits for the answer, and the engine drops it."""


pulumi.log.debug = _unsaid

_KEPT_LINES = 400
_KEPT_COLUMNS = 4000
_LAST_EVENT = 5.0  # seconds that the last event may come after the process has ended
_COLOUR = "never"


@dataclass(slots=True)
class Seen:
    """Everything that one run's events said; `on_step` gets each step at once, from a thread of the SDK."""

    on_step: Callable[[StepSeen], None]
    steps: list[StepSeen] = field(default_factory=list)
    diagnostics: list[DiagnosticSeen] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    news: threading.Condition = field(default_factory=threading.Condition)

    def take(self, event: EngineEvent) -> None:
        """Take one event. Never raises: the SDK would swallow it."""
        self.begun.set()
        step = _step(event)
        if step:
            with self.news:
                self.steps.append(step)
                self.news.notify_all()
            self.on_step(step)
        if event.diagnostic_event and event.diagnostic_event.severity != "debug":
            said = event.diagnostic_event
            self.diagnostics.append(DiagnosticSeen(said.severity, said.message, said.urn or ""))
        if event.cancel_event:
            self.closed.set()

    def settle(self, code: int) -> None:
        """Wait for the last event: the engine sends one at the end of every run that it began and was not killed in."""
        if code == 0 or (code > 0 and self.begun.is_set()):
            self.closed.wait(_LAST_EVENT)

    def await_refresh(self, urns: frozenset[str]) -> bool:
        """Wait until it was said how the refresh of these ended: a program may begin before the last of it is here.

        False where that did not come in time.
        """

        def told() -> bool:
            return urns <= {s.urn for s in self.steps if s.op == REFRESH and s.when != "before"}

        with self.news:
            return self.news.wait_for(told, _LAST_EVENT)


@dataclass(frozen=True, slots=True)
class Run:
    """What every call needs: the CLI, where and in which environment it runs, who may stop it, what was seen."""

    cli: Path
    version: str
    work_dir: Path
    run_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    extra: Mapping[str, str] = field(repr=False)
    """The same, and what the provider needs: credentials."""
    child: Child
    seen: Seen
    parallel: int
    foreign: bool = False
    """True where plugins of others are started: those leave no record of themselves."""

    def plain(self, args: Sequence[str]) -> str:
        """Run one CLI command without a program and give its stdout. Raises SealerError."""
        try:
            return _Command(self).run(list(args), str(self.work_dir), self.extra).stdout
        except _EngineFailedError as error:
            raise _translated(error, self.seen) from error


def preview(run: Run, stack: str, program: Program, sink: OutputSink) -> None:
    """`preview --refresh`: one process, changes nothing. Raises SealerError."""
    _guarded(run, program, sink, lambda inline: _stack(run, stack, inline).preview(refresh=True, **_common(run)))


def up(run: Run, stack: str, program: Program, sink: OutputSink, refreshed: Callable[[], None]) -> None:
    """`up --refresh`: one process. Stops at the first failure; what was made is in the state. Raises SealerError.

    `refreshed` is called between the refresh and the program. Where it raises, the state stays as it was: the engine
    saves nothing before the first step after a refresh (pkg/backend/snapshot.go of v3.259), and is killed before that,
    as even a run that fails saves at its end what the refresh said.
    """

    def after_refresh(sink: OutputSink) -> Awaitable[None] | None:
        try:
            refreshed()
        except BaseException:
            run.child.kill()
            raise
        return program(sink)

    _guarded(
        run,
        after_refresh,
        sink,
        lambda inline: _stack(run, stack, inline).up(
            refresh=True, show_secrets=False, continue_on_error=False, **_common(run)
        ),
    )


def destroy(run: Run, stack: str) -> None:
    """`destroy` without a program and without a refresh: deletes are idempotent, and go on past a failed one."""
    try:
        _stack(run, stack, None).destroy(show_secrets=False, continue_on_error=True, **_common(run))
    except _EngineFailedError as error:
        raise _translated(error, run.seen) from error


def download(root: str, version: str) -> None:
    """Run the vendor's installer for one version into `root`; called in a process of its own, which can be ended.

    Writes `fetched` and a newline to stdout once the installer itself has been fetched: until then nothing shows that
    there is a network at all.
    """
    import socket
    import sys

    def tell(event: str, args: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and "--install-root" in map(str, args[1] if isinstance(args[1], list) else ()):
            sys.stdout.write("fetched\n")
            sys.stdout.flush()

    socket.setdefaulttimeout(8)
    sys.addaudithook(tell)
    PulumiCommand.install(root=root, version=VersionInfo.parse(version.removeprefix("v")))


class _EngineFailedError(CommandError):
    """The CLI ended with a status other than 0. Its own text says no more: whole output may hold what must not show."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(CommandResult("", "", result.code))
        self.result = result


class _Command(PulumiCommand):
    """The CLI in a session of its own. The parent's constructor would start a process to ask for the version."""

    def __init__(self, run: Run) -> None:
        self.command = str(run.cli)
        self.version = VersionInfo.parse(run.version.removeprefix("v"))
        self._run = run

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """As the parent, but a failure keeps the result in a field and not in its text."""
        del on_output, on_error  # events say it better; text is kept for diagnosis only
        result = self._execute(["--non-interactive", *args], cwd, additional_env)
        if "--event-log" in args:
            self._run.seen.settle(result.code)
        if result.code != 0:
            raise _EngineFailedError(result)
        return result

    def _execute(self, args: Sequence[str], cwd: str, extra: Mapping[str, str]) -> CommandResult:
        self._run.child.check()
        process = self._start(args, cwd, extra)
        self._run.child.started(process.pid)
        whole = "export" in args or "ls" in args  # JSON for us: everything else is text of which the end is enough
        stdout, stderr = _Tail(process.stdout, whole=whole), _Tail(process.stderr, whole=False)
        watch = Watch(process.pid, self._run.run_dir) if self._run.foreign else None
        try:
            if watch:
                watch.wait()
            code = process.wait()
        finally:
            self._run.child.ended()
            if watch:
                watch.end_rest()
            (self._run.run_dir / f"engine-{process.pid}.json").unlink(missing_ok=True)
        return CommandResult(stdout.text(), stderr.text(), code)

    def _start(self, args: Sequence[str], cwd: str, extra: Mapping[str, str]) -> subprocess.Popen[str]:
        environ = {**self._run.environ, **extra, "PULUMI_AUTOMATION_API": "true"}
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", RECORDING_SH, str(self._run.run_dir), self.command, *args],
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C at the terminal must reach us alone: we pass it on, once
            )
        except OSError as error:
            raise PreconditionError(
                f"the engine does not start: {error.strerror}", phase="machines", hint="sealer-cloud engine install"
            ) from error


class _Tail:
    """The last lines of a stream, read in a thread so that the process never waits for us."""

    def __init__(self, stream: IO[str] | None, *, whole: bool) -> None:
        self._lines: deque[str] = deque(maxlen=None if whole else _KEPT_LINES)
        self._columns = None if whole else _KEPT_COLUMNS
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream or ():
            self._lines.append(line.rstrip("\n")[: self._columns])

    def text(self) -> str:
        """What was kept. A plugin that outlived the engine may hold the stream open: not waited for long."""
        self._thread.join(2.0)
        return "\n".join(list(self._lines))


class _QuietStack(Stack):
    """A stack that is there: nothing is selected, and after a run no process asks for its outputs and history."""

    def __init__(self, name: str, workspace: LocalWorkspace) -> None:
        self.name = name
        self.workspace = workspace

    def outputs(self) -> OutputMap:
        """Nothing: outputs come from the program, in our process."""
        return {}

    def info(self, show_secrets: bool = False) -> UpdateSummary:  # noqa: FBT001, FBT002 - the parent's signature
        """Nothing of worth: the events said it all."""
        del show_secrets
        return UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


def _stack(run: Run, name: str, program: PulumiFn | None) -> _QuietStack:
    workspace = LocalWorkspace(
        work_dir=str(run.work_dir), env_vars=dict(run.extra), program=program, pulumi_command=_Command(run)
    )
    return _QuietStack(name, workspace)


def _common(run: Run) -> dict[str, Any]:
    return {
        "parallel": run.parallel,  # the default depends on the number of CPUs, and machines wait for each other
        "color": _COLOUR,
        "suppress_outputs": True,
        "suppress_progress": True,
        "on_event": run.seen.take,
    }


def _guarded(run: Run, program: Program, sink: OutputSink, call: Callable[[PulumiFn], object]) -> None:
    """Run with an inline program; whatever it raises comes out as itself, a fault of ours too, and not as engine text."""
    raised: list[BaseException] = []

    def inline() -> Awaitable[None] | None:
        try:
            return program(sink)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        call(inline)
    except _EngineFailedError as error:
        if raised:
            raise raised[0] from error
        raise _translated(error, run.seen) from error
    except RuntimeError as error:  # the SDK's word for a run of which no summary arrived
        raise to_error(Outcome(0, str(error), "", tuple(run.seen.diagnostics), tuple(run.seen.steps))) from error


def _translated(error: _EngineFailedError, seen: Seen) -> SealerError:
    result = error.result
    return to_error(
        Outcome(result.code, result.stderr, result.stdout, tuple(seen.diagnostics), tuple(seen.steps)),
    )


def _step(event: EngineEvent) -> StepSeen | None:
    if event.resource_pre_event:
        return _step_of(event.resource_pre_event.metadata, "before")
    if event.res_outputs_event:
        return _step_of(event.res_outputs_event.metadata, "done")
    if event.res_op_failed_event:
        return _step_of(event.res_op_failed_event.metadata, "failed")
    return None


def _step_of(metadata: StepEventMetadata, when: Literal["before", "done", "failed"]) -> StepSeen:
    op = str(getattr(metadata.op, "value", metadata.op))
    return StepSeen(
        urn=metadata.urn,
        type=metadata.type,
        name=name_of_urn(metadata.urn),
        op=op,
        when=when,
        diffs=tuple(metadata.diffs or ()),
        gone=op == REFRESH and when == "done" and metadata.new is None,
    )
