"""One step on one host: from an action to a known end. A link that dies is joined again; an end is never guessed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.apply.context import RunContext
from provisioner.apply.distribute import choose_codec, count_entries, link_lines, share_sent
from provisioner.apply.output import last_lines, to_text
from provisioner.apply.wire import host_argv, parse_reply, render_env, step_fields, step_key
from provisioner.errors import DeadlineError, HostError, HostKeyError, PreconditionError, SealerError, StepError
from provisioner.events import BytesSent, StepDone, StepStarted, Warned
from provisioner.model.facts import HostFacts
from provisioner.model.ids import HostName, hex_of
from provisioner.model.images import Codec
from provisioner.model.report import StepReport
from provisioner.model.secret import reveal
from provisioner.model.steps import LayRootfs, PutFile, RunCommand, RunScript, Step
from provisioner.transport.connection import CommandResult, Connection
from provisioner.transport.hostset import HostSet

TRIES = 3
TAIL_LINES = 20
PAUSE = 0.2
WAIT_SECONDS = 25
"""Seconds that one `wait` on a host lasts; then it is asked again, so that a dead link shows."""

_FAULTS = {
    70: "the cluster's outputs would be more than 64 KiB",
    71: "no space, or the disk cannot be written",
    72: "what arrived differs from the image",
    73: "the stream could not be unpacked",
    74: "the stream was cut",
    75: "our folders cannot be made",
    76: "something that is not ours lies at the rootfs",
    77: "the rootfs is not there",
    78: "the path leads out of the rootfs",
    79: "an earlier run of this step is still alive",
    80: "something that is not ours is mounted in our folders",
    81: "our folders could not be removed",
}
TIMED_OUT = 124
SEND_AFTER = {72, 77}
"""A rootfs that is not as it was when it was laid, or not there: it is sent again."""
SLOW_DISK = 20e6
"""Bytes per second at which a slow disk verifies what lies on it."""

Command = Callable[[Connection], Awaitable[CommandResult]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a script ended on the host: its exit status, masked last output, log there, output lines of its own."""

    rc: int
    tail: str
    log: str
    outputs: bytes
    recorded: bool
    timed_out: bool


class Performer:
    """Does single steps on the hosts of one run."""

    def __init__(self, hosts: HostSet, context: RunContext) -> None:
        self.hosts = hosts
        self.context = context

    async def perform(self, step: Step) -> tuple[StepReport, bytes]:
        """Do it, tell about it; returns the report and the script's output lines.

        Raises StepError (8) failed or end unknown, HostError (7), DeadlineError (11).
        """
        action = step.action
        self.context.events(StepStarted(step.host, step.id, step.title))
        began = self.context.clock.monotonic()
        ending = Ending(1, "", "", b"", recorded=False, timed_out=False)
        try:
            if isinstance(action, LayRootfs):
                ending = await self._lay(step, action)
            elif isinstance(action, PutFile):
                ending = await self._put(step, action)
            elif isinstance(action, RunScript | RunCommand):
                ending = await self._run(step, action)
            else:
                raise PreconditionError(f"{step.id} cannot be done: the plan is provisional", host=step.host)
        finally:
            seconds = self.context.clock.monotonic() - began
            self.context.events(StepDone(step.host, step.id, step.title, ending.rc, seconds))
        report = StepReport(step.id, step.host, step.title, ending.rc, seconds, ending.tail, ending.log)
        _refuse(step, ending)
        return report, ending.outputs

    # ---- rootfs and files ------------------------------------------------------------------------------------------

    async def _lay(self, step: Step, action: LayRootfs) -> Ending:
        """Switch to what lies whole on the host; send it where it does not, or is not any more as it was laid."""
        facts = self.context.facts.get(step.host)
        if isinstance(facts, HostFacts) and action.digest in facts.digests:
            result = await self._switch(step, action)
            if result.rc not in SEND_AFTER:
                return _short_ending(step, result)
        return _short_ending(step, await self._send(step, action, choose_codec(facts)))

    async def _switch(self, step: Step, action: LayRootfs) -> CommandResult:
        context = self.context
        fields = step_fields(context.author, step)
        words = host_argv(context.paths, "switch", hex_of(action.digest), context.author.run, fields)
        limit = context.patience.command + context.archives.changeset.total / SLOW_DISK
        return await self.repeatable(step.host, self._short(words, timeout=limit))

    async def _send(self, step: Step, action: LayRootfs, codec: Codec) -> CommandResult:
        context = self.context
        archive = await context.archives.get(codec)
        context.failpoint("archive-written")
        links = link_lines(context.archives.changeset)
        lengths = (len(archive.manifest), len(links), *count_entries(context.archives.changeset))
        words = host_argv(
            context.paths,
            "lay",
            hex_of(action.digest),
            context.author.run,
            codec.value,
            *lengths,
            step_fields(context.author, step),
        )

        def progress(sent: int) -> None:
            context.events(BytesSent(step.host, share_sent(sent, archive), archive.total))
            context.failpoint("rootfs-sending")

        async def stream(connection: Connection) -> CommandResult:
            prefix = archive.manifest + links
            return await connection.send(
                words, archive.path, prefix=prefix, idle=context.patience.idle, progress=progress
            )

        async with context.archives.gate:
            return await self.repeatable(step.host, stream)

    async def _put(self, step: Step, action: PutFile) -> Ending:
        content = reveal(action.content).encode("utf-8", "surrogateescape")
        fields = step_fields(self.context.author, step)
        mode = f"{action.mode:04o}"
        words = host_argv(self.context.paths, "put", action.path, mode, len(content), self.context.author.run, fields)
        return _short_ending(step, await self.repeatable(step.host, self._short(words, content)))

    # ---- scripts ---------------------------------------------------------------------------------------------------

    async def _run(self, step: Step, action: RunScript | RunCommand) -> Ending:
        if isinstance(action, RunScript):
            mode, words = "script", (f"./{action.path}", *action.args)
        else:
            mode, words = "command", ("sh", "-c", action.command)
        run, key = self.context.author.run, step_key(step.id)
        limit = max(1, math.ceil(action.timeout))
        env = render_env(action.env)
        fields = step_fields(self.context.author, step)
        argv = host_argv(self.context.paths, "run", run, key, step.id, limit, fields, len(env), mode, *words)
        start = self._short(argv, env, timeout=action.timeout + self.context.patience.grace)
        give_up = self.context.clock.monotonic() + action.timeout + self.context.patience.link
        reply = await self._end_of(step, start)
        while reply is None or reply["ended"] in {b"running", b"unstarted"}:
            if self.context.clock.monotonic() > give_up:
                raise _unknown_end(step, "no answer from the host in time")
            if reply is not None and reply["ended"] == b"unstarted":
                reply = await self._begin_again(step, start, reply)
                continue
            await self.context.clock.sleep(PAUSE)
            await self._rejoin(step.host)
            wait = host_argv(self.context.paths, "wait", run, key, WAIT_SECONDS)
            reply = await self._end_of(step, self._short(wait))
        return self._ending(step, reply)

    async def _begin_again(self, step: Step, start: Command, before: Mapping[str, bytes]) -> Mapping[str, bytes] | None:
        """What never began may be begun; if the host says why it could not, that is the end."""
        if before["errors"]:
            text = to_text(self.context.masker.mask(before["errors"]))
            raise StepError(f"{step.title} could not be started on {step.host}", host=step.host, evidence=text)
        reply = await self._end_of(step, start)
        if reply is not None and reply["ended"] == b"unstarted":
            raise StepError(f"{step.title} could not be started on {step.host}", host=step.host)
        return reply

    async def _end_of(self, step: Step, command: Command) -> Mapping[str, bytes] | None:
        """The reply, or None where the link died before it came."""
        try:
            result = await command(self.hosts.get(step.host))
        except HostKeyError:
            raise
        except (HostError, DeadlineError):
            return None
        if result.rc is None:
            return None
        if result.rc != 0:
            raise _host_fault(step, result)
        reply = parse_reply(result.stdout, step.host)
        if "ended" not in reply or not {"log", "tail", "errors", "outputs"} <= reply.keys():
            raise HostError(f"the reply of {step.host} makes no sense", host=step.host)
        return reply

    def _ending(self, step: Step, reply: Mapping[str, bytes]) -> Ending:
        masker = self.context.masker
        tail = to_text(masker.mask(reply["tail"], cut=True))
        log = to_text(reply["log"])
        if reply["ended"] != b"done" or not reply.get("rc", b"").isdigit():
            raise _unknown_end(step, "the process is gone and left no exit status", tail, log)
        if "outputs_lost" in reply:
            text = f"the outputs of {step.title} on {step.host} are left out: all together would be more than 64 KiB"
            self.context.events(Warned(text, hint="write less to $SEALER_OUTPUT"))
        return Ending(
            rc=int(reply["rc"]),
            tail=tail,
            log=log,
            outputs=reply["outputs"],
            recorded="recorded" in reply,
            timed_out="timeout" in reply,
        )

    # ---- links -----------------------------------------------------------------------------------------------------

    def _short(self, words: Sequence[str], stdin: bytes = b"", *, timeout: float | None = None) -> Command:
        limit = self.context.patience.command if timeout is None else timeout

        async def command(connection: Connection) -> CommandResult:
            return await connection.run(words, stdin=stdin, timeout=limit)

        return command

    async def repeatable(self, host: HostName, command: Command) -> CommandResult:
        """Run what may safely be run again until its end is known. Raises HostError when the link dies each time."""
        used: Connection | None = None
        for attempt in range(TRIES):
            if attempt:
                await self._rejoin(host, used)
            try:
                used = self.hosts.get(host)
                result = await command(used)
            except HostKeyError:
                raise
            except HostError as error:
                last: SealerError = error
                continue
            if result.rc is not None:
                return result
            last = HostError(f"the link to {host} died", host=host)
        raise last

    async def call(
        self, host: HostName, verb: str, *args: str | int, stdin: bytes = b"", more: float = 0.0
    ) -> CommandResult:
        """Run a verb that may be repeated and may take `more` seconds than a short one. Raises HostError also if it fails."""
        words = host_argv(self.context.paths, verb, *args)
        limit = self.context.patience.command + more
        result = await self.repeatable(host, self._short(words, stdin, timeout=limit))
        if not result.ok:
            why = _FAULTS.get(result.rc or 0, f"exit status {result.rc}")
            said = to_text(self.context.masker.mask(result.stderr[:2000]))
            raise HostError(f"{verb} on {host}: {why}", host=host, evidence=said)
        return result

    async def _rejoin(self, host: HostName, dead: Connection | None = None) -> None:
        """A fresh connection (or the one that another work opened since `dead` died), tried for a while. Raises HostError."""
        clock = self.context.clock
        give_up = clock.monotonic() + self.context.patience.link
        pause = 0.2
        while True:
            try:
                await self.hosts.reconnect(host, dead)
            except HostKeyError:
                raise
            except HostError:
                if clock.monotonic() > give_up:
                    raise
                await clock.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return


def _short_ending(step: Step, result: CommandResult) -> Ending:
    if result.rc != 0:
        raise _host_fault(step, result)
    return Ending(0, "", "", b"", recorded=True, timed_out=False)


def _host_fault(step: Step, result: CommandResult) -> StepError:
    why = _FAULTS.get(result.rc or 0, f"exit status {result.rc}")
    text = to_text(result.stderr[-4000:])
    return StepError(
        f"{step.title} failed on {step.host}: {why}", host=step.host, evidence=last_lines(text, TAIL_LINES)
    )


def _refuse(step: Step, ending: Ending) -> None:
    if ending.rc == 0 and ending.recorded:
        return
    if ending.rc == 0:
        what = "ended well, but that could not be written down"
    elif ending.timed_out and ending.rc == TIMED_OUT:
        what = "took too long and was ended"
    else:
        what = f"failed with exit status {ending.rc}"
    raise StepError(
        f"{step.title} on {step.host} {what}",
        host=step.host,
        hint=f"the whole log: {ending.log} on {step.host}",
        evidence=last_lines(ending.tail, TAIL_LINES),
    )


def _unknown_end(step: Step, why: str, tail: str = "", log: str = "") -> StepError:
    hint = f"the log so far: {log} on {step.host}" if log else ""
    return StepError(
        f"{step.title} on {step.host} began and its end is unknown: {why}",
        host=step.host,
        hint=hint,
        evidence=last_lines(tail, TAIL_LINES),
    )
