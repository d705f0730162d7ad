"""Networks that clusters share on the simulated account: made whole or in part, found by tag, removed when empty."""

from dataclasses import replace

import pytest

from drivers.aws.api import Api, CodeError
from provisioner.errors import InterruptedRunError, ProviderError, UsageError
from provisioner.model.ids import ClusterId
from provisioner.model.networks import NetworkWish
from provisioner.model.site import Site
from provisioner.model.tags import network_tags
from provisioner.sharednet import create_network, delete_network
from tests.clouds.aws.cloud import REGION, ZONES
from tests.clouds.aws.made import make_machine
from tests.clouds.aws.requests import RUN, accepted, chosen
from tests.unit.test_operator import Scene

pytestmark = pytest.mark.clouds
WISH = NetworkWish("ci", REGION, ZONES[:2])
MARKS = network_tags("ci", RUN, None, "https://git.example/app")
WHOLE = [
    "vpc 10.0.0.0/16",
    "dns-hostnames",
    "internet-gateway",
    "gateway-attachment",
    "route-table",
    "default-route",
    f"subnet 10.0.0.0/20 in {ZONES[0]}",
    f"route-table-association 10.0.0.0/20 in {ZONES[0]}",
    f"subnet 10.0.16.0/20 in {ZONES[1]}",
    f"route-table-association 10.0.16.0/20 in {ZONES[1]}",
]


def make(driver, wish=WISH, tell=lambda _text: None):
    driver.make_network(driver.plan_network(wish), MARKS, tell)


def only(driver):
    (found,) = driver.networks((REGION,), "ci").found
    return found


def test_a_network_is_made_marked_used_and_removed(cloud):
    """With no more rights than the policy that `doctor --permissions` prints."""
    driver, ec2, told = cloud.driver(), cloud.client(), []
    cloud.gate.policy = driver.permissions()
    make(driver, tell=told.append)
    assert told == WHOLE
    network = only(driver)
    assert (network.zones, network.cidr, network.clusters, network.occupants, network.run) == (
        ZONES[:2], "10.0.0.0/16", (), (), RUN,
    )  # fmt: skip
    assert driver.plan_network(WISH).parts == (), "nothing to do"
    names = ec2.describe_vpc_attribute(VpcId=network.id, Attribute="enableDnsHostnames")
    assert names["EnableDnsHostnames"]["Value"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network.id]}])["Subnets"]
    assert not any(s["MapPublicIpOnLaunch"] for s in subnets)
    placement = chosen(driver, accepted(cloud.image(), network={"shared": "ci"})).placement
    assert (placement["vpc"], placement["subnets"].keys()) == (network.id, {ZONES[0]})

    assert {r.cid for r in driver.survey((REGION,)).resources} == {None}
    machine = make_machine(cloud, placement["subnets"][ZONES[0]], "m1")
    card = ec2.create_network_interface(SubnetId=placement["subnets"][ZONES[0]])["NetworkInterface"]
    used = only(driver)
    assert used.clusters == ("demo-abc234",)
    assert any(machine in line and "of cluster demo-abc234" in line for line in used.occupants)
    assert any(card["NetworkInterfaceId"] in line for line in used.occupants), "somebody else's"
    driver.sweep(ClusterId("demo-abc234"))
    ec2.delete_network_interface(NetworkInterfaceId=card["NetworkInterfaceId"])

    assert only(driver).parts == network.parts, "a cluster's end leaves it"
    kept = cloud.gate.fault("DeleteSubnet", "OperationNotPermitted", times=1)
    refused = driver.remove_network(only(driver), told.append)
    assert (kept.hits, "OperationNotPermitted" in refused[0]) == (1, True)
    assert [p.kind for p in only(driver).parts] == ["vpc", "subnet"], "the rest went"
    assert driver.remove_network(only(driver), told.append) == ()
    assert cloud.standing() == []
    assert driver.networks((REGION,), "ci").found == ()


def test_a_create_that_is_cut_is_continued(cloud):
    driver, told, calls = cloud.driver(), [], 3

    def cut(text):
        if len(told) == calls:
            raise InterruptedRunError("cut")
        told.append(text)

    for start in range(0, len(WHOLE) - calls, calls):
        told.clear()
        with pytest.raises(InterruptedRunError):
            make(driver, tell=cut)
        assert [t.split()[0] for t in told] == [p.split()[0] for p in WHOLE[start : start + calls]], "on from there"
    make(driver)
    assert driver.plan_network(WISH).parts == ()
    assert [p.kind for p in only(driver).parts] == ["vpc", "internet-gateway", "route-table", "subnet", "subnet"]


async def test_a_network_whose_answer_was_lost_is_gone_on_with_and_a_twin_is_named(cloud, tmp_path):
    """What EC2 made and shows to nobody is made again by the next run: both are named, nothing is built on either."""
    gate = cloud.gate
    world = replace(Scene(tmp_path).world, drivers={"aws": lambda _: cloud.driver()})
    words = (world, Site("aws", REGION), WISH, lambda _plan: True)
    lost = gate.fault("CreateVpc", drop=True, acted=True, times=1)
    with pytest.raises(ProviderError, match="cannot be reached"):
        await create_network(*words)
    assert (lost.hits, len(own_vpcs(cloud))) == (1, 1), "a call that may make a second one is not sent again"
    await create_network(*words)
    (first,) = own_vpcs(cloud)

    gate.hidden.add(first)
    gate.fault("CreateVpc", times=1, acted=True, then=gate.hidden.clear)
    with pytest.raises(ProviderError, match="finds vpc-") as caught:
        await create_network(*words)
    twins = own_vpcs(cloud)
    assert len(twins) == 2
    assert all(own in caught.value.message for own in twins)
    start = len(gate.log)
    with pytest.raises(UsageError, match="stands 2 times"):
        await create_network(*words)
    assert gate.mutations(start) == [], "never a third"
    assert (await delete_network(world, Site("aws", REGION), "ci", lambda _found: True)).left == ()
    assert cloud.standing() == []


def own_vpcs(cloud):
    """The VPCs that carry a network's tag."""
    return [id_ for id_ in cloud.standing() if id_.startswith("vpc-")]


def test_what_differs_is_refused_and_a_rest_is_found(cloud):
    driver = cloud.driver()
    make(driver)
    with pytest.raises(UsageError, match=r"with 10\.0\.0\.0/16, not with 10\.9\.0\.0/16"):
        driver.plan_network(NetworkWish("ci", REGION, ZONES, "10.9.0.0/16"))
    with pytest.raises(UsageError, match="is no zone of"):
        driver.plan_network(NetworkWish("ci", REGION, ("eu-central-1z",)))
    more = driver.plan_network(NetworkWish("ci", REGION)).parts
    assert {p.zone for p in more} == {ZONES[2]}
    tags = [{"Key": key, "Value": value} for key, value in network_tags("lost", RUN, None, None).items()]
    spec = [{"ResourceType": "internet-gateway", "Tags": tags}]
    cloud.client().create_internet_gateway(TagSpecifications=spec)
    found = {n.name: n for n in driver.networks().found}
    assert set(found) == {"ci", "lost"}
    assert found["lost"].id is None
    assert driver.remove_network(found["lost"], lambda _text: None) == ()


@pytest.mark.parametrize("deleted", [True, False])
def test_a_way_out_that_leads_nowhere_is_told_and_replaced(cloud, deleted):
    """Somebody detached the gateway, or deleted it; the route stands, dead."""
    driver, ec2 = cloud.driver(), cloud.client()
    cloud.gate.policy = driver.permissions()
    make(driver)
    network = only(driver)
    (gateway,) = (p.id for p in network.parts if p.kind == "internet-gateway")
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=network.id)
    if deleted:
        ec2.delete_internet_gateway(InternetGatewayId=gateway)

    def notes(**asked):
        choice = driver.choose(accepted(cloud.image(), network=asked), None, standing=frozenset())
        return [note for note in choice.notes if "leads nowhere" in note]

    assert ["network create ci" in note for note in notes(shared="ci")] == [True]
    assert ["network create" in note for note in notes(vpc=network.id)] == [False], "it may be somebody else's"
    parts = [*["internet-gateway"] * deleted, "gateway-attachment", "default-route"]
    assert [p.kind for p in driver.plan_network(WISH).parts] == parts
    make(driver)
    assert driver.plan_network(WISH).parts == ()
    assert notes(shared="ci") == notes(vpc=network.id) == notes() == []
    assert driver.remove_network(only(driver), lambda _text: None) == ()
    assert cloud.standing() == []


def test_where_the_routes_may_not_be_read_nothing_is_told_and_hosts_are_chosen(cloud):
    driver = cloud.driver()
    make(driver)
    cloud.gate.fault("DescribeRouteTables", "UnauthorizedOperation", status=403)
    assert chosen(driver, accepted(cloud.image(), network={"shared": "ci"})).placement["vpc"]


def test_create_calls_are_sent_once_and_a_busy_service_is_waited_for(cloud, monkeypatch):
    driver, calls, plain = cloud.driver(), [], Api.attempt

    def attempt(self, service, action, region, **arguments):
        calls.append(action)
        if action == "create_subnet" and calls.count(action) == 1:
            raise CodeError("InvalidVpcID.NotFound", "not seen yet")
        if action == "create_vpc":
            assert self._attempts == 1, "a repeated call would make a second one"
        return plain(self, service, action, region, **arguments)

    monkeypatch.setattr(Api, "attempt", attempt)
    make(driver)
    assert (calls.count("create_vpc"), calls.count("create_subnet")) == (1, 3)
    with pytest.raises(ProviderError, match="cannot be reached"):
        cloud.driver(AWS_ENDPOINT_URL="http://127.0.0.1:9").networks((REGION,))
