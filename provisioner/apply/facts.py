"""Reading a host: one round trip, one frozen value. Hostile input is capped, parsed strictly, and never evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from provisioner.apply.output import Masker, last_line, to_text
from provisioner.apply.outputs import NO_MASK, decode_outputs
from provisioner.apply.wire import EnvItems, host_argv, parse_reply, render_env
from provisioner.errors import LOOK_THERE, DeadlineError, HostError, PreconditionError, UsageError
from provisioner.model.facts import FactMap, HealthReading, HostFacts, OpenRun, Unreadable
from provisioner.model.ids import Digest, HostName, parse_digest
from provisioner.model.ledger import parse_ledger
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Secret
from provisioner.transport.connection import CommandResult, Connection
from provisioner.transport.hostset import HostSet

HOST_TOOLS = (
    *("cat", "chmod", "cut", "date", "dd", "df", "find", "grep", "head", "id", "ln", "mkdir", "mktemp", "mv"),
    *("readlink", "rm", "rmdir", "sed", "setsid", "sha256sum", "sleep", "sync", "tail", "tar", "tr", "uname", "wc"),
)
"""What the host side cannot do without."""
EXTRA_TOOLS = ("zstd", "gzip", "flock", "nproc", "python3")
"""What makes it faster or safer where it is there."""

READ_LIMIT = 16 << 20
READ_TIMEOUT = 60.0
HEALTH_SECONDS = 10
LEDGER_LIMIT = 8 << 20
"""As on the host's side: what is longer is not sent."""
PORT_LIMIT = 1 << 16

_ARCH = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: `envs` holds the env of scripts by host (none: health is not asked); `commands` are looked for."""

    paths: HostPaths
    envs: Mapping[HostName, EnvItems] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    timeout: float = READ_TIMEOUT
    health_seconds: int = HEALTH_SECONDS


async def read_all(hosts: HostSet, reading: Reading) -> FactMap:
    """Read every host at once. Hosts without a connection, or that fail to answer, are Unreadable with the reason.

    Raises PreconditionError (12) for a ledger that is newer or broken: nothing may be done then, on any host.
    """
    names = [h.name for h in hosts.inventory.hosts]
    facts = await asyncio.gather(*(_read_or_reason(hosts, name, reading) for name in names))
    return dict(zip(names, facts, strict=True))


async def _read_or_reason(hosts: HostSet, name: HostName, reading: Reading) -> HostFacts | Unreadable:
    host = hosts.inventory.host(name)
    stopped = host is not None and host.running is False
    try:
        return await read_facts(hosts.get(name), reading)
    except (HostError, DeadlineError) as error:
        return Unreadable(error.message, stopped=stopped)


async def read_facts(connection: Connection, reading: Reading) -> HostFacts:
    """Read one host; writes nothing there.

    Raises HostError (7), DeadlineError (11); PreconditionError (12) for a newer or broken ledger.
    """
    env = reading.envs.get(connection.name)
    seconds = 0 if env is None else reading.health_seconds
    tools = tuple(dict.fromkeys((*HOST_TOOLS, *EXTRA_TOOLS, *reading.commands)))
    result = await connection.run(
        host_argv(reading.paths, "read", seconds, *tools),
        stdin=b"" if env is None else render_env(env),
        timeout=reading.timeout,
        limit=READ_LIMIT,
    )
    return parse_facts(result, connection.name, reading.paths.cid, masker_of(reading))


def masker_of(reading: Reading) -> Masker:
    """Masks every secret that the reading's env holds: what a host says may repeat one, and it may be another host's."""
    return Masker(value for env in reading.envs.values() for _, value in env if isinstance(value, Secret))


def parse_facts(result: CommandResult, host: HostName, cid: str, masker: Masker = NO_MASK) -> HostFacts:
    """Facts from a reply; its health line is masked, its outputs are as they are. Raises as `read_facts` does."""
    if not result.ok:
        raise HostError(
            f"{host} could not be read (exit status {result.rc})",
            host=host,
            evidence=to_text(result.stderr[:2000]),
            hint=LOOK_THERE,
        )
    reply = parse_reply(result.stdout, host)
    text = {name: to_text(body) for name, body in reply.items() if name != "ledger"}
    try:
        return _to_facts(reply, text, host, cid, masker)
    except (KeyError, ValueError, UsageError) as error:
        raise HostError(
            f"the reply of {host} makes no sense: {type(error).__name__}",
            host=host,
            hint=LOOK_THERE,
        ) from error


def _to_facts(
    reply: Mapping[str, bytes], text: Mapping[str, str], host: HostName, cid: str, masker: Masker
) -> HostFacts:
    numbers = dict(line.split("=", 1) for line in text["facts"].splitlines())
    if int(text["ledger_size"]) > LEDGER_LIMIT:
        raise PreconditionError(
            f"the ledger of {host} is larger than {LEDGER_LIMIT >> 20} MiB",
            host=host,
            hint="without the whole of it `up` refuses to guess; `sealer-cloud down` still works",
        )
    ledger = parse_ledger(reply["ledger"].decode("utf-8", "backslashreplace"), host)
    return HostFacts(
        arch=_ARCH.get(numbers["arch"], numbers["arch"][:40]),
        cpus=int(numbers["cpus"]),
        memory=int(numbers["memory_kib"]) * 1024,
        disk_free=int(numbers["disk_free_kib"]) * 1024,
        boot_id=numbers["boot_id"][:64],
        uid=int(numbers["uid"]),
        tools=frozenset(text["tools"].splitlines()),
        ports=frozenset(p for p in map(int, text["ports"].splitlines()) if p < PORT_LIMIT),
        other_cids=tuple(c[:80] for c in text["others"].splitlines() if c != cid),
        name_taken=text["taken"] == "yes",
        digests=frozenset(_digests(text["laid"].splitlines())),
        current=next(_digests([text["current"].removeprefix("rootfs.d/")]), None),
        health=read_look(reply, masker),
        open_runs=tuple(parse_open_run(line) for line in text["open_runs"].splitlines()),
        ledger=ledger,
        outputs=decode_outputs(reply["outputs"]),
        kept=text.get("kept", "")[:64],
    )


def _digests(names: Iterable[str]) -> Iterator[Digest]:
    for name in names:
        try:
            yield parse_digest(f"sha256:{name}")
        except UsageError:
            continue  # not laid by us


def parse_open_run(line: str) -> OpenRun:
    """One line of the host side's open runs. Raises ValueError where it makes no sense."""
    life, rc, run, step = line.split(" ", 3)
    return OpenRun(step=step, run=run, alive=life == "alive", rc=None if rc == "-" else int(rc))


def read_look(reply: Mapping[str, bytes], masker: Masker) -> HealthReading | None:
    """The look at a host's health in a reply, if it was asked, masked. Raises ValueError where it makes no sense."""
    if "health_rc" not in reply:
        return None
    return HealthReading(int(reply["health_rc"]), last_line(masker.mask(reply["health_tail"], cut=True)))
