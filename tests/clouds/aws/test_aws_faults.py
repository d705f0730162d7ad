"""What the driver promises when the API misbehaves, on a simulated account: no engine, no hosts."""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from drivers.aws.api import BUSY_SECONDS, LONGEST_PAUSE
from provisioner.errors import AccessError, ProviderError
from provisioner.model.accepted import AcceptedSpot
from provisioner.model.ids import ClusterId
from tests.clouds.aws.cloud import KEY, SECRET, Clock
from tests.clouds.aws.made import make_machine, make_network, spec, tags
from tests.clouds.aws.requests import CID, accepted

pytestmark = pytest.mark.clouds


@pytest.mark.parametrize("action", ["GetCallerIdentity", "TerminateInstances"])
def test_throttling_of_a_minute_is_ridden_out_at_random(cloud, action):
    subnet, _ = make_network(cloud)
    make_machine(cloud, subnet, "m1")
    clock = Clock()
    rule = cloud.gate.fault(action, "RequestLimitExceeded", status=503, where=lambda _: clock.monotonic() < 60)
    assert cloud.driver(clock=clock).sweep(ClusterId(CID))
    assert cloud.standing() == []
    assert 60 <= clock.monotonic() < BUSY_SECONDS
    assert len(set(clock.pauses)) == len(clock.pauses), "at random"
    assert max(clock.pauses) <= LONGEST_PAUSE
    assert rule.hits <= 40, "it backs off"


def test_throttling_that_never_ends_does(cloud):
    clock = Clock()
    cloud.gate.fault("DescribeTags", "RequestLimitExceeded", status=503)
    with pytest.raises(ProviderError, match="RequestLimitExceeded"):
        cloud.driver(clock=clock).leftovers(ClusterId(CID))
    assert clock.monotonic() <= 2 * BUSY_SECONDS, "regions are looked at side by side"


def test_an_api_that_does_not_answer_is_given_up_without_its_address(cloud):
    cloud.gate.fault("", drop=True)
    begun = time.monotonic()
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        cloud.driver().find(None)
    assert time.monotonic() - begun < 60
    told = f"{caught.value.message} {caught.value.hint} {caught.value.evidence}"
    assert not [word for word in ("127.0.0.1", "http:", KEY, SECRET, "Signature") if word in told], told


def test_a_machine_that_is_long_in_going_is_waited_for(cloud):
    subnet, _ = make_network(cloud)
    machine = make_machine(cloud, subnet, "m1")
    clock = Clock()
    cloud.lingers = lambda: clock.monotonic() < 30
    in_use = ("DeleteSecurityGroup", "DeleteSubnet", "DeleteVpc")
    for action in in_use:
        cloud.gate.fault(action, "DependencyViolation", where=lambda _: cloud.lingers())
    assert any(machine in line for line in cloud.driver(clock=clock).sweep(ClusterId(CID)))
    assert clock.monotonic() >= 30
    assert cloud.standing() == []


def test_what_is_refused_for_good_stays_and_is_named_and_the_rest_goes(cloud):
    subnet, _ = make_network(cloud)
    kept = make_machine(cloud, subnet, "m1")
    gone = make_machine(cloud, subnet, "n1")
    cloud.gate.fault("TerminateInstances", "OperationNotPermitted", where=lambda c: kept in str(c.params))
    for action in ("DeleteSubnet", "DeleteVpc"):
        cloud.gate.fault(action, "DependencyViolation")
    driver = cloud.driver(clock=Clock())
    with pytest.raises(ProviderError):
        driver.sweep(ClusterId(CID))
    left = " ".join(driver.leftovers(ClusterId(CID)))
    assert kept in left
    assert subnet in left
    assert gone not in left
    cloud.gate.faults.clear()
    assert driver.sweep(ClusterId(CID))
    assert driver.leftovers(ClusterId(CID)) == ()


def test_a_token_that_ends_before_the_run_would_is_said_before_anything_is_made(cloud):
    soon = datetime.now(UTC) + timedelta(minutes=12)
    driver = cloud.driver(AWS_SESSION_TOKEN="token-canary", AWS_CREDENTIAL_EXPIRATION=soon.isoformat())
    assert any("they end in 1" in c.detail for c in driver.check() if c.name == "aws credentials")
    notes = driver.choose(accepted(cloud.image()), None, standing=frozenset()).notes
    assert any("may end before the run does: they end in 1" in note for note in notes)
    later = (soon + timedelta(hours=9)).isoformat()
    calm = cloud.driver(AWS_SESSION_TOKEN="token-canary", AWS_CREDENTIAL_EXPIRATION=later)
    assert not [n for n in calm.choose(accepted(cloud.image()), None, standing=frozenset()).notes if "credentials" in n]
    assert cloud.gate.mutations() == []


def test_the_simulated_account_keeps_to_the_printed_policy(cloud):
    """What carries our tag may be changed and removed, and nothing else; an action that is not named may not be done."""
    subnet, group = make_network(cloud)
    ours = make_machine(cloud, subnet, "m1")
    ec2 = cloud.client()
    where = {"ImageId": cloud.image(), "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1}
    foreign = ec2.run_instances(**where)["Instances"][0]["InstanceId"]
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    driver = cloud.driver()
    cloud.gate.policy = driver.permissions()
    user = cloud.client(key=KEY)
    for call in (
        lambda: user.terminate_instances(InstanceIds=[foreign]),
        lambda: user.terminate_instances(InstanceIds=[ours, foreign]),
        lambda: user.delete_vpc(VpcId=default),
        lambda: user.create_key_pair(KeyName="any"),
    ):
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            call()
    with pytest.raises(ClientError, match="NotFound"):
        user.delete_vpc(VpcId="vpc-0123456789abcdef0")
    user.describe_security_groups(GroupIds=[group])
    assert driver.sweep(ClusterId(CID))
    assert [m["InstanceId"] for m in cloud.machines().values()] == [foreign]


NICE_TO_KNOW = {
    "ec2:DescribeRegions",
    "ec2:DescribeSpotPriceHistory",
    "pricing:GetProducts",
    "servicequotas:GetServiceQuota",
}
"""Without these a price or a quota is "not known", and a region is one that the SDK knows."""


def test_without_any_one_read_of_the_policy_nothing_is_chosen(cloud):
    request = accepted(cloud.image(), nodes=1)
    master, node = request.pools
    request = request.model_copy(
        update={"pools": (master, node.model_copy(update={"spot": AcceptedSpot(max_price=1.0)}))}
    )
    policy = json.loads(cloud.driver().permissions())
    cloud.gate.policy = json.dumps(policy)
    cloud.driver().choose(request, None, standing=frozenset())
    used = {call.name for call in cloud.gate.log}
    assert used > NICE_TO_KNOW
    for action in sorted(used):
        less = [{**part, "Action": [a for a in part["Action"] if a != action]} for part in policy["Statement"]]
        cloud.gate.policy = json.dumps({**policy, "Statement": less})
        with contextlib.nullcontext() if action in NICE_TO_KNOW else pytest.raises(AccessError, match="Unauthorized"):
            cloud.driver().choose(request, None, standing=frozenset())


def test_a_network_that_was_made_twice_goes_and_no_machine_does(cloud):
    subnet, _ = make_network(cloud)
    make_machine(cloud, subnet, "m1")
    known = frozenset(cloud.standing()) | {
        t["RouteTableId"] for t in cloud.client().describe_route_tables()["RouteTables"]
    }
    unknown = make_machine(cloud, subnet, "n1")
    make_network(cloud, cid="other-abc234")
    before = set(cloud.standing())
    ec2, marks = cloud.client(), tags()
    twin = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=spec("vpc", **marks))["Vpc"]["VpcId"]
    way = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", **marks))["InternetGateway"]
    gone = cloud.driver().end_strays(ClusterId(CID), known)
    assert [line.split()[1] for line in gone] == [way["InternetGatewayId"], twin]
    assert set(cloud.standing()) == before
    assert unknown in before


def test_what_a_cut_run_made_and_did_not_record_is_out_of_the_way(cloud):
    """A rule or a route of a subnet cannot be made a second time: EC2 refuses it, and `up` would never end."""
    _, group = make_network(cloud)
    ec2 = cloud.client()
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    marks = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "sealer-cloud:cid", "Value": CID}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule], TagSpecifications=marks)
    recorded = frozenset(id_ for id_ in cloud.standing()) | {
        table["RouteTableId"] for table in ec2.describe_route_tables()["RouteTables"]
    }
    assert cloud.driver().orphans(ClusterId(CID), recorded) == {}
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"] == []
    own = {"Name": "tag:sealer-cloud:cid", "Values": [CID]}
    (table,) = ec2.describe_route_tables(Filters=[own])["RouteTables"]
    assert [a for a in table["Associations"] if not a.get("Main")] == []
    assert set(cloud.standing()) <= recorded
