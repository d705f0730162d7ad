"""The driver's own calls against the simulator: choosing, looking and removing by tag, faults."""

import os
from datetime import timedelta

import pytest

from drivers.alicloud import sweep
from drivers.alicloud.credentials import resolver
from provisioner.errors import AccessError, CapacityError, ProviderError, RefusedKeyError, UsageError
from provisioner.model.accepted import AcceptedOsImage, AcceptedSpot
from provisioner.model.driver import Refused
from provisioner.model.ids import ClusterId, ClusterName
from tests.clouds.alicloud.asked import CID, NOW, Clock, accepted, chosen, driver
from tests.clouds.alicloud.client import good, make_network, run_words
from tests.clouds.alicloud.sim.account import Key
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET

pytestmark = pytest.mark.clouds
NONE = frozenset()
OURS = {"Tag__1__Key": "sealer-cloud:cid", "Tag__1__Value": CID}


def test_checks_are_one_signed_call(alicloud):
    checks = driver(alicloud).check()
    assert [c.ok for c in checks if c.name != "plugin"] == [True]
    assert alicloud.account.counts() == {"DescribeRegions": 1}


@pytest.mark.parametrize(
    "wrong", [{"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIgone"}, {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "no"}]
)
def test_wrong_credentials_stop_before_anything(alicloud, wrong):
    check = driver(alicloud, **wrong).check()[0]
    assert not check.ok
    assert check.name == "credentials"
    assert "LTAI" not in check.detail + check.hint
    with pytest.raises(AccessError):
        driver(alicloud, **wrong).choose(accepted(), None, standing=NONE)


def test_another_account_is_refused(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted())
    assert request.placement["account"] == "1000000000000001"
    alicloud.account.keys = {KEY_ID: Key(SECRET, account="2000000000000002")}
    lacks = [c for c in one.check(one.parse_spec(request), standing=True) if not c.ok and c.name == "account"]
    assert "2000000000000002" in lacks[0].detail


def test_choice_is_looked_up_once_and_kept(alicloud):
    one = driver(alicloud)
    with pytest.raises(UsageError, match="no region"):
        one.choose(accepted(region=None), None, standing=NONE)
    request = accepted(nodes=1, expires_at=f"{NOW + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}")
    choice = one.choose(request, None, standing=NONE)
    assert {o.host: (o.zone, o.machine_type) for o in choice.offers} == dict.fromkeys(
        ("m1", "n1"), ("cn-hangzhou-h", "ecs.c7.large")
    )
    assert all(o.price and o.currency == "CNY" for o in choice.offers)
    assert choice.placement["imageId"] == "debian_12_6_x64_20G_alibase_20240711.vhd"
    start = len(alicloud.account.log)
    again = one.choose(
        request.model_copy(update={"placement": choice.placement}), None, standing=frozenset({"m1", "n1"})
    )
    assert again.placement == choice.placement
    assert alicloud.account.counts(start) == {"GetCallerIdentity": 1}
    assert alicloud.account.mutations() == []


def test_sold_out_zone_is_passed_by(alicloud):
    alicloud.account.catalogue.sold_out.add(("cn-hangzhou-h", ""))
    request = chosen(driver(alicloud), accepted(zones=("cn-hangzhou-h", "cn-hangzhou-i")))
    assert request.placement["hosts"]["m1"]["zone"] == "cn-hangzhou-i"
    with pytest.raises(CapacityError, match="no stock"):
        driver(alicloud).choose(accepted(zones=("cn-hangzhou-h",)), None, standing=NONE)


def test_refused_pool_moves_on_alone(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted(nodes=1))
    place = request.placement["hosts"]["n1"]
    refused = Refused("node", place["zone"], place["type"], spot=False, code="OperationDenied.NoStock")
    again = one.choose(request, None, (refused,), standing=NONE)
    assert again.placement["hosts"]["m1"] == request.placement["hosts"]["m1"]
    assert again.placement["hosts"]["n1"] != place
    assert any("was refused: OperationDenied.NoStock" in note for note in again.notes)
    with pytest.raises(CapacityError, match=r"tried ecs.g7.large in cn-hangzhou-h: OperationDenied.NoStock"):
        one.choose(
            accepted(pool={"instance_types": ("ecs.g7.large",)}, zones=("cn-hangzhou-h",)),
            None,
            (Refused("master", "cn-hangzhou-h", "ecs.g7.large", spot=False, code="OperationDenied.NoStock"),),
            standing=NONE,
        )


def test_spot_then_on_demand(alicloud):
    spot = AcceptedSpot(max_price=0.3, currency="CNY", fallback="on-demand")
    placed = chosen(driver(alicloud), accepted(pool={"spot": spot})).placement["hosts"]["m1"]
    assert (placed["spot"], placed["priceLimit"]) == (True, 0.3)
    zones = alicloud.account.catalogue.zones["cn-hangzhou"]
    alicloud.account.catalogue.sold_out |= {(z, t, "spot") for z in zones for t in alicloud.account.catalogue.types}
    assert "spot" not in chosen(driver(alicloud), accepted(pool={"spot": spot})).placement["hosts"]["m1"]
    with pytest.raises(CapacityError, match="no spot stock"):
        driver(alicloud).choose(accepted(pool={"spot": AcceptedSpot()}), None, standing=NONE)
    dollars = AcceptedSpot(max_price=9, currency="USD")
    alicloud.account.catalogue.sold_out.clear()
    with pytest.raises(UsageError, match="USD"):
        driver(alicloud).choose(accepted(pool={"spot": dollars}), None, standing=NONE)


def test_arm_and_images_by_name(alicloud):
    arm = accepted(pool={"memory": 8}, os_image=AcceptedOsImage(name="ubuntu-24.04", arch="arm64"))
    placement = chosen(driver(alicloud), arm).placement
    assert placement["hosts"]["m1"]["type"] == "ecs.g8y.large"
    assert placement["imageId"].startswith("ubuntu_24_04_arm64")
    with pytest.raises(UsageError, match="no public image plan9-4 for amd64"):
        driver(alicloud).choose(accepted(os_image=AcceptedOsImage(name="plan9-4")), None, standing=NONE)


@pytest.mark.parametrize(("action", "word"), [("DescribePrice", "prices"), ("DescribeAccountAttributes", "quota")])
def test_what_the_endpoint_lacks_is_not_known(alicloud, action, word):
    alicloud.account.faults.add(Fault(action, "UnsupportedOperation"))
    choice = driver(alicloud).choose(accepted(), None, standing=NONE)
    assert any(note.startswith(f"{word} not known") for note in choice.notes)


def test_a_network_that_stands_is_used_as_it_is(alicloud):
    vpc, switch, _ = make_network(alicloud)
    one = driver(alicloud)
    request = accepted(network={"vpc": vpc, "cidr": "10.1.0.0/16"})
    choice = one.choose(request, None, standing=NONE)
    assert choice.placement["network"] == {
        "vpcId": vpc, "cidr": "10.77.0.0/16", "subnets": {"cn-hangzhou-h": {"cidr": "10.77.1.0/24"}},
    }  # fmt: skip
    assert any("10.1.0.0/16" in note and vpc in note for note in choice.notes)
    named = one.choose(accepted(network={"subnets": [switch], "public": "none"}), None, standing=NONE)
    assert named.placement["network"]["subnets"] == {"cn-hangzhou-h": {"id": switch}}
    with pytest.raises(UsageError, match="'nowhere' is not in this region"):
        one.choose(accepted(network={"vpc": "nowhere"}), None, standing=NONE)


def test_sweep_removes_by_tag_in_order_and_nothing_else(alicloud):
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    words = {"VpcId": vpc, "ZoneId": "cn-hangzhou-h", "CidrBlock": "10.8.0.0/24", "VSwitchName": f"{CID}-cn-hangzhou-h"}
    switch = good(alicloud, "vpc", "CreateVSwitch", **words)["VSwitchId"]  # a cut run leaves it without tags
    group = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc, **OURS)["SecurityGroupId"]
    host = {"Tag__2__Key": "sealer-cloud:host", "Tag__2__Value": "m1"}
    own = good(alicloud, "ecs", "RunInstances", **run_words(switch, group, **OURS, **host))["InstanceIdSets"][
        "InstanceIdSet"
    ][0]
    other = make_network(alicloud)
    one, cid = driver(alicloud), ClusterId(CID)
    assert one.orphans(cid, NONE) == {"m1": own}
    assert one.orphans(cid, frozenset({own})) == {}
    left = one.leftovers(cid)
    assert {kind for line in left for kind in (line.split()[0],)} == {"instance", "security", "vswitch", "vpc"}
    assert {r.id for r in one.survey(("cn-hangzhou",)).resources} == {own, switch, group, vpc}
    assert len(one.sweep(cid)) == 4
    assert one.leftovers(cid) == ()
    assert one.sweep(cid) == ()
    assert good(alicloud, "vpc", "DescribeVpcAttribute", VpcId=other[0])["VpcId"] == other[0]


def test_a_stranger_in_the_network_is_named_and_kept(alicloud):
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    switch = good(alicloud, "vpc", "CreateVSwitch", VpcId=vpc, ZoneId="cn-hangzhou-h", CidrBlock="10.8.0.0/24")[
        "VSwitchId"
    ]
    group = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc)["SecurityGroupId"]
    stranger = good(alicloud, "ecs", "RunInstances", **run_words(switch, group))["InstanceIdSets"]["InstanceIdSet"][0]
    one, cid = driver(alicloud), ClusterId(CID)
    assert stranger in one.strangers(None, cid)[0]
    assert any(stranger in line and "not of this cluster" in line for line in one.leftovers(cid))
    with pytest.raises(ProviderError, match=stranger):
        one.sweep(cid)
    assert "DeleteInstance" not in alicloud.account.counts()


def test_what_the_service_keeps_refusing_is_named(alicloud):
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    alicloud.account.faults.add(Fault("DeleteVpc", "DependencyViolation.RouteEntry", times=2))
    assert len(driver(alicloud).sweep(ClusterId(CID))) == 1
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    alicloud.account.faults.add(Fault("DeleteVpc", "DependencyViolation.RouteEntry"))
    clock = Clock()
    with pytest.raises(ProviderError, match=vpc):
        driver(alicloud, waits=clock.waits()).sweep(ClusterId(CID))
    assert sweep.DEPENDENCY_SECONDS <= clock.slept < sweep.DEPENDENCY_SECONDS + 60


def test_one_machine_that_does_not_go_keeps_no_other(alicloud):
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    words = {"VpcId": vpc, "ZoneId": "cn-hangzhou-h", "CidrBlock": "10.8.0.0/24"}
    switch = good(alicloud, "vpc", "CreateVSwitch", **words)["VSwitchId"]
    group = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc, **OURS)["SecurityGroupId"]
    made = [good(alicloud, "ecs", "RunInstances", **run_words(switch, group, **OURS)) for _ in range(3)]
    machines = sorted(m["InstanceIdSets"]["InstanceIdSet"][0] for m in made)
    kept = machines[0]
    alicloud.account.faults.add(Fault("DeleteInstance", "OperationDenied.Protected", where={"InstanceId": kept}))
    clock = Clock()
    one = driver(alicloud, waits=clock.waits())
    with pytest.raises(ProviderError, match=kept):
        one.sweep(ClusterId(CID))
    assert {line.split()[1] for line in one.leftovers(ClusterId(CID)) if line.startswith("instance")} == {kept}
    assert clock.slept < 60


def test_throttling_is_waited_out_and_bounded(alicloud):
    alicloud.account.faults.add(Fault("DescribeRegions", "Throttling.User", times=6))
    clock = Clock()
    assert driver(alicloud, waits=clock.waits()).check()[0].ok
    alicloud.account.faults.add(Fault("DescribeRegions", "Throttling.User"))
    check = driver(alicloud, waits=clock.waits()).check()[0]
    assert not check.ok
    assert "Throttling.User" in check.detail
    assert clock.slept < 400


def test_nobody_answers_is_bounded_and_says_no_address_with_a_key(alicloud):
    clock = Clock()
    one = driver(alicloud, waits=clock.waits(), ALIBABA_CLOUD_ENDPOINT_ECS="127.0.0.1:9")
    check = one.check()[0]
    assert not check.ok
    assert "127.0.0.1:9 does not answer" in check.detail
    assert clock.slept < 60
    assert KEY_ID not in check.detail
    assert "Signature" not in check.detail


def test_an_untrusted_certificate_is_said(alicloud):
    check = driver(alicloud, SSL_CERT_FILE="").check()[0]
    assert "SSL_CERT_FILE" in check.detail


def test_a_refused_region_is_named(alicloud):
    alicloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    survey = driver(alicloud).survey()
    assert [region for region, _ in survey.not_looked_at] == ["cn-beijing"]
    assert survey.unsure == frozenset()
    assert driver(alicloud).survey(("cn-hangzhou", "cn-beijing")).unsure == {"cn-beijing"}, "it was named"


def test_a_survey_that_every_region_refuses_is_none(alicloud):
    alicloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM"))
    for regions in ((), ("cn-hangzhou",)):
        with pytest.raises(AccessError, match=r"Forbidden\.RAM"):
            driver(alicloud).survey(regions)


def test_a_new_name_is_no_matter_of_regions_that_a_policy_refuses(alicloud):
    alicloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    assert driver(alicloud).find(ClusterName("app")) == ()
    with pytest.raises(AccessError):
        driver(alicloud, ALIBABA_CLOUD_REGION_ID="cn-beijing").find(ClusterName("app"))


def test_why_a_machine_does_not_answer(alicloud):
    vpc, switch, group = make_network(alicloud)
    own = good(alicloud, "ecs", "RunInstances", **run_words(switch, group))["InstanceIdSets"]["InstanceIdSet"][0]
    lines = driver(alicloud).diagnose("cn-hangzhou", own)
    assert any("machine is" in line for line in lines)
    assert any(f"{group} lets in" in line for line in lines)
    assert any(f"of {switch}: the default route is not in it" in line for line in lines)
    alicloud.account.store.get("vpc", vpc)["DefaultRoute"] = ("Instance", "i-firewall")
    lines = driver(alicloud).diagnose("cn-hangzhou", own)
    assert any("the default route is by Instance i-firewall, Available" in line for line in lines)
    alicloud.account.faults.add(Fault("DescribeRouteEntryList", "Forbidden.RAM", status=403))
    lines = driver(alicloud).diagnose("cn-hangzhou", own)
    assert "route: not known (Forbidden.RAM)" in lines
    assert any(f"{group} lets in" in line for line in lines)
    assert driver(alicloud).diagnose("cn-hangzhou", "i-none")


@pytest.mark.parametrize(("name", "kind"), [("", AccessError), ("ALIBABA_CLOUD_CREDENTIALS_URI", RefusedKeyError)])
def test_a_chain_that_leads_nowhere_is_nobodys_account_but_where_a_variable_names_a_link(
    name, kind, tmp_path, monkeypatch
):
    for old in [old for old in os.environ if old.startswith(("ALIBABA_CLOUD_", "ALICLOUD_"))]:
        monkeypatch.delenv(old)
    alone = {"HOME": str(tmp_path), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}
    alone |= {name: "http://127.0.0.1:9/keys"} if name else {}
    for word, text in alone.items():
        monkeypatch.setenv(word, text)
    with pytest.raises(AccessError, match="no credentials found") as caught:
        resolver(alone)()
    assert type(caught.value) is kind
