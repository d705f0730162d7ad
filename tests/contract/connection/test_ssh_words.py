"""The system's own `ssh` with our words reaches the same hosts by the same pins, also through a host on the way."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.model.hosts import InventoryHost, Jump
from provisioner.transport.hostkeys import known_hosts_text
from provisioner.transport.sshwords import SshFiles, ssh_words
from tests.fakes.sshd import FakeSshd

SSH = shutil.which("ssh")
pytestmark = pytest.mark.skipif(SSH is None, reason="no ssh on this machine")


@pytest.fixture
async def servers() -> AsyncIterator[tuple[FakeSshd, FakeSshd]]:
    server, bastion = FakeSshd(), FakeSshd()
    bastion.forwards = []
    await server.start()
    await bastion.start()
    yield server, bastion
    await server.close()
    await bastion.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a b%d 'c \"d $(id)"
    made.mkdir()
    return made


async def run(machine: InventoryHost, folder: Path, server: FakeSshd, way: FakeSshd) -> tuple[int | None, bytes, bytes]:
    files = SshFiles(folder / "id", folder / "way", folder / "known_hosts")
    server.login_key.write_private_key(files.identity)
    way.login_key.write_private_key(files.jump_identity)
    for key in (files.identity, files.jump_identity):
        key.chmod(0o600)
    files.known_hosts.write_text(known_hosts_text([machine]))
    pipe = asyncio.subprocess.PIPE
    words = [*ssh_words(str(SSH), machine, files), "echo there"]
    process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out, err


async def test_straight(servers: tuple[FakeSshd, FakeSshd], folder: Path) -> None:
    server, _ = servers
    assert await run(server.machine, folder, server, server) == (0, b"there\n", b"")


async def test_through_a_host_on_the_way(servers: tuple[FakeSshd, FakeSshd], folder: Path) -> None:
    server, bastion = servers
    machine = replace(server.machine, jump=Jump(bastion.machine.ssh, (bastion.public,)))
    assert await run(machine, folder, server, bastion) == (0, b"there\n", b"")
    assert bastion.forwards == [f"127.0.0.1:{machine.ssh.port}"]


async def test_another_key_on_the_way_or_behind_it_is_refused(servers: tuple[FakeSshd, FakeSshd], folder: Path) -> None:
    server, bastion = servers
    for wrong in (
        replace(server.machine, jump=Jump(bastion.machine.ssh, (server.public,))),
        replace(server.machine, host_keys=(bastion.public,), jump=Jump(bastion.machine.ssh, (bastion.public,))),
    ):
        code, out, err = await run(wrong, folder, server, bastion)
        assert (code, out) == (255, b"")
        assert b"verification failed" in err
    assert server.attempts == 0


def test_an_address_with_colons() -> None:
    machine = FakeSshd()
    target = replace(_at("fd00::1"), jump=Jump(_at("fd00::2").ssh, (machine.public,)))
    words = ssh_words("ssh", target, SshFiles(Path("/i"), Path("/j"), Path("/k")))
    (line,) = [word for word in words if word.startswith("ProxyCommand=")]
    assert "-W '[fd00::1]:22' root@fd00::2" in line
    assert words[-1] == "root@fd00::1"


def _at(address: str) -> InventoryHost:
    from provisioner.model.hosts import SshTarget
    from provisioner.model.ids import HostName

    return InventoryHost(HostName("m1"), (), address, SshTarget(address), (), "id")
