"""`ssh`: the system's own client understands what we hand it, wherever the state lies."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import pipeline
from provisioner.errors import HostKeyError
from provisioner.model.hosts import ClusterKeys, InventoryHost, Jump, SshTarget
from provisioner.model.ids import ClusterName
from provisioner.transport.connection import Connection
from tests.fakes.connection import end_processes

from .conftest import Stage


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh on this machine")
def test_ssh_finds_key_and_pinned_hosts_below_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.access.known_hosts_text", lambda _: "")  # the fakes' keys are none
    stage = Stage(tmp_path, environ={"XDG_STATE_HOME": str(tmp_path / 'a b%d "c')})
    try:
        asyncio.run(stage.up())
        argv = pipeline.ssh_argv(stage.world, ClusterName("app"), "m1")
    finally:
        end_processes(stage.hosts.values())
    done = subprocess.run([*argv[:1], "-G", *argv[1:]], capture_output=True, text=True, timeout=30, check=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    folder = stage.world.settings.state_dir / "clusters" / "app" / "ssh"
    assert told["userknownhostsfile"] == str(folder / "known_hosts")
    identity = told["identityfile"].replace("%%", "%")  # shown before its tokens are read
    assert identity == str(folder / "id_ed25519")
    assert told["stricthostkeychecking"] in {"true", "yes"}


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPJ0gqsBbn2pWHqG4lvXvPMpRvRWE2P3ijCHyLjhYKfY"  # the fakes' own
WAY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdheXdheXdheXdheXdheXdheXdheXdheXdheXdheXdh"  # that of the host on the way
PRINT = "SHA256:" + "a" * 43


def told(stage: Stage, monkeypatch: pytest.MonkeyPatch, **changes: object) -> list[str]:
    """The words for m1, where the state says other things of it."""
    monkeypatch.setattr("shutil.which", lambda _name, **_: "/usr/bin/ssh")
    stored = stage.world.engine.stored(ClusterName("app"))
    assert stored is not None
    assert stored.inventory is not None
    hosts = tuple(
        replace(h, **changes) if h.name == "m1" else replace(h, host_keys=(KEY,)) for h in stored.inventory.hosts
    )
    other = replace(stored, inventory=replace(stored.inventory, hosts=hosts))
    monkeypatch.setattr(stage.world.engine, "stored", lambda _name: other)
    return pipeline.ssh_argv(stage.world, ClusterName("app"), "m1")


def test_a_fingerprint_becomes_the_key_that_our_own_connection_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    try:
        asyncio.run(stage.up())
        words = told(stage, monkeypatch, host_keys=(PRINT,), identity=str(tmp_path / "mine"))
    finally:
        end_processes(stage.hosts.values())
    known = stage.world.settings.state_dir / "clusters" / "app" / "ssh" / "known_hosts.m1"
    assert f'UserKnownHostsFile="{known}"' in words
    assert known.read_text().split()[1:] == KEY.split()
    assert f'IdentityFile="{tmp_path / "mine"}"' in words


def test_a_way_that_is_pinned_by_a_fingerprint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    asked: list[str] = []
    connect = stage.connect

    async def seen(host: InventoryHost, keys: ClusterKeys) -> Connection:
        assert host.jump is not None
        asked.append(host.jump.target.host)
        return await connect(host, keys)

    try:
        asyncio.run(stage.up())
        stage.connect = seen  # type: ignore[method-assign]
        bastion = Jump(SshTarget("bastion", 2222), (PRINT,))
        words = told(stage, monkeypatch, host_keys=(KEY,), jump=bastion, identity="/mine")
        pinned = told(stage, monkeypatch, host_keys=(KEY,), jump=Jump(SshTarget("bastion"), (PRINT, KEY)))
    finally:
        end_processes(stage.hosts.values())
    assert asked == ["bastion"], "one connection, checked against the pin; none where the key is given"
    known = stage.world.settings.state_dir / "clusters" / "app" / "ssh" / "known_hosts.m1"
    lines = dict(line.split(" ", 1) for line in known.read_text().splitlines())
    assert lines["[bastion]:2222"] == WAY
    assert f'UserKnownHostsFile="{known}"' in words
    proxy = next(word for word in words if word.startswith("ProxyCommand="))
    assert "known_hosts.m1" in proxy
    assert "StrictHostKeyChecking=yes" in proxy
    assert "bastion" in next(word for word in pinned if word.startswith("ProxyCommand="))


def test_a_way_that_shows_another_key_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)

    async def another(_host: InventoryHost, _keys: ClusterKeys) -> Connection:
        raise HostKeyError("bastion showed another key than the pinned one")

    try:
        asyncio.run(stage.up())
        stage.connect = another  # type: ignore[method-assign]
        with pytest.raises(HostKeyError):
            told(stage, monkeypatch, host_keys=(KEY,), jump=Jump(SshTarget("bastion"), (PRINT,)))
    finally:
        end_processes(stage.hosts.values())
    assert not (stage.world.settings.state_dir / "clusters" / "app" / "ssh" / "known_hosts.m1").exists()
