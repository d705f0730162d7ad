"""The local driver's names, addresses and subnets, by tables."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import base
from drivers.base import driver_names, load_driver
from drivers.local import subnets
from drivers.local.names import LocalPaths, checked_host, mac_of, place_of, port_of
from provisioner.errors import CapacityError, UsageError
from provisioner.model.ids import ClusterId, HostName
from tests.fakes.driver import AROUND

CID = ClusterId("etcd-abc234")


def nets(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(t) for t in texts)


# ---------------------------------------------------------------- registry


@pytest.mark.parametrize("name", driver_names())
def test_registry_makes_each_driver_by_its_name(name: str) -> None:
    assert load_driver(name, AROUND).name == name


def test_registry_names_what_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PLANNED", ("vsphere",))
    with pytest.raises(UsageError, match="'vsphere' is not built yet"):
        load_driver("vsphere", AROUND)


def test_registry_unknown() -> None:
    with pytest.raises(UsageError, match="no provider 'azure'"):
        load_driver("azure", AROUND)


# ---------------------------------------------------------------- names


def test_names_of_a_cluster(tmp_path: Path) -> None:
    place = place_of(CID, LocalPaths(sshd=tmp_path))
    assert place.link == "sc-abc234"
    assert place.switch == "sc-abc234-sw"
    assert place.netns(HostName("m1")) == "sc-abc234-m1"
    assert place.cgroup == "sealer-cloud-etcd-abc234"
    assert len(place.link) <= 15
    assert len(port_of(240)) <= 15


@pytest.mark.parametrize("cid", ["", "etcd", "../../etc-abc234", "etcd-ABC234", "etcd-abc23", "etcd-abc189/"])
def test_what_is_no_cid_is_refused(cid: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        place_of(ClusterId(cid), LocalPaths(sshd=tmp_path))


@pytest.mark.parametrize(("name", "slot"), [("sw", 0), ("M1", 0), ("a/b", 0), ("m1", -1), ("m1", 241), ("", 0)])
def test_hosts_that_cannot_be(name: str, slot: int) -> None:
    with pytest.raises(UsageError):
        checked_host(HostName(name), slot)


def test_macs_are_local_and_distinct() -> None:
    macs = {mac_of(ClusterId(cid), slot) for cid in ("a-abc234", "a-abc235") for slot in range(241)}
    assert len(macs) == 482
    assert {int(m[:2], 16) & 3 for m in macs} == {2}


# ---------------------------------------------------------------- subnets


@pytest.mark.parametrize(
    ("taken", "routes", "expected"),
    [
        ((), (), "10.213.1.0/24"),
        (("10.213.1.0/24",), (), "10.213.2.0/24"),
        ((), ("10.213.1.128/25",), "10.213.2.0/24"),
        ((), ("192.168.0.0/16", "10.213.1.1/32"), "10.213.2.0/24"),
        ((), ("10.0.0.0/8",), "10.213.1.0/24"),
        ((), ("10.0.0.0/8", "10.213.1.0/24"), "10.213.2.0/24"),
    ],
)
def test_free_subnet(taken: tuple[str, ...], routes: tuple[str, ...], expected: str) -> None:
    assert str(subnets.free_subnet(nets(*taken), nets(*routes))) == expected


def test_no_subnet_free() -> None:
    with pytest.raises(CapacityError, match="no subnet"):
        subnets.free_subnet((), nets("10.213.0.0/16"))


@given(st.sets(st.integers(min_value=1, max_value=254), max_size=253))
def test_free_subnet_is_never_taken(used: set[int]) -> None:
    taken = nets(*(f"10.213.{n}.0/24" for n in used))
    assert subnets.free_subnet(taken, ()) not in taken


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        ("10.9.8.0/25", "between /16 and /24"),
        ("10.0.0.0/8", "between /16 and /24"),
        ("8.8.8.0/24", "no private subnet"),
        ("127.0.5.0/24", "no private subnet"),
        ("10.9.8.1/24", "host bits"),
        ("nonsense", "no IPv4 subnet"),
    ],
)
def test_subnets_that_cannot_be(cidr: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        subnets.parse_subnet(cidr)


def test_subnet_in_use_is_named() -> None:
    with pytest.raises(UsageError, match=r"overlaps 10\.9\.0\.0/16"):
        subnets.checked_subnet(IPv4Network("10.9.8.0/24"), (), nets("10.9.0.0/16"))


def test_addresses() -> None:
    network = IPv4Network("10.213.7.0/24")
    assert subnets.gateway_of(network) == "10.213.7.1"
    assert subnets.address_of(network, 0) == "10.213.7.10"
    assert IPv4Network("10.213.7.0/24").supernet_of(IPv4Network(subnets.address_of(network, 240)))


def test_routes_of_this_machine() -> None:
    raw = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.1.0.0/16", "dev": "eth0"},
        {"dst": "10.2.3.4", "dev": "lo"},
        {"dst": "10.213.1.0/24", "dev": "sc-abc234"},
        {"type": "unreachable", "dst": "0.0.0.0/0"},
        "junk",
    ]
    assert subnets.parse_routes(raw, "sc-abc234") == nets("10.1.0.0/16", "10.2.3.4/32")
