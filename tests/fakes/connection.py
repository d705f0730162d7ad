"""A Connection to a host that is a folder of this machine: real `sh`, real processes, and faults on request.

Like a real sshd it starts the command in a session of its own, and does not kill it when the link dies.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import DeadlineError, HostError, HostKeyError, SealerError
from provisioner.model.ids import HostName
from provisioner.model.paths import DEFAULT_DATA_ROOT, STATE_ROOT, TMPFS_ROOT, HostPaths
from provisioner.transport.argv import quote_words
from provisioner.transport.connection import OUTPUT_LIMIT, Argv, CommandResult

BOOT_ID = "/proc/sys/kernel/random/boot_id"
ROOTS = (DEFAULT_DATA_ROOT, STATE_ROOT, TMPFS_ROOT)
MARK = "SEALER_FAKE_HOST"
# Verbs whose stdin is env text: there the folders of the host stand for the real ones too.
ENV_VERBS = {"read", "health", "run"}
VERB = 5
"""Where the verb stands among the words that `host_argv` makes."""
ENV_LENGTH = VERB + 11
"""Where `run` says how long its env text is."""


@dataclass
class FakeHost:
    """One host: everything of it lies below `folder`. `path` is the PATH of its commands (its first `sh` is the shell).

    Faults: `refuse` and `wrong_key` keep connections from opening, `drop` holds verbs whose status is lost once each,
    `stall` holds verbs that never end, `full_disk` makes tar fail as on a full disk.
    """

    name: HostName
    folder: Path
    path: str = field(default_factory=lambda: os.environ["PATH"])
    refuse: bool = False
    wrong_key: bool = False
    drop: list[str] = field(default_factory=list)
    stall: set[str] = field(default_factory=set)
    history: list[str] = field(default_factory=list)
    connections: list[FakeConnection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "boot_id").exists():
            self._new_boot(1)

    def boot(self, number: int) -> None:
        """A fresh boot id, as after a reboot; the tmpfs is empty then, processes are gone."""
        self.end_processes()
        self._new_boot(number)

    def _new_boot(self, number: int) -> None:
        (self.folder / "boot_id").write_text(f"00000000-0000-4000-8000-{number:012d}\n")
        shutil.rmtree(self.at(TMPFS_ROOT), ignore_errors=True)

    def at(self, path: str) -> Path:
        """Where a path of the host lies on this machine."""
        return Path(f"{self.folder}{path}")

    def state(self, paths: HostPaths, name: str = "") -> Path:
        """A file of ours on this host."""
        return self.at(paths.state) / name

    def full_disk(self, *, full: bool) -> None:
        """From now on tar finds no space (or finds it again)."""
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        tar = tools / "tar"
        tar.unlink(missing_ok=True)
        if full:
            tar.write_text("#!/bin/sh\necho 'tar: x: Cannot write: No space left on device' >&2\nexit 2\n")
            tar.chmod(0o755)
            self.path = f"{tools}:{self.path.removeprefix(f'{tools}:')}"

    def cut(self) -> None:
        """Every open link dies at once; what runs on the host goes on."""
        for connection in list(self.connections):
            connection.cut()

    def processes(self) -> list[int]:
        """Pids of everything that was started on this host and still lives."""
        return processes_of([self])

    def end_processes(self) -> None:
        """Kill them all, by pid."""
        end_processes([self])

    def words(self, argv: Argv) -> list[str]:
        """The words as they run here: the host's folders instead of the real ones."""
        return [self._relocate(word.replace(BOOT_ID, str(self.folder / "boot_id"))) for word in argv]

    def stdin(self, argv: Argv, data: bytes) -> bytes:
        """Env text as it is on this host."""
        if len(argv) <= VERB or argv[VERB] not in ENV_VERBS:
            return data
        for root in ROOTS:
            data = data.replace(root.encode(), f"{self.folder}{root}".encode())
        return data

    def resized(self, argv: Argv, grown: int) -> Argv:
        """The words for env text that is longer here than the caller thinks."""
        if len(argv) <= VERB or argv[VERB] != "run":
            return argv
        return (*argv[:ENV_LENGTH], str(int(argv[ENV_LENGTH]) + grown), *argv[ENV_LENGTH + 1 :])

    def _relocate(self, word: str) -> str:
        return f"{self.folder}{word}" if word in ROOTS else word


class FakeConnection:
    """Keeps the Connection contract over a FakeHost."""

    def __init__(self, host: FakeHost) -> None:
        self.name = host.name
        self.host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPJ0gqsBbn2pWHqG4lvXvPMpRvRWE2P3ijCHyLjhYKfY"
        self.way_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdheXdheXdheXdheXdheXdheXdheXdheXdheXdheXdh"
        self.host = host
        self.dead = asyncio.Event()
        host.connections.append(self)

    def cut(self) -> None:
        """The link dies."""
        self.dead.set()
        if self in self.host.connections:
            self.host.connections.remove(self)

    async def run(self, argv: Argv, *, stdin: bytes = b"", timeout: float, limit: int = OUTPUT_LIMIT) -> CommandResult:
        """See Connection.run."""
        data = self.host.stdin(argv, stdin)
        argv = self.host.resized(argv, len(data) - len(stdin))
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(argv, [data], limit, lambda _sent: None)
        except TimeoutError as error:
            raise DeadlineError(f"{self.name}: no end within {timeout:g} s", host=self.name) from error

    async def send(
        self, argv: Argv, source: Path, *, prefix: bytes = b"", idle: float, progress: Callable[[int], None]
    ) -> CommandResult:
        """See Connection.send."""
        data = source.read_bytes()  # noqa: ASYNC240 - small files of tests
        chunks = [prefix, *(data[i : i + 65536] for i in range(0, len(data), 65536))]
        try:
            async with asyncio.timeout(idle):
                return await self._exchange(argv, chunks, OUTPUT_LIMIT, lambda n: progress(max(0, n - len(prefix))))
        except TimeoutError as error:
            raise DeadlineError(f"{self.name}: nothing moved for {idle:g} s", host=self.name) from error

    async def close(self) -> None:
        """See Connection.close."""
        self.cut()

    async def _exchange(
        self, argv: Argv, chunks: list[bytes], limit: int, progress: Callable[[int], None]
    ) -> CommandResult:
        line = quote_words(self.host.words(argv))
        verb = argv[VERB] if len(argv) > VERB else argv[0]
        if self.dead.is_set():
            raise HostError(f"{self.name}: the connection is gone, so nothing was started", host=self.name)
        self.host.history.append(verb)
        if verb in self.host.stall:
            await asyncio.Event().wait()
        running = await asyncio.to_thread(_Running, line, self.host)
        try:
            result = await self._until_dead(running, chunks, limit, progress)
        finally:
            running.let_go()
        if verb in self.host.drop:
            self.host.drop.remove(verb)
            self.cut()
            return CommandResult(None, result.stdout, result.stderr)
        return result

    async def _until_dead(
        self, running: _Running, chunks: list[bytes], limit: int, progress: Callable[[int], None]
    ) -> CommandResult:
        work = asyncio.ensure_future(running.talk(chunks, limit, progress))
        death = asyncio.ensure_future(self.dead.wait())
        try:
            await asyncio.wait((work, death), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else CommandResult(None, b"", b"")
        finally:
            for task in (work, death):
                task.cancel()
            await asyncio.gather(work, death, return_exceptions=True)


class _Running:
    """A process with pipes. Letting go closes our ends of them and leaves the process alone."""

    def __init__(self, line: str, host: FakeHost) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        shell = shutil.which("sh", path=host.path) or "/bin/sh"
        self.process = subprocess.Popen(
            [shell, "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": host.path, "HOME": str(host.folder), MARK: str(host.folder)},
            cwd=host.folder,
            start_new_session=True,
        )
        self.ended = threading.Event()
        threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        self.process.wait()
        self.ended.set()

    async def talk(self, chunks: list[bytes], limit: int, progress: Callable[[int], None]) -> CommandResult:
        """Feed and read until both outputs are closed and the process has ended."""
        feeding = asyncio.ensure_future(self._feed(chunks, progress))
        out, err = await asyncio.gather(_read(self.process.stdout, limit), _read(self.process.stderr, limit))
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        while not self.ended.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        code = self.process.returncode
        return CommandResult(128 - code if code < 0 else code, out, err)

    async def _feed(self, chunks: list[bytes], progress: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, self.process.stdin)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        sent = 0
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
                progress(sent)
        except SealerError:
            raise
        except OSError:
            return
        finally:
            writer.close()

    def let_go(self) -> None:
        """Close our ends; the process may live on."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                continue


async def _read(pipe: object, limit: int) -> bytes:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    kept = bytearray()
    try:
        while chunk := await reader.read(65536):
            kept += chunk[: limit - len(kept)]
    finally:
        transport.close()
    return bytes(kept)


def open_fake(host: FakeHost) -> FakeConnection:
    """A connection, unless the host's faults forbid it."""
    if host.wrong_key:
        raise HostKeyError(f"{host.name} showed another key than the pinned one", host=host.name)
    if host.refuse:
        raise HostError(f"{host.name} refused the connection", host=host.name)
    return FakeConnection(host)


def processes_of(hosts: Iterable[FakeHost]) -> list[int]:
    """Pids of everything that was started on these hosts and still lives: one look at the machine for all of them."""
    marks = {f"{MARK}={host.folder}".encode() for host in hosts}
    return [pid for pid in _pids() if not marks.isdisjoint(_environ(pid).split(b"\0"))] if marks else []


def end_processes(hosts: Iterable[FakeHost]) -> None:
    """Kill whatever runs on these hosts, by pid."""
    for pid in processes_of(hosts):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
