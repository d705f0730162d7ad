"""What an earlier run left: wrappers that still live are waited for, ends that were not written down are."""

from __future__ import annotations

import asyncio

from provisioner.apply.context import RunContext
from provisioner.apply.facts import Reading, read_facts
from provisioner.apply.perform import WAIT_SECONDS, Performer
from provisioner.apply.wire import parse_reply, step_key
from provisioner.errors import DeadlineError
from provisioner.events import Warned
from provisioner.model.facts import FactMap, HostFacts, OpenRun, Unreadable
from provisioner.model.ids import HostName, StepId
from provisioner.transport.hostset import HostSet


async def settle_runs(hosts: HostSet, facts: FactMap, reading: Reading, context: RunContext) -> FactMap:
    """Facts after everything that ran has ended. A step that died without a status stays open: its end is unknown.

    Raises DeadlineError (11) naming host and step when one does not end within `patience.settle` seconds.
    """
    performer = Performer(hosts, context)
    found = await asyncio.gather(*(_settle_host(performer, name, facts[name], reading) for name in facts))
    return dict(zip(facts, found, strict=True))


async def _settle_host(
    performer: Performer, host: HostName, facts: HostFacts | Unreadable, reading: Reading
) -> HostFacts | Unreadable:
    if isinstance(facts, Unreadable):
        return facts
    open_runs = [run for run in facts.open_runs if run.alive or run.rc is not None]
    if not open_runs:
        return facts
    for run in open_runs:
        await wait_for_run(performer, host, run)
    return await read_facts(performer.hosts.get(host), reading)


async def wait_for_run(performer: Performer, host: HostName, run: OpenRun) -> None:
    """Wait for the end of a run that somebody else began, and have it recorded. Raises DeadlineError (11)."""
    context = performer.context
    give_up = context.clock.monotonic() + context.patience.settle
    if run.alive:
        context.events(Warned(f"{run.step} of an earlier run is still at work on {host}; waiting for its end"))
    while True:
        context.stop.check("steps")
        result = await performer.call(host, "wait", run.run, step_key(StepId(run.step)), WAIT_SECONDS)
        if parse_reply(result.stdout, host).get("ended") != b"running":
            return
        if context.clock.monotonic() > give_up:
            raise DeadlineError(
                f"{run.step} of an earlier run is still at work on {host}",
                host=host,
                hint="run the same command again later, or end that process on the host",
            )
