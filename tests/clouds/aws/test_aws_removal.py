"""Removal on a simulated account: strangers in the network, deletes that are refused, regions that are not to be seen."""

import pytest

from provisioner.errors import AccessError, ProviderError
from provisioner.model.ids import ClusterId, ClusterName
from tests.clouds.aws import gate
from tests.clouds.aws.cloud import REGION, ZONES
from tests.clouds.aws.made import make_machine, make_network
from tests.clouds.aws.requests import CID

pytestmark = pytest.mark.clouds
OURS = ClusterId(CID)


def refuse(monkeypatch, refuses):
    """Every call for which `refuses(action, region, arguments)` gives a code is answered with it."""
    from drivers.aws.api import Api, CodeError

    plain = Api.attempt

    def attempt(self, service, action, region, **arguments):
        if code := refuses(action, region, arguments):
            raise CodeError(code, "scripted by the test")
        return plain(self, service, action, region, **arguments)

    monkeypatch.setattr(Api, "attempt", attempt)


def test_strangers_are_found_first_and_their_network_is_left(cloud):
    subnet, _ = make_network(cloud)
    machine = make_machine(cloud, subnet, "m1")
    driver, ec2 = cloud.driver(), cloud.client()
    driver.within((REGION,))
    assert driver.strangers(REGION, OURS) == ()
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    started = ec2.run_instances(ImageId=cloud.image(), InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet)
    printer = started["Instances"][0]["InstanceId"]
    card = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    where = {"VpcId": vpc, "CidrBlock": "10.0.128.0/24", "AvailabilityZone": ZONES[0]}
    other = ec2.create_subnet(**where)["Subnet"]["SubnetId"]
    found = driver.strangers(None, OURS)
    assert [line.split()[:2] for line in found] == [
        ["instance", printer],
        ["network-interface", card],
        ["subnet", other],
    ]
    with pytest.raises(ProviderError, match=r"is not of demo-.*; the network is left") as told:
        driver.sweep(OURS)
    assert all(id_ in told.value.message for id_ in (printer, card, other))
    standing = cloud.standing()
    assert machine not in standing, "what costs money and is ours goes"
    assert {vpc, subnet, other, printer} <= set(standing)
    assert any(printer in line and "not of this cluster" in line for line in driver.leftovers(OURS))
    ec2.terminate_instances(InstanceIds=[printer])
    ec2.delete_network_interface(NetworkInterfaceId=card)
    ec2.delete_subnet(SubnetId=other)
    driver.sweep(OURS)
    assert cloud.standing() == []


def test_what_is_refused_is_told_by_its_id_and_told_again(cloud, monkeypatch):
    subnet, _ = make_network(cloud)
    kept, gone = make_machine(cloud, subnet, "m1"), make_machine(cloud, subnet, "n1")
    held = {"code": "OperationNotPermitted"}

    def refuses(action, _region, arguments):
        return held["code"] if action == "terminate_instances" and kept in arguments["InstanceIds"] else ""

    refuse(monkeypatch, refuses)
    driver = cloud.driver()
    driver.within((REGION,))
    for _ in range(2):
        with pytest.raises(ProviderError, match=kept):
            driver.sweep(OURS)
        left = "; ".join(driver.leftovers(OURS))
        assert kept in left
        assert gone not in left
        assert {r.id for r in driver.survey((REGION,)).resources} >= {kept}
    held["code"] = ""
    driver.sweep(OURS)
    assert driver.leftovers(OURS) == ()
    assert cloud.standing() == []


def test_a_region_that_refuses_or_is_silent_stops_no_other(cloud, monkeypatch):
    subnet, _ = make_network(cloud)
    make_machine(cloud, subnet, "m1")
    codes = {"us-west-2": "UnauthorizedOperation", "eu-west-1": "InternalError"}
    monkeypatch.setattr(gate, "REGIONS", (REGION, *codes))
    refuse(monkeypatch, lambda action, region, _: codes.get(region, "") if action == "describe_tags" else "")
    dark = {}
    found = cloud.driver().find(ClusterName("demo"), (), dark.__setitem__)
    assert [(f.cid, f.hosts, f.regions) for f in found] == [(CID, ("m1",), (REGION,))]
    assert {region: type(error) for region, error in dark.items()} == {
        "us-west-2": AccessError,
        "eu-west-1": ProviderError,
    }
    survey = cloud.driver().survey()
    assert {region for region, _ in survey.not_looked_at} == set(codes)
    assert survey.unsure == {"eu-west-1"}, "a policy that forbids to look forbids to make"
    with pytest.raises(ProviderError):
        cloud.driver().find(ClusterName("demo"))
    assert cloud.driver().find(ClusterName("demo"), (REGION,)), "a new name is looked for where it would be"
    with pytest.raises(AccessError):
        cloud.driver().find(ClusterName("demo"), ("us-west-2",), dark.__setitem__)
    near = cloud.driver()
    near.within((REGION,))
    assert near.leftovers(OURS)
    near.sweep(OURS)
    assert near.leftovers(OURS) == ()


def test_a_survey_that_every_region_refuses_is_none(cloud, monkeypatch):
    blind = {"describe_tags", "describe_vpcs"}
    refuse(monkeypatch, lambda action, _region, _: "UnauthorizedOperation" if action in blind else "")
    for look in (cloud.driver().survey, cloud.driver().networks):
        for regions in ((), (REGION,)):
            with pytest.raises(AccessError, match="UnauthorizedOperation"):
                look(regions)


def test_standing_machines_have_the_price_of_today(cloud, monkeypatch):
    from drivers.aws import standing
    from tests.clouds.aws.requests import accepted, chosen

    request = chosen(cloud.driver(), accepted(cloud.image(), nodes=2))
    asked = []
    monkeypatch.setattr(standing, "on_demand_price", lambda _api, _region, kind: asked.append(kind) or 0.05)
    prices = cloud.driver().prices(request, frozenset({"m1", "n1"}))
    assert prices == {"m1": (0.05, "USD"), "n1": (0.05, "USD")}
    assert asked == ["t3.medium"]
    kept = chosen(cloud.driver(), accepted(cloud.image(), nodes=2))
    assert kept.placement["hosts"]["n2"]["price"] == 0.05
    stays = cloud.driver().choose(kept, None, standing=frozenset({"m1", "n1", "n2"}))
    assert [offer.price for offer in stays.offers] == [0.05] * 3
    assert stays.placement == kept.placement


def test_a_spot_machine_is_listed_at_the_spot_price_of_its_zone(cloud, monkeypatch):
    from drivers.aws import standing

    monkeypatch.setattr(standing, "on_demand_price", lambda _api, _region, _kind: 0.05)
    market = {(ZONES[0], "t3.medium"): 0.011, (ZONES[1], "t3.medium"): 0.017}
    asked = []
    monkeypatch.setattr(
        standing, "spot_prices", lambda _api, where, types, _now: asked.append((where, *types)) or market
    )
    subnet, _ = make_network(cloud)
    make_machine(cloud, subnet, "m1")
    for host in ("n1", "n2"):
        make_machine(cloud, subnet, host, InstanceMarketOptions={"MarketType": "spot"})

    def prices():
        found = cloud.driver().survey((REGION,)).resources
        return {r.name: (r.price, r.currency) for r in found if r.kind == "instance"}

    assert prices() == {"m1": (0.05, "USD"), "n1": (0.011, "USD"), "n2": (0.011, "USD")}
    assert asked == [(REGION, "t3.medium")], "one question for all of a region"
    market.clear()
    assert prices()["n1"] == (None, ""), "the on-demand price is not what it costs"
    monkeypatch.undo()
    monkeypatch.setattr(standing, "on_demand_price", lambda _api, _region, _kind: 0.05)
    refuse(monkeypatch, lambda action, _region, _: "InternalError" if action == "describe_spot_price_history" else "")
    assert prices()["m1"] == (0.05, "USD"), "a price that cannot be had hides nothing"


def test_machines_that_were_stopped_by_hand_are_started_and_waited_for(cloud, monkeypatch):
    subnet, _ = make_network(cloud)
    machines = [make_machine(cloud, subnet, host) for host in ("m1", "n1")]
    cloud.client().stop_instances(InstanceIds=machines)
    stopping = iter(["IncorrectInstanceState"])  # it is still on its way down when we ask first
    refuse(monkeypatch, lambda action, _region, _: next(stopping, "") if action == "start_instances" else "")
    cloud.driver().start(tuple(machines))
    assert sorted(cloud.machines("running")) == ["m1", "n1"]
    refuse(monkeypatch, lambda action, _region, _: "OperationNotPermitted" if action == "start_instances" else "")
    with pytest.raises(ProviderError, match=machines[0]):
        cloud.driver().start(tuple(machines))
