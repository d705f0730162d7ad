"""Who may come in: a request's rules, the operator among them, and what a group lacks so that he comes in."""

from __future__ import annotations

import pytest

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedImage, AcceptedSsh
from provisioner.model.ingress import (
    MOST_RULES,
    GroupRule,
    Guest,
    Opening,
    admission,
    admitted_words,
    demand_told,
    guest_of,
    open_to_all,
    openings_of,
    operator_cidr,
    operator_openings,
    settle_origin,
    with_origin,
)

HOME, AWAY = "203.0.113.7/32", "198.51.100.9/32"
SSH, API = Opening(22, 22, "tcp", None), Opening(6443, 6443, "tcp", None)
OPEN = Opening(22, 22, "tcp", "0.0.0.0/0")


def accepted(*rules: object, **more: object) -> Accepted:
    fields: dict[str, object] = {
        "cluster": "demo",
        "provider": "aws",
        "image": AcceptedImage(reference="a:v1", repository="a", digest=f"sha256:{'0' * 64}"),
        "pools": (),
        "hosts": (),
        "data_root": "/data",
        "network": {"ingress": list(rules)},
        **more,
    }
    return Accepted.model_validate(fields)


def test_rules_are_read_with_ranges_and_protocols_and_named_by_what_they_are() -> None:
    rules = openings_of(
        accepted({"port": 6443, "from": "operator"}, {"port": "8000-8100", "from": "10.0.0.0/8", "protocol": "udp"})
    )
    assert rules == (OPEN, API, Opening(8000, 8100, "udp", "10.0.0.0/8"))
    assert [rule.name for rule in rules] == [
        "ingress-tcp-22-0.0.0.0-0",
        "ingress-tcp-6443-operator",
        "ingress-udp-8000-8100-10.0.0.0-8",
    ]  # fmt: skip
    assert [rule.cidr(HOME) for rule in rules] == ["0.0.0.0/0", HOME, "10.0.0.0/8"]
    with pytest.raises(UsageError, match="address is not known"):
        rules[1].cidr(None)


@pytest.mark.parametrize(
    ("rules", "ssh", "found", "said"),
    [
        ((), None, (OPEN,), True),
        ((), AcceptedSsh(port=2222), (Opening(2222, 2222, "tcp", "0.0.0.0/0"),), True),
        (({"port": 22, "from": "operator"},), None, (SSH,), False),
        (({"port": "20-30", "from": "10.0.0.0/8"},), None, (Opening(20, 30, "tcp", "10.0.0.0/8"),), False),
        (({"port": 22, "from": "0.0.0.0/0"},), None, (OPEN,), False),
        (({"port": 22, "from": "operator", "protocol": "udp"},), None, (OPEN, Opening(22, 22, "udp", None)), True),
    ],
)
def test_ssh_is_open_unless_a_rule_says_from_where(
    rules: tuple[object, ...], ssh: AcceptedSsh | None, found: tuple[Opening, ...], said: bool
) -> None:
    request = accepted(*rules, ssh=ssh)
    assert openings_of(request) == found
    assert open_to_all(request) is said


@pytest.mark.parametrize(
    "rule", [{"port": 0}, {"port": 70000}, {"port": "9-1"}, {"port": 1, "from": "x"}, {"port": 1, "to": 2}, {}, 7,
             {"port": 1, "protocol": "icmp"}, {"port": 1, "from": "fd00::/8"}]
)  # fmt: skip
def test_what_is_no_rule_is_named(rule: object) -> None:
    with pytest.raises(UsageError, match=r"network.ingress\[0\]"):
        openings_of(accepted(rule))


def nobody(_request: Accepted) -> str:
    raise AssertionError("nobody needs to know where the operator is")


def test_the_operator_is_looked_up_only_where_a_rule_needs_him() -> None:
    assert "operator" not in settle_origin(accepted(), None, nobody, standing=False).placement
    request = settle_origin(accepted({"port": 6443, "from": "operator"}), None, lambda _: HOME, standing=False)
    assert request.placement["operator"] == {"address": HOME, "ssh": False}
    assert openings_of(request) == (OPEN, API)


def test_the_address_of_the_create_stays_while_hosts_stand() -> None:
    made = settle_origin(accepted(API_RULE), None, lambda _: HOME, standing=False)
    assert settle_origin(made, None, nobody, standing=True) == made
    begun = settle_origin(made, None, lambda _: AWAY, standing=False)
    assert begun.placement["operator"] == {"address": AWAY, "ssh": False}
    plain = made.model_copy(update={"network": {}})
    assert "operator" not in settle_origin(plain, None, nobody, standing=True).placement


def test_the_variable_closes_ssh_and_it_stays_closed() -> None:
    closed = settle_origin(accepted(), HOME, lambda _: HOME, standing=False)
    assert operator_openings(closed) == (SSH,)
    assert not open_to_all(closed)
    assert settle_origin(closed, None, nobody, standing=True) == closed, "another machine, without the variable"
    later = settle_origin(accepted(placement={"region": "r"}), HOME, lambda _: HOME, standing=True)
    assert later.placement == {"region": "r", "operator": {"address": HOME, "ssh": True}}
    assert with_origin({"hosts": {}}, later) == {"hosts": {}, "operator": {"address": HOME, "ssh": True}}
    assert with_origin({"operator": {}}, accepted()) == {}


def test_who_comes_by_a_private_way_must_say_so() -> None:
    hidden = accepted(API_RULE, network={"ingress": [API_RULE], "public": "none", "vpc": "v"})
    with pytest.raises(UsageError, match="no host has a public address"):
        demand_told(hidden, None)
    demand_told(hidden, "10.0.0.0/8")
    demand_told(accepted(API_RULE), None)


API_RULE = {"port": 6443, "from": "operator"}


def test_the_variable_is_a_network_or_an_address() -> None:
    assert operator_cidr({}) is None
    assert operator_cidr({"SEALER_CLOUD_OPERATOR_CIDR": "203.0.113.7"}) == HOME
    assert operator_cidr({"SEALER_CLOUD_OPERATOR_CIDR": "10.0.0.0/8"}) == "10.0.0.0/8"
    with pytest.raises(UsageError, match="SEALER_CLOUD_OPERATOR_CIDR"):
        operator_cidr({"SEALER_CLOUD_OPERATOR_CIDR": "me"})


def rule(cidr: str, description: str = "", first: int = 22, last: int = 22, protocol: str = "tcp") -> GroupRule:
    return GroupRule(f"id-{cidr}", first, last, protocol, cidr, description)


def guest(cidr: str = AWAY, *openings: Opening, origin: str | None = HOME) -> Guest:
    return Guest(cidr, "0a1b2c3d", "2026-11-24", openings or (SSH,), origin)


MINE, OTHER = "sealer-cloud operator 0a1b2c3d 2026-11-01", "sealer-cloud operator ffffffff 2026-11-02"


@pytest.mark.parametrize(
    ("rules", "adds", "drops"),
    [
        ([], 1, []),
        ([rule(HOME)], 1, []),
        ([rule(AWAY)], 0, []),
        ([rule("0.0.0.0/0")], 0, []),
        ([rule("198.51.100.0/24", OTHER)], 0, []),
        ([rule(AWAY, first=1, last=65535, protocol="all")], 0, []),
        ([rule(AWAY, protocol="udp")], 1, []),
        ([rule(AWAY, first=23, last=90)], 1, []),
        ([rule(HOME), rule("192.0.2.1/32", MINE)], 1, ["192.0.2.1/32"]),
        ([rule(AWAY), rule("192.0.2.1/32", MINE)], 0, ["192.0.2.1/32"]),
        ([rule("192.0.2.1/32", OTHER)], 1, []),
        ([rule(HOME, MINE)], 1, []),
        ([rule(AWAY, MINE)], 0, []),
    ],
)
def test_what_a_group_lacks(rules: list[GroupRule], adds: int, drops: list[str]) -> None:
    change = admission(rules, guest())
    assert (len(change.add), [r.cidr for r in change.drop]) == (adds, drops)
    assert all(o.source == AWAY for o in change.add)
    assert bool(admitted_words(change, guest(), acting=True)) is bool(adds)


def test_a_rule_that_somebody_wrote_with_host_bits_is_read_as_its_network() -> None:
    assert admission([rule("198.51.100.9/24")], guest()).add == ()


def test_each_port_is_let_in_and_said() -> None:
    change = admission([rule(AWAY)], guest(AWAY, SSH, API, Opening(8000, 8100, "udp", None)))
    assert [(o.first, o.last, o.protocol) for o in change.add] == [(6443, 6443, "tcp"), (8000, 8100, "udp")]
    assert "tcp 6443, udp 8000-8100" in admitted_words(change, guest(), acting=True)
    assert "is not let in" in admitted_words(change, guest(), acting=False)


def test_rules_of_runners_that_are_gone_do_not_pile_up() -> None:
    crowd = [
        rule(f"192.0.2.{n}/32", f"sealer-cloud operator {n:08x} 2026-10-{n % 28 + 1:02d}") for n in range(MOST_RULES)
    ]
    change = admission(crowd, guest())
    assert [r.description[-10:] for r in change.drop] == ["2026-10-01"]
    assert admission([*crowd, rule(AWAY)], guest()).drop == (), "who is let in already changes nothing"


def test_a_guest_is_known_by_his_machine() -> None:
    from datetime import UTC, datetime

    request = settle_origin(accepted(API_RULE), None, lambda _: HOME, standing=False)
    found = guest_of(request, AWAY, "0a1b2c3d", datetime(2026, 11, 24, tzinfo=UTC))
    assert found.description == "sealer-cloud operator 0a1b2c3d 2026-11-24"
    assert found.owns(found.description)
    assert not found.owns(OTHER)
    assert (found.origin, found.openings) == (HOME, (API,))
