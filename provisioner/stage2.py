"""Stage 2 as verbs: read hosts, check them, do a plan on them, say goodbye. Knows no engine and no provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from provisioner.apply import preflight as checks
from provisioner.apply.context import RunContext
from provisioner.apply.env import EnvItems, derived_env, peers_of, script_env, user_env
from provisioner.apply.env import Phase as Why
from provisioner.apply.execute import run_plan
from provisioner.apply.facts import Reading, read_all, read_look
from provisioner.apply.healthwait import reason_of
from provisioner.apply.keep import keep_record
from provisioner.apply.perform import Performer
from provisioner.apply.settle import settle_runs
from provisioner.apply.undo import Remains, look_remains, undo_host
from provisioner.apply.wire import parse_reply, render_env
from provisioner.errors import InterruptedRunError, SealerError
from provisioner.events import Phase, PhaseDone, PhaseStarted, Warned
from provisioner.model.accepted import Accepted
from provisioner.model.facts import FactMap, HostFacts, Unreadable
from provisioner.model.hosts import ClusterKeys, Inventory, WantedHost, is_master
from provisioner.model.ids import CLUSTER_SCOPE, ClusterId, ClusterName, HostName, StepId, step_id
from provisioner.model.paths import HostPaths
from provisioner.model.plan import ApplyPlan
from provisioner.model.report import ApplyReport, HostStatus
from provisioner.model.secret import Value
from provisioner.model.steps import RunScript, Step, StepKind, StepState
from provisioner.transport.hostset import HostSet

PREFLIGHT = "scripts/preflight.sh"
PREFLIGHT_SECONDS = 60
REMOVE = "scripts/remove.sh"
REMOVE_SECONDS = 60.0

Envs = Mapping[HostName, EnvItems]


@dataclass(frozen=True, slots=True)
class EnvSource:
    """What the env of scripts is made of: the image's ENV, the cluster's values, the pools' values by pool name."""

    accepted: Accepted
    image: Mapping[str, str]
    values: Mapping[str, Value]
    pool_values: Mapping[str, Mapping[str, Value]]


def host_paths(accepted: Accepted, cid: ClusterId) -> HostPaths:
    """Where the cluster lies on its hosts."""
    return HostPaths(ClusterName(accepted.cluster), cid, accepted.data_root)


def look_envs(source: EnvSource, inventory: Inventory, why: Mapping[HostName, Why] | Why = Why.CREATE) -> Envs:
    """The env of scripts that only look (health.sh, preflight.sh) or say goodbye, for every wanted host with a machine.

    `why` is their SEALER_PHASE, for all or by host; a host that is not in it sees `create`, as does a look that comes
    before anything is known of the hosts.
    """
    return _envs(source, source.accepted.wanted, inventory, why)


def leave_envs(source: EnvSource, inventory: Inventory) -> Envs:
    """The env of scripts on every machine that there is, wanted or not: their SEALER_PHASE is `leave`."""
    wanted = {host.name: host for host in source.accepted.wanted}
    hosts = tuple(wanted.get(h.name) or WantedHost(h.name, "", h.roles, 0) for h in inventory.hosts)
    return _envs(source, hosts, inventory, Why.LEAVE)


def _envs(
    source: EnvSource, hosts: tuple[WantedHost, ...], inventory: Inventory, why: Mapping[HostName, Why] | Why
) -> Envs:
    peers = {peer.name: peer for peer in peers_of(hosts, inventory)}
    paths = host_paths(source.accepted, inventory.cid)
    envs = {}
    for host in hosts:
        if host.name in peers:
            user = user_env(source.image, source.values, source.pool_values.get(host.pool, {}))
            phase = why if isinstance(why, Why) else why.get(host.name, Why.CREATE)
            derived = derived_env(peers[host.name], phase, paths, tuple(peers.values()))
            envs[host.name] = script_env(derived, user)
    return envs


async def read_hosts(hosts: HostSet, reading: Reading) -> FactMap:
    """Read every host once, at the same time; writes nothing. Raises PreconditionError (12) for a bad ledger."""
    return await read_all(hosts, reading)


async def settle(hosts: HostSet, facts: FactMap, reading: Reading, context: RunContext) -> FactMap:
    """Wait for what an earlier run left running on the hosts and have its end recorded; then those are read again.

    Needs the cluster's lock. Raises DeadlineError (11) when such a step does not end.
    """
    return await settle_runs(hosts, facts, reading, context)


async def keep(hosts: HostSet, context: RunContext, accepted: Accepted, keys: ClusterKeys) -> None:
    """Have the masters keep what was accepted, so that the cluster can be adopted where its state is lost.

    `context.facts` say who keeps it already. Never raises for a host: what fails is a warning.
    """
    await keep_record(hosts, context, accepted, keys)


async def preflight(hosts: HostSet, facts: FactMap, context: RunContext, envs: Envs) -> None:
    """Check all hosts, then run the image's preflight.sh on those that get this image; nothing is laid yet.

    Raises UsageError (3) a host is somebody else's, PreconditionError (12) all lacks of all hosts, ImageError (4).
    """
    context.events(PhaseStarted(Phase.PREFLIGHT, len(facts)))
    began = context.clock.monotonic()
    image, changeset = context.archives.image, context.archives.changeset
    checks.check_all(facts, image, changeset)
    script = changeset.texts.get(PREFLIGHT)
    if script is not None:
        fresh = [n for n, f in facts.items() if isinstance(f, HostFacts) and image.digest not in f.digests]
        performer = Performer(hosts, context)
        said = await asyncio.gather(*(_probe(performer, name, envs.get(name, ()), script) for name in fresh))
        checks.refuse_lacks(dict(zip(fresh, said, strict=True)))
    context.events(PhaseDone(Phase.PREFLIGHT, f"{len(facts)} of {len(facts)}", context.clock.monotonic() - began))
    context.failpoint("preflight-done")


async def _probe(performer: Performer, host: HostName, env: EnvItems, script: bytes) -> list[str]:
    lines = render_env(env)
    result = await performer.call(
        host, "probe", PREFLIGHT_SECONDS, len(lines), stdin=lines + script, more=PREFLIGHT_SECONDS
    )
    reply = parse_reply(result.stdout, host)
    look = read_look(reply, performer.context.masker)
    if look is None or look.rc == 0:
        return []
    return [f"{PREFLIGHT} says no (exit status {look.rc}): {look.line or 'without a word'}"]


async def apply(plan: ApplyPlan, hosts: HostSet, context: RunContext) -> ApplyReport:
    """Do the plan. Raises as `run_plan` does."""
    return await run_plan(plan, hosts, context)


def read_status(inventory: Inventory, facts: FactMap) -> tuple[HostStatus, ...]:
    """Every host in one line of `status`. Steps are counted as the ledger knows them."""
    return tuple(
        replace(_status(facts.get(host.name)), name=host.name, address=host.address, roles=host.roles)
        for host in inventory.hosts
    )


def _status(facts: HostFacts | Unreadable | None) -> HostStatus:
    empty = HostStatus(HostName(""), "", (), "unreachable", "", 0, 0)
    if facts is None:
        return empty
    if isinstance(facts, Unreadable):
        return replace(empty, state="stopped" if facts.stopped else "unreachable", line=facts.reason)
    steps = {entry.step for entry in facts.ledger.entries}
    records = [facts.ledger.record(StepId(step)) for step in steps]
    done = sum(r.last_done is not None and r.last_failed is None and r.open_intent is None for r in records)
    state, line = _state(facts)
    return replace(empty, state=state, line=line, done=done, total=len(records))


def _state(facts: HostFacts) -> tuple[str, str]:
    if facts.health is None:
        return _unasked(facts)
    words = {0: "healthy", 75: "starting"}
    return words.get(facts.health.rc, "unhealthy"), reason_of(facts.health)


def _unasked(facts: HostFacts) -> tuple[str, str]:
    """Health is asked only where start.sh did its work in this boot; elsewhere its absence must not look like health."""
    if not facts.current:
        return "empty", ""
    starts = [e for e in facts.ledger.entries if e.kind == StepKind.START and e.event == "result"]
    if not starts:
        return "laid", ""
    if starts[-1].rc != 0:
        return "unhealthy", "start.sh failed"
    return ("laid", "") if starts[-1].boot_id == facts.boot_id else ("unhealthy", "booted since; start.sh is due")


async def remove_hooks(hosts: HostSet, facts: FactMap, envs: Envs, context: RunContext) -> None:
    """Run remove.sh on the first master that answers, within 60 s. What goes wrong is a warning: the machines go anyway."""
    first = _first_master(hosts, facts)
    if first is None:
        context.events(Warned("no master answers, so scripts/remove.sh was not run"))
        return
    identity = step_id(CLUSTER_SCOPE, StepKind.REMOVE, "remove.sh")
    action = RunScript(REMOVE, (), tuple(envs.get(first, ())), REMOVE_SECONDS)
    step = Step(identity, first, StepKind.REMOVE, "remove.sh", StepState.NEW, "", action)
    try:
        async with asyncio.timeout(REMOVE_SECONDS + context.patience.grace):
            await Performer(hosts, context).perform(step)
    except (SealerError, TimeoutError) as error:
        text = error.message if isinstance(error, SealerError) else "it took too long"
        context.events(Warned(f"scripts/remove.sh on {first}: {text}", hint="the machines are removed all the same"))


def _first_master(hosts: HostSet, facts: FactMap) -> HostName | None:
    for host in hosts.inventory.hosts:
        found = facts.get(host.name)
        laid = isinstance(found, HostFacts) and found.current is not None  # without a rootfs there is no script
        if is_master(host.roles) and laid and host.name in hosts.connections:
            return host.name
    return None


async def remains(hosts: HostSet, context: RunContext) -> Mapping[HostName, Remains | SealerError]:
    """What is left of the cluster on each host, or why that cannot be told; reads only."""
    performer = Performer(hosts, context)
    return await _each(hosts, lambda name: look_remains(performer, name))


async def undo(
    hosts: HostSet, envs: Envs, context: RunContext, *, delete_data: bool
) -> Mapping[HostName, Remains | SealerError]:
    """Undo on every host at once: clean.sh, then all that we made. What there was, or why it is still there, by host."""
    performer = Performer(hosts, context)
    return await _each(
        hosts, lambda name: undo_host(performer, name, tuple(envs.get(name, ())), delete_data=delete_data)
    )


async def _each(
    hosts: HostSet, work: Callable[[HostName], Awaitable[Remains]]
) -> Mapping[HostName, Remains | SealerError]:
    async def one(name: HostName) -> Remains | SealerError:
        try:
            hosts.get(name)  # who has no connection is not tried for minutes
            return await work(name)
        except InterruptedRunError:
            raise
        except SealerError as error:
            return error

    names = [h.name for h in hosts.inventory.hosts]
    return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))
