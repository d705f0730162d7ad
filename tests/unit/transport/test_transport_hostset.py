"""All hosts are opened at once, a few at a time; a host that fails does not keep the others."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import HostError, HostKeyError
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost
from provisioner.model.ids import HostName
from provisioner.transport.connection import Connection
from provisioner.transport.hostset import open_hosts
from tests.fakes.hosts import CID, CLUSTER, KEYS, FakeHosts, QuickClock


async def test_failures_stand_beside_the_open_hosts(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, ("m1", "m2", "m3"))
    fakes["m2"].refuse = True
    fakes["m3"].wrong_key = True
    async with await fakes.open() as hosts:
        assert list(hosts.connections) == ["m1"]
        assert sorted(hosts.failures) == ["m2", "m3"]
        with pytest.raises(HostKeyError):
            hosts.get(HostName("m3"))
        with pytest.raises(HostError):
            hosts.get(HostName("m9"))
    assert fakes["m1"].connections == []


async def test_stopped_host_is_not_dialled(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, ("m1",))
    fakes.inventory = Inventory(CLUSTER, CID, (replace(fakes.inventory.hosts[0], running=False),))
    async with await fakes.open() as hosts:
        assert "stopped" in hosts.failures[HostName("m1")].message


async def test_host_that_just_boots_is_tried_again(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, ("m1",))
    tries = 0

    async def connect(host: InventoryHost, keys: ClusterKeys) -> Connection:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise HostError("refused", host=host.name)
        return await fakes.connect(host, keys)

    async with await open_hosts(fakes.inventory, KEYS, connect, QuickClock()) as hosts:
        assert list(hosts.connections) == ["m1"]
    assert tries == 4


async def test_wrong_key_is_tried_once(tmp_path: Path) -> None:
    tries = 0

    async def connect(host: InventoryHost, _keys: ClusterKeys) -> Connection:
        nonlocal tries
        tries += 1
        raise HostKeyError("another key", host=host.name)

    await open_hosts(FakeHosts(tmp_path, ("m1",)).inventory, KEYS, connect, QuickClock())
    assert tries == 1


async def test_no_more_than_the_limit_at_once(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, tuple(f"n{i}" for i in range(20)))
    now = most = 0

    async def connect(host: InventoryHost, keys: ClusterKeys) -> Connection:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return await fakes.connect(host, keys)

    async with await open_hosts(fakes.inventory, KEYS, connect, QuickClock(), limit=5) as hosts:
        assert len(hosts.connections) == 20
    assert most == 5


async def test_two_works_that_see_a_link_die_share_the_next_one(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, ("m1",))
    async with await fakes.open() as hosts:
        dead = hosts.get(HostName("m1"))
        fakes["m1"].cut()
        one, other = await asyncio.gather(*(hosts.reconnect(HostName("m1"), dead) for _ in range(2)))
        assert one is other is hosts.get(HostName("m1"))
        assert (await one.run(("true",), timeout=5)).ok


async def test_reconnect_takes_the_place_of_a_dead_link(tmp_path: Path) -> None:
    fakes = FakeHosts(tmp_path, ("m1",))
    async with await fakes.open() as hosts:
        fakes["m1"].cut()
        with pytest.raises(HostError):
            await hosts.get(HostName("m1")).run(("true",), timeout=5)
        link = await hosts.reconnect(HostName("m1"))
        assert (await link.run(("true",), timeout=5)).ok
        fakes["m1"].refuse = True
        with pytest.raises(HostError):
            await hosts.reconnect(HostName("m1"))
