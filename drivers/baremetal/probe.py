"""Looking at machines that exist, by one command each: which machine it is, and whose clusters lie on it. Reads only."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from provisioner.errors import LOOK_THERE, DeadlineError, HostError, SealerError
from provisioner.model.hosts import NO_KEYS, InventoryHost
from provisioner.model.ids import HostName
from provisioner.model.paths import STATE_ROOT
from provisioner.transport.connection import Connect
from provisioner.transport.hostkeys import is_fingerprint

SECONDS = 15.0
CONNECT_SECONDS = 8.0
AT_ONCE = 32
LIMIT = 1 << 16

# `sh -c SCRIPT sealer-probe STATE_ROOT BASE`: lines that begin with `@sealer `, as start-up files may print too.
SCRIPT = r"""
for file in /etc/machine-id /var/lib/dbus/machine-id; do
  [ -s "$file" ] && read -r id <"$file" && printf '@sealer machine %s\n' "$id" && break
done
printf '@sealer uid %s\n' "$(id -u)"
for folder in "$1"/*; do
  [ ! -f "$folder/ledger.jsonl" ] || printf '@sealer holds %s\n' "${folder##*/}"
done
[ -z "$2" ] || [ ! -e "$2" ] || printf '@sealer taken %s\n' "$2"
printf '@sealer end\n'
"""
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_CID = re.compile(r"[a-z0-9-]{3,80}")
_NARROW = threading.BoundedSemaphore(5)
"""OpenSSH drops connections at random beyond ten that are not logged in yet (MaxStartups)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One machine: its own id, its key as a public key, the clusters whose state it holds, and if `base` is there."""

    machine_id: str
    host_keys: tuple[str, ...]
    cids: tuple[str, ...]
    taken: bool


Probe = Callable[[InventoryHost], Seen]
"""Look at one machine. Raises HostError (7), AccessError (5), DeadlineError (11)."""


def probe(host: InventoryHost) -> Seen:
    """Look at one machine over SSH. Raises HostError (7), AccessError (5), DeadlineError (11).

    The engine asks for many at once, each on a connection of its own: a jump host would turn some of them away.
    """
    with _NARROW if host.jump else nullcontext():
        found = probe_all((host,))[host.name]
    if isinstance(found, SealerError):
        raise found
    return found


def probe_all(
    hosts: tuple[InventoryHost, ...], connect: Connect | None = None, base: str = ""
) -> Mapping[HostName, Seen | SealerError]:
    """Look at all machines at once; what went wrong stands in the place of what was seen. Blocks, in any thread."""
    if connect is None:
        from provisioner.transport.ssh import make_connect

        connect = make_connect(timeout=CONNECT_SECONDS)
    result: dict[HostName, Seen | SealerError] = {}
    look = _look_all(hosts, connect, base, result)
    # A thread of its own: whoever calls may be in an event loop already.
    failed: list[BaseException] = []
    thread = threading.Thread(target=_run, args=(look, failed))
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result


def _run(look: object, failed: list[BaseException]) -> None:
    try:
        asyncio.run(look)  # type: ignore[arg-type]  # a coroutine; it is made by the caller, so that mypy sees its types
    except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
        failed.append(error)


async def _look_all(
    hosts: tuple[InventoryHost, ...], connect: Connect, base: str, result: dict[HostName, Seen | SealerError]
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(host: InventoryHost) -> None:
        async with gate:
            try:
                result[host.name] = await _look(host, connect, base)
            except SealerError as error:
                result[host.name] = error

    await asyncio.gather(*(one(host) for host in hosts))


async def _look(host: InventoryHost, connect: Connect, base: str) -> Seen:
    connection = await connect(host, NO_KEYS)
    try:
        words = ("sh", "-c", SCRIPT, "sealer-probe", STATE_ROOT, base)
        done = await connection.run(words, timeout=SECONDS, limit=LIMIT)
        key = connection.host_key
    except DeadlineError as error:
        raise HostError(
            f"{host.name} did not answer within {SECONDS:g} s",
            host=host.name,
            hint="log in there and look what it is busy with; then run the same command again",
        ) from error
    finally:
        await connection.close()
    if not done.ok:
        text = done.stderr[:500].decode("utf-8", "replace")
        raise HostError(
            f"{host.name} could not be looked at (exit status {done.rc})",
            host=host.name,
            evidence=text,
            hint=LOOK_THERE,
        )
    return to_seen(done.stdout.decode("utf-8", "replace"), host, key)


def to_seen(text: str, host: InventoryHost, key: str) -> Seen:
    """What a machine said, read strictly. Raises HostError where it makes no sense, or we are not root there."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split(" ", 2)
        if words[0] == "@sealer" and len(words) > 1:
            said.setdefault(words[1], []).append(words[2] if len(words) > 2 else "")  # noqa: PLR2004 - mark, key, value
    if "end" not in said or said.get("uid") != ["0"]:
        raise HostError(
            f"{host.name}: {host.ssh.user} does not act as root there",
            host=host.name,
            hint="log in as root, or as a user with passwordless sudo",
        )
    ids = [i for i in said.get("machine", ()) if _ID.fullmatch(i)]
    # A machine without an id of its own is known by its host key.
    machine = ids[0] if ids else hashlib.sha256((key or "".join(host.host_keys)).encode()).hexdigest()[:32]
    cids = tuple(cid for cid in said.get("holds", ()) if _CID.fullmatch(cid))
    return Seen(machine, public_keys(host.host_keys, key), cids, "taken" in said)


def public_keys(pins: tuple[str, ...], shown: str) -> tuple[str, ...]:
    """The pins with the key that was shown in the place of fingerprints: `ssh` itself can only be told keys."""
    known = tuple(pin for pin in pins if not is_fingerprint(pin))
    if len(known) == len(pins) or not shown:
        return pins
    return tuple(dict.fromkeys((*known, shown)))


def strangers(host: InventoryHost, seen: Seen, cid: str | None, base: str) -> str:
    """Why the machine is not free for the cluster, "" where it is."""
    others = [other for other in seen.cids if other != cid]
    if others:
        return f"{host.name} holds {', '.join(others)}"
    if seen.taken and cid not in seen.cids:
        return f"{host.name} has a folder {base} that no state of ours goes with"
    return ""
