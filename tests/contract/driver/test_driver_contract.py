"""What every driver promises, on the fake and on real local hosts: finding, listing and removing by cid alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from drivers.base import load_driver
from drivers.local import machines
from drivers.local.defaults import default_paths
from drivers.local.sshd import unpack_sshd
from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool
from provisioner.model.driver import Driver
from provisioner.model.hosts import InventoryHost, SshTarget
from provisioner.model.ids import ClusterId, ClusterName, HostName, new_cid
from tests.fakes.driver import AROUND, FakeDriver

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbCpiPtjMEhTInBZLNuLkCWZv3T7yU3hHqJpKMeFyzJ"


@dataclass
class Rig:
    """A driver, and how a machine of a cluster comes to be behind its back."""

    driver: Driver
    make: Callable[[ClusterId, str], None]
    cids: list[ClusterId]

    def new(self, name: str) -> ClusterId:
        self.cids.append(new_cid(ClusterName(name), os.urandom))
        return self.cids[-1]


def fake_rig() -> Rig:
    driver = FakeDriver({})

    def make(cid: ClusterId, host: str) -> None:
        address = "10.0.0.1"
        driver.machines[cid, host] = InventoryHost(
            HostName(host), ("master",), address, SshTarget(address), (KEY,), "id", running=True
        )

    return Rig(driver, make, [])


def local_rig() -> Rig:
    unpack_sshd(default_paths().sshd)

    def make(cid: ClusterId, host: str) -> None:
        machines.ensure_network(cid)
        machines.ensure_host(machines.HostInputs(cid, HostName(host), 0, KEY))

    return Rig(load_driver("local", AROUND), make, [])


@pytest.fixture(params=[fake_rig, pytest.param(local_rig, marks=pytest.mark.hosts)], ids=["fake", "local"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    it = request.param()
    yield it
    for cid in it.cids:
        it.driver.sweep(cid)


def accepted(**pool: object) -> Accepted:
    return Accepted(
        cluster="contract",
        provider="local",
        image=AcceptedImage(reference="a:1", repository="a", digest="sha256:" + "0" * 64),
        pools=(AcceptedPool(name="master", roles=("master",), count=1, **pool),),
        hosts=(AcceptedHost(name="m1", pool="master", roles=("master",), slot=0),),
        data_root="/var/lib/sealer/data",
    )


def test_it_says_its_name_and_what_it_needs_of_this_machine(rig: Rig) -> None:
    assert rig.driver.name == "local"
    checks = rig.driver.check()
    assert checks
    assert all(c.name and c.detail for c in checks)
    assert all(c.hint for c in checks if not c.ok)


def test_a_request_it_can_serve_becomes_a_spec(rig: Rig) -> None:
    assert rig.driver.parse_spec(accepted()) is not None


def test_what_it_cannot_serve_is_refused_by_its_key(rig: Rig) -> None:
    with pytest.raises(UsageError, match="cpu"):
        rig.driver.parse_spec(accepted(cpu=4))


def test_of_a_cluster_that_never_was_nothing_is_found_left_or_removed(rig: Rig) -> None:
    cid = rig.new("contract-none")
    assert rig.driver.find(ClusterName("contract-none")) == ()
    assert rig.driver.leftovers(cid) == ()
    assert rig.driver.sweep(cid) == ()


def test_a_cluster_is_found_by_name_listed_and_removed_by_cid_alone(rig: Rig) -> None:
    cid = rig.new("contract-one")
    rig.make(cid, "m1")
    found = rig.driver.find(ClusterName("contract-one"))
    assert [(f.name, f.cid, f.provider, f.hosts) for f in found] == [("contract-one", cid, "local", ("m1",))]
    assert found[0] in rig.driver.find(None)
    assert rig.driver.leftovers(cid)
    assert rig.driver.sweep(cid)
    assert rig.driver.leftovers(cid) == ()
    assert rig.driver.find(ClusterName("contract-one")) == ()
    assert rig.driver.sweep(cid) == (), "a second sweep has nothing to do"


def test_sweeping_one_cluster_leaves_its_namesake_alone(rig: Rig) -> None:
    one, other = rig.new("contract-two"), rig.new("contract-two")
    rig.make(one, "m1")
    rig.make(other, "m1")
    assert {f.cid for f in rig.driver.find(ClusterName("contract-two"))} == {one, other}
    rig.driver.sweep(one)
    assert [f.cid for f in rig.driver.find(ClusterName("contract-two"))] == [other]
    assert rig.driver.leftovers(other)
