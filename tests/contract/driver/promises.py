"""What every driver promises, as tests: whoever gives a `rig` and a `finder` and imports these runs them.

`rig` is a driver with a request that it can serve; `finder` is one whose machines a look finds without any state.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedMachine, AcceptedPool, AcceptedSsh
from provisioner.model.driver import STAYING, Driver, Visit
from provisioner.model.ids import ClusterId, ClusterName, new_cid

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbCpiPtjMEhTInBZLNuLkCWZv3T7yU3hHqJpKMeFyzJ"


@dataclass
class Rig:
    """A driver, and how a machine of a cluster comes to be behind its back (None: nobody but a state finds machines).

    `unserved` is a key of pools that the driver cannot serve, with a value.
    """

    driver: Driver
    provider: str
    make: Callable[[ClusterId, str], None] | None = None
    unserved: tuple[str, object] = ("cpu", 4)
    machines: tuple[AcceptedMachine, ...] = ()
    cids: list[ClusterId] = field(default_factory=list)

    def new(self, name: str) -> ClusterId:
        self.cids.append(new_cid(ClusterName(name), os.urandom))
        return self.cids[-1]

    def put(self, cid: ClusterId, host: str) -> None:
        assert self.make is not None
        self.make(cid, host)

    def accepted(self, **pool: object) -> Accepted:
        return Accepted(
            cluster="contract",
            provider=self.provider,
            image=AcceptedImage(reference="a:1", repository="a", digest="sha256:" + "0" * 64),
            pools=(AcceptedPool(name="master", roles=("master",), count=1, **pool),),  # type: ignore[arg-type]
            hosts=(AcceptedHost(name="m1", pool="master", roles=("master",), slot=0),),
            data_root="/var/lib/sealer/data",
            machines=self.machines,
        )


def existing() -> tuple[AcceptedMachine, ...]:
    """The request's machine, for providers whose machines exist."""
    return (AcceptedMachine(name="m1", address="10.0.0.1", ssh=AcceptedSsh(), host_keys=(KEY,)),)


def test_it_says_its_name_and_what_it_needs_of_this_machine(rig: Rig) -> None:
    assert rig.driver.name == rig.provider
    checks = rig.driver.check()
    assert checks
    assert all(c.name and c.detail for c in checks)
    assert all(c.hint for c in checks if not c.ok)


def test_a_request_it_can_serve_becomes_a_spec(rig: Rig) -> None:
    assert rig.driver.parse_spec(rig.accepted()) is not None


def test_what_it_cannot_serve_is_refused_by_its_key(rig: Rig) -> None:
    key, value = rig.unserved
    with pytest.raises(UsageError, match=key):
        rig.driver.parse_spec(rig.accepted(**{key: value}))


def test_what_is_chosen_for_standing_hosts_is_kept(rig: Rig) -> None:
    accepted = rig.accepted()
    first = rig.driver.choose(accepted, None, standing=frozenset())
    kept = accepted.model_copy(update={"placement": first.placement})
    again = rig.driver.choose(kept, ClusterId("contract-abc234"), standing=frozenset({"m1"}))
    assert again.placement == first.placement


def test_of_a_cluster_that_never_was_nothing_is_found_left_or_removed(rig: Rig) -> None:
    cid = rig.new("contract-none")
    assert rig.driver.find(ClusterName("contract-none")) == ()
    assert rig.driver.leftovers(cid) == ()
    assert rig.driver.sweep(cid) == ()
    assert rig.driver.inspect(cid) == ()
    assert not rig.driver.orphans(cid, frozenset())
    assert rig.driver.end_strays(cid, frozenset()) == ()


def test_a_diagnosis_never_fails(rig: Rig) -> None:
    assert isinstance(rig.driver.diagnose("nowhere", "nothing"), tuple)


def test_nobody_asks_where_the_operator_is_without_a_rule_for_him(rig: Rig) -> None:
    assert rig.driver.let_in(rig.accepted(), rig.new("contract-open"), Visit("0a1b2c3d")) == ""


def test_only_where_machines_stay_a_look_finds_none(rig: Rig) -> None:
    assert (rig.make is None) == (rig.provider in STAYING)


def test_a_cluster_is_found_by_name_listed_and_removed_by_cid_alone(finder: Rig) -> None:
    cid = finder.new("contract-one")
    finder.put(cid, "m1")
    found = finder.driver.find(ClusterName("contract-one"))
    assert [(f.name, f.cid, f.provider, f.hosts) for f in found] == [("contract-one", cid, finder.provider, ("m1",))]
    assert found[0] in finder.driver.find(None)
    assert finder.driver.leftovers(cid)
    (machine,) = finder.driver.inspect(cid)
    assert (machine.host, machine.state.lower()) == ("m1", "running")
    assert machine.id
    assert machine.address
    assert finder.driver.sweep(cid)
    assert finder.driver.leftovers(cid) == ()
    assert finder.driver.inspect(cid) == ()
    assert finder.driver.find(ClusterName("contract-one")) == ()
    assert finder.driver.sweep(cid) == (), "a second sweep has nothing to do"


def test_sweeping_one_cluster_leaves_its_namesake_alone(finder: Rig) -> None:
    one, other = finder.new("contract-two"), finder.new("contract-two")
    finder.put(one, "m1")
    finder.put(other, "m1")
    assert {f.cid for f in finder.driver.find(ClusterName("contract-two"))} == {one, other}
    finder.driver.sweep(one)
    assert [f.cid for f in finder.driver.find(ClusterName("contract-two"))] == [other]
    assert finder.driver.leftovers(other)
