"""Running a plan: barriers in a fixed order, all hosts together between them, restarts one host at a time.

    rootfs ─ files ─ joining hosts, one by one ─ init ─ start ─ reconfigure ─ health ─ records ─ leaving members ─ CMD
        ─ a last look

A step that fails lets the other hosts end that step; then nobody goes on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from provisioner.apply.context import RunContext
from provisioner.apply.healthwait import wait_health
from provisioner.apply.outputs import (
    decode_outputs,
    merge_outputs,
    outputs_of,
    parse_outputs,
    render_outputs,
    show_outputs,
)
from provisioner.apply.perform import Performer
from provisioner.apply.progress import Progressing, explain
from provisioner.apply.wire import scope_of, step_fields, step_key
from provisioner.errors import DeadlineError, HostError, PreconditionError, SealerError, worst_of
from provisioner.events import Phase, StepDone, StepStarted, Warned
from provisioner.model.facts import HealthReading
from provisioner.model.hosts import is_master
from provisioner.model.ids import CLUSTER_SCOPE, HostName
from provisioner.model.plan import ApplyPlan
from provisioner.model.report import ApplyReport, StepReport
from provisioner.model.steps import Record, RunScript, Step, StepKind
from provisioner.transport.hostset import HostSet


async def run_plan(plan: ApplyPlan, hosts: HostSet, context: RunContext) -> ApplyReport:
    """Do everything in the plan; returns what was done.

    Raises StepError (8), DeadlineError (11), HostError (7), InterruptedRunError (130), each saying in its hint what is
    done, what is not, and how to go on; PreconditionError (12) for a provisional plan, before anything is done.
    """
    missing = [s.id for h in plan.hosts for s in h.steps if s.action is None]
    if missing:
        raise PreconditionError(f"this plan is provisional: {missing[0]} is not worked out yet")
    runner = _Runner(plan, Performer(hosts, context))
    try:
        await runner.run()
    except SealerError as error:
        explain(error, plan, runner.reports, context.resume)
        raise
    return runner.report()


class _Runner:
    """The state of one run of one plan: what was done, what was seen."""

    def __init__(self, plan: ApplyPlan, performer: Performer) -> None:
        self.plan = plan
        self.performer = performer
        self.context = performer.context
        self.reports: list[StepReport] = []
        self.health: dict[HostName, HealthReading] = {}
        self.known = merge_outputs(plan.hosts, self.context.facts)
        self.outputs = dict(self.known)
        self.giving: dict[HostName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.progress = Progressing(self.context.clock, self.context.events)
        self.steps: tuple[Step, ...] = tuple(s for h in plan.hosts for s in h.steps)

    async def run(self) -> None:
        try:
            await self._stages()
        except DeadlineError:
            await self._record_healthy()
            raise

    async def _stages(self) -> None:
        with self.progress.phase(Phase.ROOTFS, self._of(StepKind.ROOTFS)) as work:
            await self._stage(work, "rootfs-laid", self._each)
        with self.progress.phase(Phase.STEPS, self._work()):
            await self._stage(self._of(StepKind.FILE), "files-put", self._by_host)
            await self._join_hosts()
            await self._stage(self._standing(StepKind.INIT), "init-done", self._each)
            await self._stage(self._down(), "start-done", self._each)
            await self._stage(self._rolling(), "start-done", self._roll)
            await self._stage(self._standing(StepKind.RECONFIGURE), "reconfigured", self._roll)
        with self.progress.phase(Phase.HEALTH, self._of(StepKind.HEALTH)) as waits:
            await self._stage(waits, "healthy", self._wait_all)
        await self._catch_up()
        await self._stage(self._records(), "recorded", self._record_all)
        with self.progress.phase(Phase.STEPS, self._cluster_work()):
            await self._stage(self._members(), "member-removed", self._in_order)
            await self._stage(self._of(StepKind.CMD), "cmd-recorded", self._in_order)
        await self._last_look()

    def report(self) -> ApplyReport:
        """What was done and seen."""
        shown = show_outputs(self.outputs, self.context.masker)
        return ApplyReport(tuple(self.reports), dict(self.health), shown, dict(self.progress.seconds))

    # ---- which steps -----------------------------------------------------------------------------------------------

    def _of(self, kind: StepKind) -> list[Step]:
        return [s for s in self.steps if s.kind is kind and not isinstance(s.action, Record)]

    def _standing(self, kind: StepKind) -> list[Step]:
        return [s for s in self._of(kind) if s.host not in self.plan.joining]

    def _down(self) -> list[Step]:
        return [s for s in self._standing(StepKind.START) if s.host not in self.plan.restarts]

    def _rolling(self) -> list[Step]:
        by_host = {s.host: s for s in self._standing(StepKind.START)}
        return [by_host[name] for name in self.plan.restarts if name in by_host]

    def _work(self) -> list[Step]:
        kinds = (StepKind.FILE, StepKind.INIT, StepKind.START, StepKind.RECONFIGURE)
        return [s for kind in kinds for s in self._of(kind)]

    def _cluster_work(self) -> list[Step]:
        return [*self._members(), *self._of(StepKind.CMD)]

    def _records(self) -> list[Step]:
        """What is only written down, and that the hosts became healthy: together, one round trip per host."""
        return [s for s in self.steps if isinstance(s.action, Record) or s.kind is StepKind.HEALTH]

    def _adding(self, host: HostName) -> list[Step]:
        return [s for s in self._of(StepKind.MEMBER) if s.id.endswith(f"/{host}") and _is_add(s)]

    def _members(self) -> list[Step]:
        """Membership that no joining host waits for: mostly members that leave."""
        early = {s.id for host in self.plan.joining for s in self._adding(host)}
        return [s for s in self._of(StepKind.MEMBER) if s.id not in early]

    # ---- barriers --------------------------------------------------------------------------------------------------

    async def _stage(self, steps: list[Step], failpoint: str, how: Callable[[list[Step]], Awaitable[None]]) -> None:
        if not steps:
            return
        self.context.stop.check("steps")
        await how(steps)
        self.context.failpoint(failpoint)

    async def _each(self, steps: list[Step]) -> None:
        await _together([self._do(step) for step in steps])

    async def _by_host(self, steps: list[Step]) -> None:
        hosts = dict.fromkeys(step.host for step in steps)
        await _together([self._in_order([s for s in steps if s.host == host]) for host in hosts])

    async def _in_order(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._do(step)

    async def _roll(self, steps: list[Step]) -> None:
        """One host at a time, health between; and all other hosts first, as two away at once may be one too many."""
        rolling = {step.host for step in steps}
        others = [s for s in self._of(StepKind.HEALTH) if s.host not in rolling]
        await _together([self._wait(step, told=False) for step in others])
        for step in steps:
            self.context.stop.check("steps")
            await self._do(step)
            await self._wait_host(step.host)

    async def _wait_all(self, steps: list[Step]) -> None:
        await _together([self._wait(step) for step in steps])

    async def _join_hosts(self) -> None:
        for host in self.plan.joining:
            self.context.stop.check("steps")
            await self._in_order(self._adding(host))
            self.context.failpoint("member-added")
            own = [s for kind in (StepKind.INIT, StepKind.START) for s in self._of(kind) if s.host == host]
            await self._in_order(own)
            await self._wait_host(host)
            self.context.failpoint("joined")

    async def _last_look(self) -> None:
        """After cluster-scoped work the hosts are asked once more: it may have broken what was healthy."""
        if not self._cluster_work():
            return
        await _together([self._wait(step, told=False) for step in self._of(StepKind.HEALTH)])
        self.context.failpoint("looked")

    # ---- single steps ----------------------------------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        report, outputs = await self.performer.perform(step)
        if scope_of(step.id) == CLUSTER_SCOPE:
            self.context.failpoint("cmd-done")
        await self._share(step, outputs)
        self.outputs.update(parse_outputs(decode_outputs(outputs)))
        self.reports.append(report)

    async def _wait_host(self, host: HostName) -> None:
        for step in self._of(StepKind.HEALTH):
            if step.host == host:
                await self._look(step)

    async def _look(self, step: Step) -> None:
        self.health.pop(step.host, None)
        self.health[step.host] = await wait_health(self.performer, step)

    async def _wait(self, step: Step, *, told: bool = True) -> None:
        began = self.context.clock.monotonic()
        if told:
            self.context.events(StepStarted(step.host, step.id, step.title))
        await self._look(step)
        if not told:
            return
        seconds = self.context.clock.monotonic() - began
        self.context.events(StepDone(step.host, step.id, step.title, 0, seconds))
        self.reports.append(StepReport(step.id, step.host, step.title, 0, seconds, self.health[step.host].line))

    # ---- writing down ----------------------------------------------------------------------------------------------

    async def _record_all(self, steps: list[Step]) -> None:
        own = {host: [s for s in steps if s.host == host and scope_of(s.id) != CLUSTER_SCOPE] for host in self._names()}
        cluster = [s for s in steps if scope_of(s.id) == CLUSTER_SCOPE]
        for host in self._masters():
            own[host] = [*own[host], *cluster]
        await _together([self._write_down(host, lines) for host, lines in own.items() if lines])

    async def _record_healthy(self) -> None:
        """Where others kept the run from its end: a host that is known to have been healthy may be mended later."""

        async def note(step: Step) -> None:
            with suppress(HostError, DeadlineError):  # the wait that ran out is the news
                await self._write_down(step.host, [step])

        await _together([note(step) for step in self._of(StepKind.HEALTH) if step.host in self.health])

    async def _write_down(self, host: HostName, steps: Iterable[Step]) -> None:
        lines = [f"pair 0 {step_key(s.id)} {step_fields(self.context.author, s)}\n" for s in steps]
        await self.performer.call(host, "record", stdin="".join(lines).encode())

    async def _share(self, step: Step, outputs: bytes) -> None:
        """The other masters get a step's outputs; then they are told of a cluster step: it is done if any says so."""

        async def tell(host: HostName) -> None:
            with self._warning(f"{step.title} is done, but {host} could not be told"):
                if outputs:
                    await self._give(host, outputs)
                if scope_of(step.id) == CLUSTER_SCOPE:
                    await self._write_down(host, [step])

        await _together([tell(host) for host in self._masters() if host != step.host])

    async def _catch_up(self) -> None:
        """Masters that joined, and those that a killed run did not reach, get the outputs that they lack."""

        async def give(host: HostName) -> None:
            own = outputs_of(self.context.facts, host)
            lacks = {key: self.outputs[key] for key, value in self.known.items() if own.get(key) != value}
            with self._warning(f"{host} could not be given the cluster's outputs"):
                if lacks:
                    await self._give(host, render_outputs(lacks))

        await _together([give(host) for host in self._masters()])

    async def _give(self, host: HostName, outputs: bytes) -> None:
        async with self.giving[host]:  # where a host has no flock, nothing else keeps two of them apart
            await self.performer.call(host, "outputs", len(outputs), stdin=outputs)

    @contextmanager
    def _warning(self, text: str) -> Iterator[None]:
        try:
            yield
        except HostError as error:
            self.context.events(Warned(f"{text}: {error.message}"))

    def _names(self) -> list[HostName]:
        return [h.name for h in self.plan.hosts]

    def _masters(self) -> list[HostName]:
        connected = self.performer.hosts.connections
        return [h.name for h in self.plan.hosts if is_master(h.roles) and h.name in connected]


async def _together(jobs: Sequence[Awaitable[None]]) -> None:
    """Run to the end whatever happens to the others, then raise the worst of what happened."""
    results = await asyncio.gather(*jobs, return_exceptions=True)
    errors = [r for r in results if isinstance(r, BaseException)]
    ours = [e for e in errors if isinstance(e, SealerError)]
    for error in errors:
        if not isinstance(error, SealerError):
            raise error
    if ours:
        first = worst_of(ours)
        others = sorted({e.host for e in ours if e is not first and e.host} - {first.host})
        if others:
            first.message += f" (it failed on {', '.join(others)} too)"
            first.args = (first.message,)
        raise first


def _is_add(step: Step) -> bool:
    return isinstance(step.action, RunScript) and step.action.args[:1] == ("add",)
