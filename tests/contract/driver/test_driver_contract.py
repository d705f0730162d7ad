"""The promises of every driver, on the fake, on real local hosts, and on bare metal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from drivers.base import load_driver
from drivers.local import machines
from drivers.local.defaults import default_paths
from drivers.local.sshd import unpack_sshd
from provisioner.model.hosts import InventoryHost, SshTarget
from provisioner.model.ids import ClusterId, HostName
from tests.contract.driver.promises import *  # noqa: F403 - the tests themselves
from tests.contract.driver.promises import KEY, Rig, existing
from tests.fakes.driver import AROUND, FakeDriver


def fake_rig(_home: Path) -> Rig:
    driver = FakeDriver({})

    def make(cid: ClusterId, host: str) -> None:
        address = "10.0.0.1"
        driver.machines[cid, host] = InventoryHost(
            HostName(host), ("master",), address, SshTarget(address), (KEY,), "id", running=True
        )

    return Rig(driver, "local", make)


def local_rig(_home: Path) -> Rig:
    unpack_sshd(default_paths().sshd)

    def make(cid: ClusterId, host: str) -> None:
        machines.ensure_network(cid)
        machines.ensure_host(machines.HostInputs(cid, HostName(host), 0, KEY))

    return Rig(load_driver("local", AROUND), "local", make)


def baremetal_rig(home: Path) -> Rig:
    (home / ".ssh").mkdir()
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(home / ".ssh/id_ed25519"))
    driver = load_driver("baremetal", replace(AROUND, environ={"HOME": str(home)}))
    return Rig(driver, "baremetal", machines=existing())


FINDERS = [pytest.param(fake_rig, id="fake"), pytest.param(local_rig, id="local", marks=pytest.mark.hosts)]


@pytest.fixture(params=[*FINDERS, pytest.param(baremetal_rig, id="baremetal")])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from swept(request.param(tmp_path))


@pytest.fixture(params=FINDERS)
def finder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from swept(request.param(tmp_path))


def swept(it: Rig) -> Iterator[Rig]:
    yield it
    for cid in it.cids:
        it.driver.sweep(cid)
