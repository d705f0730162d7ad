"""What the policies allow for networks that clusters share, and that providers without networks refuse by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from drivers.alicloud import policy as alicloud
from drivers.aws import permissions as aws
from drivers.aws.sharednet import Rows, _subnets, _way_out
from drivers.base import load_driver
from provisioner.errors import UsageError
from provisioner.model.networks import NetworkPlan, NetworkWish, SharedNetwork
from tests.fakes.driver import AROUND


def test_aws_allows_changes_of_shared_networks_by_their_mark_alone() -> None:
    statements = {s["Sid"]: s for s in json.loads(aws.policy())["Statement"]}
    shared = statements["SharedNetworks"]
    assert shared["Condition"] == {"Null": {"aws:ResourceTag/sealer-cloud:network": "false"}}
    assert {"ec2:DeleteVpc", "ec2:ModifyVpcAttribute"} <= set(shared["Action"])
    assert not any("Instance" in action or "SecurityGroup" in action for action in shared["Action"])


def test_alicloud_keeps_what_only_networks_need_apart() -> None:
    statements = json.loads(alicloud.policy())["Statement"]
    assert statements[-1]["Action"] == ["ecs:DescribeZones"]


@pytest.mark.parametrize("name", ["local", "baremetal"])
def test_machines_without_a_cloud_share_no_network(name: str) -> None:
    driver = load_driver(name, AROUND)
    network = SharedNetwork("ci", name, "r", None, None)
    for call in (
        driver.networks,
        lambda: driver.plan_network(NetworkWish("ci", "r")),
        lambda: driver.make_network(NetworkPlan("ci", "r", "10.0.0.0/16", None, ()), {}, print),
        lambda: driver.remove_network(network, print),
    ):
        with pytest.raises(UsageError, match=f"provider {name} has no networks to share"):
            call()


def test_aws_makes_only_what_is_missing_of_the_way_out() -> None:
    nothing = Rows("ci", None, (), (), ())
    assert [p.kind for p in _way_out(nothing)] == [
        "internet-gateway", "gateway-attachment", "route-table", "default-route",
    ]  # fmt: skip
    gateway = {"InternetGatewayId": "igw-1", "Attachments": [{"VpcId": "vpc-1"}]}
    table = {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": [], "Associations": [{"SubnetId": "subnet-1"}]}
    subnets = tuple({"SubnetId": f"subnet-{n}", "AvailabilityZone": f"z{n}"} for n in (1, 2))
    half = Rows("ci", {"VpcId": "vpc-1"}, subnets, (gateway,), (table,))
    assert [p.kind for p in _way_out(half)] == ["default-route"]
    route = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
    for state, lacks in (("active", []), ("blackhole", ["default-route"])):
        routed = replace(half, tables=({**table, "Routes": [{**route, "State": state}]},))
        assert [p.kind for p in _way_out(routed)] == lacks, "a route to a gateway that is gone is no way out"
    assert [str(p) for p in _subnets(half, {"z3": "10.0.0.0/20"})] == [
        "route-table-association subnet-2 in z2",
        "subnet 10.0.0.0/20 in z3",
        "route-table-association 10.0.0.0/20 in z3",
    ]
