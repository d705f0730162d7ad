"""Something a Connection can be opened to, for every implementation of the seam."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

from drivers.local import machines
from drivers.local.defaults import default_paths
from drivers.local.names import place_of, port_of
from drivers.local.sshd import unpack_sshd
from provisioner.model.hosts import ClusterKeys, InventoryHost, SshTarget
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from provisioner.transport.connection import Connection
from provisioner.transport.ssh import make_connect
from tests.fakes.connection import FakeHost, open_fake
from tests.fakes.sshd import FakeSshd
from tests.hosts.cluster import Cluster


class Rig(Protocol):
    async def open(self) -> Connection: ...
    def cut(self) -> None: ...
    async def close(self) -> None: ...


class FakeRig:
    def __init__(self, folder: Path) -> None:
        self.host = FakeHost(HostName("m1"), folder, os.environ["PATH"])

    async def open(self) -> Connection:
        return open_fake(self.host)

    def cut(self) -> None:
        self.host.cut()

    async def close(self) -> None:
        self.host.end_processes()


class SshRig:
    def __init__(self) -> None:
        self.server = FakeSshd()
        self.connect = make_connect()

    async def open(self) -> Connection:
        return await self.connect(self.server.machine, self.server.keys)

    def cut(self) -> None:
        self.server.cut()

    async def close(self) -> None:
        await self.server.close()


class LocalRig:
    """A real sshd on a real local host; the link dies as cables do: nobody is told."""

    def __init__(self) -> None:
        unpack_sshd(default_paths().sshd)
        self.cluster = Cluster("link")
        (state,) = self.cluster.up()
        target = SshTarget(state.address)
        self.machine = InventoryHost(
            state.name, ("master",), state.address, target, (state.host_key,), state.machine_id
        )
        private = self.cluster.key.export_private_key().decode()
        self.keys = ClusterKeys(Secret(private), self.cluster.login_public, Secret("00" * 32))
        self.connect = make_connect(keepalive=0.5)

    async def open(self) -> Connection:
        self._port("up")
        return await self.connect(self.machine, self.keys)

    def cut(self) -> None:
        self._port("down")

    def _port(self, state: str) -> None:
        switch = place_of(self.cluster.cid, default_paths()).switch
        subprocess.run(["ip", "-n", switch, "link", "set", port_of(0), state], check=True)

    async def close(self) -> None:
        self._port("up")

    def sweep(self) -> None:
        machines.sweep(self.cluster.cid)
