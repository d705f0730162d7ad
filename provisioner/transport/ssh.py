"""SSH by asyncssh: pinned host keys, one login key, nothing of the operator's own SSH configuration.

Foreign exceptions end here and in `dial.py`. A command whose channel closes without a status has an unknown end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh

from provisioner.errors import DeadlineError, HostError, PreconditionError
from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.model.ids import HostName
from provisioner.transport.argv import quote_words, render_log
from provisioner.transport.connection import OUTPUT_LIMIT, Argv, CommandResult, Connect, Connection
from provisioner.transport.dial import Dialer, Dialled, Release, close_quietly

SLICE = 256 * 1024
"""Bytes per write of a stream: larger ones cost memory per slow host, smaller ones CPU."""
READ = 64 * 1024
SESSIONS = 8
"""Commands at once on one connection; OpenSSH allows ten sessions."""
NOT_FOUND = 127

CONNECT_TIMEOUT = 10.0
KEEPALIVE_SECONDS = 15.0
SUDO = ("sudo", "-n", "--")


def make_connect(*, timeout: float = CONNECT_TIMEOUT, keepalive: float = KEEPALIVE_SECONDS) -> Connect:
    """A Connect over SSH. `timeout` bounds reaching a host and logging in, each; a dead link shows after 4 keepalives.

    Raises HostError (7): HostKeyError for another key than the pinned ones, before any login is tried; AccessError (5)
    for a key file that cannot be used.
    """
    # Its INFO lines hold command lines; ours hold no secret, but a habit is safer than a rule.
    asyncssh.set_log_level(logging.WARNING)
    dialer = Dialer(timeout, keepalive)

    async def connect(host: InventoryHost, keys: ClusterKeys) -> Connection:
        dialled = await dialer.dial(host, keys)
        link = SshConnection(host.name, dialled, sudo=host.sudo)
        if host.sudo:
            await _require_sudo(link, host, timeout)
        return link

    return connect


async def _require_sudo(link: SshConnection, host: InventoryHost, timeout: float) -> None:
    """Raise HostError, and close, where the user may not become root without a password."""
    try:
        error = _sudo_error(host, await link.run(("true",), timeout=timeout))
    except BaseException:
        await link.close()
        raise
    if error is not None:
        await link.close()
        raise error


def _sudo_error(host: InventoryHost, result: CommandResult) -> HostError | None:
    if result.ok:
        return None
    if result.rc is None:
        return HostError(
            f"{host.name}: the link died while sudo was tried", host=host.name, hint="run the same command again"
        )
    if result.rc == NOT_FOUND:
        return HostError(
            f"{host.name} has no sudo, and {host.ssh.user} is not root",
            host=host.name,
            hint="install sudo there, or log in as root",
        )
    return HostError(
        f"{host.name}: {host.ssh.user} cannot become root by sudo without a password",
        host=host.name,
        hint=f"put `{host.ssh.user} ALL=(ALL) NOPASSWD:ALL` into /etc/sudoers.d there, or log in as root",
        evidence=result.stderr.decode("utf-8", "replace")[:500],
    )


class SshConnection:
    """One verified SSH connection; keeps the Connection contract. With `sudo` all of its commands run as root."""

    def __init__(self, name: HostName, dialled: Dialled, *, sudo: bool = False) -> None:
        self.name = name
        self.host_key = dialled.host_key
        self.way_key = dialled.way_key
        self._connection = dialled.connection
        self._release: Release | None = dialled.release
        self._sudo = SUDO if sudo else ()
        self._sessions = asyncio.Semaphore(SESSIONS)

    async def run(self, argv: Argv, *, stdin: bytes = b"", timeout: float, limit: int = OUTPUT_LIMIT) -> CommandResult:
        """See Connection.run."""
        async with self._sessions:
            try:
                async with asyncio.timeout(timeout):
                    return await self._exchange(argv, iter((stdin,)), limit, lambda _sent: None)
            except TimeoutError as error:
                raise DeadlineError(
                    f"{self.name}: no end within {timeout:g} s: {render_log(argv)}",
                    host=self.name,
                    hint="look at what runs there, or give it more time; then run the same command again",
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
                raise DeadlineError(
                    f"{self.name}: nothing moved for {idle:g} s",
                    host=self.name,
                    hint="check the network to it; the same command goes on where it stopped",
                ) from error

    async def close(self) -> None:
        """See Connection.close."""
        release, self._release = self._release, None
        await close_quietly(self._connection)
        if release is not None:
            await release()

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
            return await self._connection.create_process(quote_words((*self._sudo, *argv)), encoding=None)
        except (asyncssh.Error, OSError) as error:
            raise HostError(
                f"{self.name}: the connection is gone, so nothing was started: {type(error).__name__}",
                host=self.name,
                hint="run the same command again",
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
        raise PreconditionError(
            f"the archive cannot be read: {error.strerror}",
            hint="check this machine's disk; then run the same command again",
        ) from error
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
