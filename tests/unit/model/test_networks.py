"""Dividing a network's range, and names of networks."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.model.ids import parse_network_name
from provisioner.model.networks import Part, divide


def test_each_zone_gets_a_sixteenth() -> None:
    assert divide("10.0.0.0/16", ["b", "a", "b"], []) == {"b": "10.0.0.0/20", "a": "10.0.16.0/20"}
    assert divide("10.0.0.0/16", ["c"], ["10.0.0.0/20", "10.0.17.0/24"]) == {"c": "10.0.32.0/20"}
    assert divide("10.0.0.0/28", ["a"], []) == {"a": "10.0.0.0/28"}
    assert divide("10.0.0.0/16", [], ["10.0.0.0/16"]) == {}


def test_no_room_is_refused() -> None:
    with pytest.raises(UsageError, match=r"10\.0\.0\.0/28 has no room for a subnet \(/28\) in each of a, b"):
        divide("10.0.0.0/28", ["a", "b"], [])
    with pytest.raises(UsageError, match="no room"):
        divide("10.0.0.0/16", ["a"], ["10.0.0.0/16"])


@given(st.integers(16, 28), st.integers(0, 4), st.lists(st.integers(0, 255), max_size=8))
def test_ranges_are_inside_free_and_apart(prefix: int, zones: int, taken: list[int]) -> None:
    cidr = IPv4Network((0x0A000000, prefix))
    used = [IPv4Network((0x0A000000 + (n << 4), 28)) for n in taken if n << 4 < cidr.num_addresses]
    try:
        found = divide(str(cidr), [f"z{n}" for n in range(zones)], [str(u) for u in used])
    except UsageError:
        return
    ranges = [IPv4Network(r) for r in found.values()]
    assert len(ranges) == zones
    assert all(r.subnet_of(cidr) and not any(r.overlaps(u) for u in used) for r in ranges)
    assert not any(a.overlaps(b) for i, a in enumerate(ranges) for b in ranges[:i])


def test_names() -> None:
    assert parse_network_name("ci-1") == "ci-1"
    for wrong in ("", "Ci", "a_b", "-a", "x" * 64):
        with pytest.raises(UsageError, match="no network name"):
            parse_network_name(wrong)


def test_a_part_says_what_is_known() -> None:
    assert str(Part("vpc", "vpc-1", cidr="10.0.0.0/16")) == "vpc vpc-1 10.0.0.0/16"
    assert str(Part("default-route")) == "default-route"
