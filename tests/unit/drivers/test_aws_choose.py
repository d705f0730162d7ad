"""Choosing machines on AWS: zones in order, types, spot then on-demand, quota; all facts given."""

import pytest

from drivers.aws.choose import Facts, MachineType, matching, offers_of, place, subnet_cidr, with_prices
from drivers.aws.placement import parse_placement
from provisioner.errors import CapacityError, PreconditionError, UsageError
from provisioner.model.accepted import Accepted, AcceptedPool, AcceptedSpot
from provisioner.model.driver import Refused

ZONES = ("eu-central-1a", "eu-central-1b")
TYPES = {
    t.name: t
    for t in (
        MachineType("t3.medium", 2, 4096, ("x86_64",)),
        MachineType("m6i.large", 2, 8192, ("x86_64",)),
        MachineType("m6g.large", 2, 8192, ("arm64",)),
        MachineType("c6i.metal", 2, 4096, ("x86_64",), special=True),
        MachineType("t1.micro", 2, 4096, ("x86_64",), spot=False),
    )
}


def facts(**more):
    sold = frozenset((zone, name) for zone in ZONES for name in TYPES)
    fields = {
        "account": "1",
        "region": "eu-central-1",
        "zones": ZONES,
        "image": "ami-1",
        "arch": "x86_64",
        "types": TYPES,
        "sold": sold,
    }
    return Facts(**{**fields, **more})


def accepted(count=2, **pool):
    fields = {"name": "node", "roles": ("node",), "count": count, **pool}
    return Accepted.model_validate(
        {
            "cluster": "demo",
            "provider": "aws",
            "image": {"reference": "a:1", "repository": "a", "digest": "sha256:" + "0" * 64},
            "pools": [AcceptedPool(**fields)],
            "hosts": [{"name": f"n{i + 1}", "pool": "node", "roles": ["node"], "slot": i} for i in range(count)],
            "dataRoot": "/d",
        }
    )


def chosen(request, found, *refused, old=None, standing=()):
    placement = place(request, old, found, refused, frozenset(standing))
    return placement, {(h.zone, h.machine_type, h.spot) for h in placement.hosts.values()}


def test_the_smallest_that_fits_comes_first_and_special_ones_only_by_name():
    pool = accepted().pools[0]
    assert [t.name for t in matching(pool, facts())] == ["t3.medium", "t1.micro", "m6i.large"]
    named = pool.model_copy(update={"instance_types": ("c6i.metal",)})
    assert [t.name for t in matching(named, facts())] == ["c6i.metal"]


def test_a_pool_fails_over_as_a_whole_to_the_next_type_then_zone():
    request = accepted(instance_types=("t3.medium",))
    gone = Refused("node", ZONES[0], "t3.medium", spot=False, code="InsufficientInstanceCapacity")
    assert chosen(request, facts())[1] == {(ZONES[0], "t3.medium", False)}
    assert chosen(request, facts(), gone)[1] == {(ZONES[1], "t3.medium", False)}


def test_every_zone_is_tried_as_spot_before_on_demand():
    spot = AcceptedSpot(max_price=0.02, fallback="on-demand")
    request = accepted(instance_types=("t3.medium",), spot=spot)
    prices = {(ZONES[0], "t3.medium"): 0.05, (ZONES[1], "t3.medium"): 0.01}
    placement, found = chosen(request, facts(spot=prices))
    assert found == {(ZONES[1], "t3.medium", True)}
    assert placement.hosts["n1"].price_limit == 0.02
    dear = dict.fromkeys(prices, 0.05)
    assert chosen(request, facts(spot=dear))[1] == {(ZONES[0], "t3.medium", False)}
    with pytest.raises(CapacityError, match=r"spot price is 0\.05 USD, above 0\.02"):
        chosen(accepted(instance_types=("t3.medium",), spot=AcceptedSpot(max_price=0.02)), facts(spot=dear))


def test_the_quota_is_looked_at_before_anything_is_made():
    request = accepted(instance_types=("t3.medium",))
    assert chosen(request, facts(room={False: 4}))[1]
    with pytest.raises(CapacityError, match="4 vCPU are more than the 3 left") as caught:
        chosen(request, facts(room={False: 3}))
    assert caught.value.exit_code == 13


def test_standing_hosts_stay_as_they_are():
    old, _ = chosen(accepted(count=1, instance_types=("m6i.large",)), facts())
    request = accepted(count=2, instance_types=("t3.medium",))
    placement, _ = chosen(request, facts(zones=(ZONES[1],)), old=old, standing=["n1"])
    assert (placement.hosts["n1"].machine_type, placement.hosts["n1"].zone) == ("m6i.large", ZONES[0])
    assert (placement.hosts["n2"].machine_type, placement.hosts["n2"].zone) == ("t3.medium", ZONES[1])
    assert placement.subnets[ZONES[0]] == old.subnets[ZONES[0]]
    assert len(set(placement.subnets.values())) == 2
    placement = with_prices(placement, {"n2": 0.04})
    assert [(o.host, o.price) for o in offers_of(request, placement)] == [("n1", None), ("n2", 0.04)]
    assert parse_placement(placement.to_json("root")) == placement
    assert "price" not in placement.to_json("root")["hosts"]["n1"], "an older placement stays as it is"


@pytest.mark.parametrize(
    ("pool", "error", "message"),
    [
        ({"instance_types": ("x9.nano",)}, UsageError, "no instance type 'x9.nano'"),
        ({"instance_types": ("m6g.large",)}, UsageError, "m6g.large is arm64, but the image is x86_64"),
        ({"cpu": 128}, CapacityError, "nobody sells 128 vCPU"),
    ],
)
def test_what_cannot_be_had_is_named(pool, error, message):
    with pytest.raises(error, match=message):
        chosen(accepted(**pool), facts())


def test_subnets_are_parts_of_the_network_until_it_is_full():
    assert subnet_cidr("10.0.0.0/16", frozenset(), "x-1a") == "10.0.0.0/20"
    assert subnet_cidr("10.0.0.0/16", frozenset(), "x-1c") == "10.0.32.0/20", "a zone's own, whoever came before"
    assert subnet_cidr("10.0.0.0/16", frozenset({"10.0.0.0/20"}), "x-1a") == "10.0.16.0/20"
    assert subnet_cidr("10.0.0.0/28", frozenset(), "x-1b") == "10.0.0.0/28"
    with pytest.raises(CapacityError, match="no room for one more zone"):
        subnet_cidr("10.0.0.0/28", frozenset({"10.0.0.0/28"}), "x-1a")


def test_a_placement_survives_its_json_and_a_broken_one_is_told():
    placement, _ = chosen(accepted(), facts())
    assert parse_placement(placement.to_json("root")) == placement
    assert parse_placement({}) is None
    with pytest.raises(PreconditionError, match="placement cannot be read"):
        parse_placement({"hosts": []})
