"""The driver against a simulated account: who we are, what is chosen, what is found by tag and removed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drivers.aws import adopting
from drivers.aws.failures import CAPACITY
from provisioner.errors import AccessError, CapacityError, PreconditionError, ProviderError, UsageError
from provisioner.model.accepted import AcceptedPool, AcceptedSpot
from provisioner.model.driver import Refused
from provisioner.model.ids import ClusterId
from tests.clouds.aws.cloud import REGION, ZONES
from tests.clouds.aws.gate import ACCOUNT
from tests.clouds.aws.made import DEADLINE, make_machine, make_network
from tests.clouds.aws.requests import CID, RUN, accepted, chosen

pytestmark = pytest.mark.clouds


def test_a_choice_names_what_is_sold(cloud):
    choice = cloud.driver().choose(accepted(cloud.image(), nodes=2), None, standing=frozenset())
    assert choice.placement["account"] == ACCOUNT
    assert choice.placement["zones"] == [ZONES[0]]
    assert [(o.host, o.zone, o.machine_type, o.spot) for o in choice.offers] == [
        ("m1", ZONES[0], "t3.medium", False),
        ("n1", ZONES[0], "t3.medium", False),
        ("n2", ZONES[0], "t3.medium", False),
    ]
    assert [o.price for o in choice.offers] == [None] * 3, "the simulator sells nothing: a price is not made up"


def test_spot_first_then_on_demand_then_nothing_is_left(cloud):
    pool = AcceptedPool(
        name="master",
        roles=("master",),
        count=1,
        instance_types=("t3.medium",),
        spot=AcceptedSpot(max_price=1.0, fallback="on-demand"),
    )
    request = accepted(cloud.image(), pools=(pool,), zones=(ZONES[1],))
    driver = cloud.driver()
    first = driver.choose(request, None, standing=frozenset())
    assert (first.offers[0].spot, first.offers[0].price is not None) == (True, True)
    no_spot = Refused("master", ZONES[1], "t3.medium", spot=True, code="SpotMaxPriceTooLow")
    second = driver.choose(request, None, (no_spot,), standing=frozenset())
    assert second.offers[0].spot is False
    no_stock = Refused("master", ZONES[1], "t3.medium", spot=False, code="InsufficientInstanceCapacity")
    with pytest.raises(CapacityError, match=r"SpotMaxPriceTooLow.*InsufficientInstanceCapacity"):
        driver.choose(request, None, (no_spot, no_stock), standing=frozenset())


def test_standing_hosts_cost_one_call(cloud, monkeypatch):
    request = chosen(cloud.driver(), accepted(cloud.image()))
    driver = cloud.driver()
    calls = []
    from drivers.aws.api import Api

    plain = Api.attempt
    monkeypatch.setattr(Api, "attempt", lambda self, *a, **k: (calls.append(a[1]), plain(self, *a, **k))[1])
    again = driver.choose(request, None, standing=frozenset({"m1"}))
    assert again.placement == request.placement
    assert calls == ["get_caller_identity"]


def test_another_account_is_refused_before_anything(cloud):
    request = chosen(cloud.driver(), accepted(cloud.image()))
    foreign = request.model_copy(update={"placement": {**request.placement, "account": "999999999999"}})
    driver = cloud.driver()
    with pytest.raises(AccessError, match="999999999999") as caught:
        driver.choose(foreign, None, standing=frozenset({"m1"}))
    assert caught.value.exit_code == 5
    with pytest.raises(AccessError, match="999999999999"):
        driver.check(driver.parse_spec(foreign))


def test_a_second_check_asks_what_became_of_the_key_meanwhile(cloud):
    request = chosen(cloud.driver(), accepted(cloud.image()))
    driver = cloud.driver()
    driver.choose(request, None, standing=frozenset({"m1"}))
    cloud.gate.fault("GetCallerIdentity", "InvalidClientTokenId", status=403)
    spec = driver.parse_spec(request)
    assert all(check.ok for check in driver.check(spec, standing=True)), "asked a moment ago"
    with pytest.raises(AccessError, match="InvalidClientTokenId"):
        driver.check(spec, standing=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "eu-central-1", "zones": ("eu-central-1z",)}, "is no zone of eu-central-1"),
        ({"network": {"vpc": "vpc-00000000"}}, "in 0 networks"),
        ({"network": {"shared": "ci"}}, "0 VPCs named ci"),
    ],
)
def test_what_is_not_there_is_named(cloud, change, message):
    with pytest.raises(UsageError, match=message):
        cloud.driver().choose(accepted(cloud.image(), **change), None, standing=frozenset())


def test_an_existing_network_is_used_by_name(cloud):
    subnet, _ = make_network(cloud)
    ec2 = cloud.client()
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "sealer-cloud:network", "Value": "ci"}])
    request = accepted(cloud.image(), network={"shared": "ci", "public": "none"})
    placement = cloud.driver().choose(request, None, standing=frozenset()).placement
    assert (placement["vpc"], placement["subnets"]) == (vpc, {ZONES[0]: subnet})


def test_no_credentials_no_plugin_no_api(cloud, tmp_path):
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with pytest.MonkeyPatch.context() as patched:
        for name in nobody:
            patched.delenv(name, raising=False)
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patched.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        patched.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(AccessError, match="no AWS credentials"):
            cloud.driver(**nobody).needs()
    with pytest.raises(PreconditionError, match="plugin") as caught:
        cloud.driver(SEALER_CLOUD_PLUGIN_AWS_DIR=str(tmp_path / "none"), HOME=str(tmp_path)).needs()
    assert "pulumi plugin install resource aws" in caught.value.hint
    away = cloud.driver(AWS_ENDPOINT_URL="http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="cannot be reached") as unreachable:
        away.find(None)
    assert "127.0.0.1" not in str(unreachable.value)
    assert [c.ok for c in away.check()] == [True, False]


def test_needs_carry_the_same_credentials(cloud):
    needs = cloud.driver().needs()
    assert {name: needs.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")} == {
        name: cloud.environ[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")
    }
    assert needs.plugins == {"aws": cloud.plugins}
    assert cloud.environ["AWS_SECRET_ACCESS_KEY"] not in repr(needs)


def test_found_told_and_swept_by_tag_alone_in_any_region(cloud):
    subnet, _ = make_network(cloud)
    machine = make_machine(cloud, subnet, "m1")
    far, _ = make_network(cloud, "other-bcd234", "us-west-2")
    make_machine(cloud, far, "m1", "other-bcd234", "us-west-2")
    driver = cloud.driver()
    assert [(f.name, f.cid, f.hosts) for f in driver.find(None)] == [
        ("demo", CID, ("m1",)),
        ("other", "other-bcd234", ("m1",)),
    ]
    kinds = [line.split()[0] for line in driver.leftovers(ClusterId(CID))]
    assert kinds == ["instance", "volume", "security-group", "route-table", "internet-gateway", "subnet", "vpc"]

    survey = driver.survey((REGION,))
    seen = next(r for r in survey.resources if r.id == machine)
    assert (seen.kind, seen.cid, seen.run, seen.expires_at, seen.ci_run) == ("instance", CID, RUN, DEADLINE, "77")
    assert datetime.fromisoformat(seen.created) <= datetime.now(UTC)

    removed = driver.sweep(ClusterId(CID))
    assert any(machine in line for line in removed)
    assert cloud.standing() == []
    assert driver.leftovers(ClusterId(CID)) == ()
    assert driver.sweep(ClusterId(CID)) == ()
    assert [f.cid for f in driver.find(None)] == ["other-bcd234"], "another cluster is never touched"


def test_orphans_are_told_and_no_machine_or_disk_is_ended(cloud):
    subnet, _ = make_network(cloud)
    known = make_machine(cloud, subnet, "m1")
    twin = make_machine(cloud, subnet, "m1")
    lost = make_machine(cloud, subnet, "n1")
    before = cloud.standing()
    assert cloud.driver().orphans(ClusterId(CID), frozenset({known})) == {"m1": twin, "n1": lost}
    assert cloud.standing() == before
    again = make_machine(cloud, subnet, "n1")
    marked = [{"ResourceType": "volume", "Tags": [{"Key": "sealer-cloud:cid", "Value": CID}]}]
    volume = cloud.client().create_volume(AvailabilityZone=ZONES[0], Size=1, TagSpecifications=marked)["VolumeId"]
    with pytest.raises(ProviderError, match=r"host n1 of demo-.* stands twice") as told:
        cloud.driver().orphans(ClusterId(CID), frozenset({known, subnet}))
    assert lost in told.value.message
    assert again in told.value.message
    assert volume in cloud.standing()


def test_a_machine_that_went_between_two_looks_keeps_no_other_from_being_seen(cloud):
    subnet, _ = make_network(cloud)
    stays = make_machine(cloud, subnet, "m1")
    driver = cloud.driver()
    api, found = driver._caller.reach()[1], driver._of(ClusterId(CID))
    machine = next(thing for thing in found if thing.id == stays)
    gone = replace(machine, id="i-0123456789abcdef0", tags={**machine.tags, "sealer-cloud:host": "n1"})
    assert [m.id for m in adopting.seen(api, [*found, gone])] == [stays]
    assert [m.id for m in adopting.standing(api, ClusterId(CID), [*found, gone], REGION).machines] == [stays]


def test_diagnose_says_what_can_be_seen_and_never_fails(cloud):
    subnet, _ = make_network(cloud)
    machine = make_machine(cloud, subnet, "m1")
    lines = cloud.driver().diagnose(REGION, machine)
    assert lines[0] == "the machine is running"
    assert any(line.startswith("public address: ") for line in lines)
    ec2 = cloud.client()
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    gateway = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["RouteTables"]
    ec2.create_route(RouteTableId=tables[0]["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert any(line.endswith(f"by {gateway}") for line in cloud.driver().diagnose(REGION, machine))
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert any(line.endswith(f"by {gateway}, which is gone") for line in cloud.driver().diagnose(REGION, machine))
    assert cloud.driver(AWS_ENDPOINT_URL="http://127.0.0.1:9").diagnose(REGION, machine) == ()


def test_capacity_codes_are_those_that_pipeline_fails_over_on():
    from provisioner.model.refusals import FAILS_OVER, meaning_of

    assert {code for code in CAPACITY if meaning_of(code) not in FAILS_OVER} == set()
