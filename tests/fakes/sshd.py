"""An SSH server in this process, on loopback: every command is a real `sh -c`, and links can be made to die."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncssh

from provisioner.model.hosts import ClusterKeys, InventoryHost, SshTarget
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from provisioner.model.userdata import HOST_KEY


class FakeSshd:
    """`start` it; `machine` and `keys` are what a client needs. `attempts` counts logins that were tried.

    `path` goes in front of the PATH of commands. With `root`, commands see it as SEALER_ROOT, and new connections are
    shown the host key that lies there: as a sshd that is told to read its keys anew does. `forwards` lists what was
    connected to through it (None: it forwards nothing).
    """

    def __init__(
        self,
        *,
        silent_status: bool = False,
        path: Path | None = None,
        root: Path | None = None,
        kind: str = "ssh-ed25519",
    ) -> None:
        self.host_key = asyncssh.generate_private_key(kind)
        self.path = path
        self.root = root
        self.forwards: list[str] | None = None
        self.commands: list[str] = []
        self.login_key = asyncssh.generate_private_key("ssh-ed25519")
        self.silent_status = silent_status
        self.attempts = 0
        self._children: list[asyncio.subprocess.Process] = []
        self.links: list[asyncssh.SSHServerConnection] = []
        self._server: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        self._server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(self),
            server_host_keys=[self.host_key],
            process_factory=self._serve,
            encoding=None,
        )

    @property
    def machine(self) -> InventoryHost:
        assert self._server is not None
        target = SshTarget("127.0.0.1", self._server.get_port(), "root")
        return InventoryHost(HostName("m1"), ("master",), "127.0.0.1", target, (self.public,), "machine")

    @property
    def public(self) -> str:
        return self.host_key.export_public_key().decode().strip()

    @property
    def keys(self) -> ClusterKeys:
        private = self.login_key.export_private_key().decode()
        return ClusterKeys(Secret(private), self.login_key.export_public_key().decode(), Secret("00" * 32))

    def reload(self) -> None:
        """Show from now on the host key that lies below `root`."""
        if self.root is None or self._server is None:
            return
        key = self.root / HOST_KEY[1:]
        if key.exists():
            self.host_key = asyncssh.read_private_key(key)
            self._server.update(server_host_keys=[self.host_key])

    def _env(self) -> dict[str, str]:
        root = {"SEALER_ROOT": str(self.root)} if self.root else {}
        path = f"{self.path}:{os.environ['PATH']}" if self.path else os.environ["PATH"]
        return {**os.environ, **root, "PATH": path}

    def cut(self) -> None:
        """Every link dies at once, as when a cable is pulled and the system notices."""
        for link in self.links:
            link.abort()
        self.links.clear()

    async def close(self) -> None:
        self.cut()
        for child in self._children:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            child._transport.close()  # type: ignore[attr-defined]  # its pipes may be held by what lives on
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            process.command or "",
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            env=self._env(),
        )
        self._children.append(child)
        self.commands.append(process.command or "")
        feeding = asyncio.ensure_future(_feed(process.stdin, child.stdin))
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            code = await child.wait()
            self.reload()
            if self.silent_status:
                process.close()
            elif code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)
        except (asyncssh.Error, OSError):
            return
        finally:
            feeding.cancel()


class _Server(asyncssh.SSHServer):
    def __init__(self, owner: FakeSshd) -> None:
        self._owner = owner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._owner.links.append(conn)

    def connection_requested(self, dest_host: str, dest_port: int, _orig_host: str, _orig_port: int) -> bool:
        if self._owner.forwards is None:
            return False
        self._owner.forwards.append(f"{dest_host}:{dest_port}")
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, _username: str, key: asyncssh.SSHKey) -> bool:
        self._owner.attempts += 1
        return key.public_data == self._owner.login_key.public_data


async def _pump(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    while source is not None and (chunk := await source.read(65536)):
        target.write(chunk)
        await target.drain()


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter | None) -> None:
    if target is None:
        return
    try:
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
        target.close()
    except (asyncssh.Error, OSError):
        target.close()
