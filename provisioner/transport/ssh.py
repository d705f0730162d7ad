"""SSH by asyncssh: pinned host keys, one login key, nothing of the operator's own SSH configuration.

Foreign exceptions end here, by one table. A command whose channel closes without a status has an unknown end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh

from provisioner.errors import DeadlineError, HostError, HostKeyError, PreconditionError
from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.model.ids import HostName
from provisioner.transport.argv import quote_words, render_log
from provisioner.transport.connection import OUTPUT_LIMIT, Argv, CommandResult, Connect, Connection
from provisioner.transport.hostkeys import pins_of

SLICE = 256 * 1024
"""Bytes per write of a stream: larger ones cost memory per slow host, smaller ones CPU."""
READ = 64 * 1024
SESSIONS = 8
"""Commands at once on one connection; OpenSSH allows ten sessions."""

# AES-GCM costs half of the default ChaCha20 on every processor with AES instructions; it stays for those without.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
CONNECT_TIMEOUT = 10.0
KEEPALIVE_SECONDS = 15.0
KEEPALIVE_COUNT = 4


def make_connect(*, timeout: float = CONNECT_TIMEOUT, keepalive: float = KEEPALIVE_SECONDS) -> Connect:
    """A Connect over SSH. `timeout` bounds reaching a host and logging in, each; a dead link shows after 4 keepalives.

    Raises HostError (7): HostKeyError for another key than the pinned ones, before any login is tried.
    """
    # Its INFO lines hold command lines; ours hold no secret, but a habit is safer than a rule.
    asyncssh.set_log_level(logging.WARNING)
    cache: dict[ClusterKeys, asyncssh.SSHKey] = {}

    async def connect(host: InventoryHost, keys: ClusterKeys) -> Connection:
        pins = _load_pins(host)
        if keys not in cache:
            cache[keys] = _load_key(keys)
        try:
            connection = await asyncssh.connect(
                host.ssh.host, host.ssh.port, **_options(host, pins, cache[keys], timeout, keepalive)
            )
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise to_host_error(error, host) from error
        return SshConnection(host.name, connection)

    return connect


def _options(
    host: InventoryHost, pins: list[asyncssh.SSHKey], key: asyncssh.SSHKey, timeout: float, keepalive: float
) -> dict[str, Any]:
    return {
        "username": host.ssh.user,
        # An explicit list: None, or a person's `UserKnownHostsFile none`, would connect unchecked.
        "known_hosts": (pins, [], []),
        "config": None,
        "client_keys": [key],
        "preferred_auth": "publickey",
        "agent_path": None,
        "agent_forwarding": False,
        "gss_host": None,
        "encryption_algs": list(CIPHERS),
        "compression_algs": None,
        "keepalive_interval": keepalive,
        "keepalive_count_max": KEEPALIVE_COUNT,
        "connect_timeout": timeout,
        "login_timeout": timeout,
    }


def _load_pins(host: InventoryHost) -> list[asyncssh.SSHKey]:
    try:
        return [asyncssh.import_public_key(pin) for pin in pins_of(host)]
    except asyncssh.KeyImportError as error:
        raise HostError(f"the pinned key of {host.name} is no public key", host=host.name) from error


def _load_key(keys: ClusterKeys) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(keys.login_private.reveal())
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        # The exception's text could quote the key: only our words go on.
        raise HostError("the cluster's login key cannot be read") from error


def to_host_error(error: Exception, host: InventoryHost) -> HostError:
    """The one table from asyncssh's and the system's errors to ours."""
    where = f"{host.name} ({host.ssh.host} port {host.ssh.port})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return HostKeyError(
            f"{where} showed another key than the pinned one",
            host=host.name,
            hint="another machine answers at this address; nothing was sent to it",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return HostError(f"{where} refused the cluster's login key for user {host.ssh.user}", host=host.name)
    if isinstance(error, ConnectionRefusedError):
        return HostError(f"{where} refused the connection", host=host.name, hint="is its SSH server running?")
    if isinstance(error, TimeoutError):
        return HostError(f"{where} did not answer in time", host=host.name, hint="is the machine up and reachable?")
    text = str(error).split("\n", 1)[0][:200]
    return HostError(f"{where} cannot be reached: {text or type(error).__name__}", host=host.name)


class SshConnection:
    """One verified SSH connection; keeps the Connection contract."""

    def __init__(self, name: HostName, connection: asyncssh.SSHClientConnection) -> None:
        self.name = name
        self._connection = connection
        self._sessions = asyncio.Semaphore(SESSIONS)

    async def run(self, argv: Argv, *, stdin: bytes = b"", timeout: float, limit: int = OUTPUT_LIMIT) -> CommandResult:
        """See Connection.run."""
        async with self._sessions:
            try:
                async with asyncio.timeout(timeout):
                    return await self._exchange(argv, iter((stdin,)), limit, lambda _sent: None)
            except TimeoutError as error:
                raise DeadlineError(
                    f"{self.name}: no end within {timeout:g} s: {render_log(argv)}", host=self.name
                ) from error

    async def send(
        self, argv: Argv, source: Path, *, prefix: bytes = b"", idle: float, progress: Callable[[int], None]
    ) -> CommandResult:
        """See Connection.send."""
        clock = asyncio.get_running_loop().time
        async with self._sessions:
            try:
                async with asyncio.timeout(idle) as deadline:

                    def moved(sent: int) -> None:
                        deadline.reschedule(clock() + idle)
                        progress(max(0, sent - len(prefix)))

                    def heard() -> None:
                        deadline.reschedule(clock() + idle)

                    return await self._exchange(argv, slices_of(source, prefix), OUTPUT_LIMIT, moved, heard)
            except TimeoutError as error:
                raise DeadlineError(f"{self.name}: nothing moved for {idle:g} s", host=self.name) from error

    async def close(self) -> None:
        """See Connection.close."""
        self._connection.close()
        try:
            await asyncio.wait_for(self._connection.wait_closed(), 2)
        except (asyncssh.Error, OSError, TimeoutError):
            self._connection.abort()

    async def _exchange(
        self,
        argv: Argv,
        chunks: Iterator[bytes],
        limit: int,
        progress: Callable[[int], None],
        heard: Callable[[], None] = lambda: None,
    ) -> CommandResult:
        process = await self._start(argv)
        feeding = asyncio.ensure_future(_feed(process, chunks, progress))
        try:
            out, err = await asyncio.gather(
                _collect(process.stdout, limit, heard), _collect(process.stderr, limit, heard)
            )
            await _wait_closed(process)
        finally:
            feeding.cancel()  # the command has closed its output: what it did not read, it does not want
            process.close()
        await asyncio.wait((feeding,))
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            raise error
        return CommandResult(_status(process), out, err)

    async def _start(self, argv: Argv) -> asyncssh.SSHClientProcess[bytes]:
        try:
            return await self._connection.create_process(quote_words(argv), encoding=None)
        except (asyncssh.Error, OSError) as error:
            raise HostError(
                f"{self.name}: the connection is gone, so nothing was started: {type(error).__name__}", host=self.name
            ) from error


def _status(process: asyncssh.SSHClientProcess[bytes]) -> int | None:
    """None where no status came: the link died, whatever asyncssh says. 128 + n for a signal, as shells do."""
    code = process.returncode
    return 128 - code if code is not None and code < 0 else code


async def _wait_closed(process: asyncssh.SSHClientProcess[bytes]) -> None:
    try:
        await process.wait_closed()
    except (asyncssh.Error, OSError):
        return  # no status came; `_status` says so


async def _feed(
    process: asyncssh.SSHClientProcess[bytes], chunks: Iterator[bytes], progress: Callable[[int], None]
) -> None:
    sent = 0
    try:
        for chunk in chunks:
            if not await _write(process, chunk):
                return
            sent += len(chunk)
            progress(sent)
    except OSError as error:
        process.close()  # without its end the host would wait for the rest
        raise PreconditionError(f"the archive cannot be read: {error.strerror}") from error
    process.stdin.write_eof()


async def _write(process: asyncssh.SSHClientProcess[bytes], chunk: bytes) -> bool:
    """False when the command ended early; its status says why."""
    try:
        process.stdin.write(chunk)
        await process.stdin.drain()
    except (asyncssh.Error, OSError):
        return False
    return not process.stdin.is_closing()


async def _collect(reader: asyncssh.SSHReader[bytes], limit: int, heard: Callable[[], None]) -> bytes:
    """The first `limit` bytes; the rest is read and dropped, or the command would block on a full pipe."""
    kept = bytearray()
    try:
        while chunk := await reader.read(READ):
            heard()
            kept += chunk[: limit - len(kept)]
    except (asyncssh.Error, OSError):
        pass  # the link died: what came is kept, and no status follows
    return bytes(kept)


def slices_of(source: Path, prefix: bytes) -> Iterator[bytes]:
    """The prefix, then the file in slices. Reading blocks the loop for page-cache time only: threads cost more."""
    if prefix:
        yield prefix
    with source.open("rb") as file:
        while chunk := file.read(SLICE):
            yield chunk
