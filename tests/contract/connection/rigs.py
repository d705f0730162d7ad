"""Something a Connection can be opened to, for every implementation of the seam."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from provisioner.model.ids import HostName
from provisioner.transport.connection import Connection
from provisioner.transport.ssh import make_connect
from tests.fakes.connection import FakeHost, open_fake
from tests.fakes.sshd import FakeSshd


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
