"""A region that is none: wrong use, whoever names it, before anything is made; the account's regions are named."""

import pytest

from drivers.aws.regions import main_of
from provisioner.errors import AccessError, ProviderError, UsageError
from provisioner.model.ids import ClusterId
from provisioner.model.networks import NetworkWish
from tests.clouds.aws.cloud import REGION
from tests.clouds.aws.requests import CID, accepted
from tests.clouds.aws.scene import make_user, write_infra

pytestmark = pytest.mark.clouds
NOWHERE, MISSPELT, CLOSED = "eu-nowhere-1", "eu-centrl-1", "eu-west-3"
WAYS = {
    "choose": lambda driver, where: driver.choose(accepted("ami-1", region=where), None, standing=frozenset()),
    "gc": lambda driver, where: driver.survey((where,)),
    "network create": lambda driver, where: driver.plan_network(NetworkWish("ci", where)),
    "network list": lambda driver, where: driver.networks((where,)),
    "status": lambda driver, where: driver.find(None, (where,)),
    "adopt": lambda driver, where: driver.standing(ClusterId(CID), where),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_wherever_one_is_named(cloud, way):
    with pytest.raises(UsageError, match=f"region: aws has no region '{NOWHERE}'") as caught:
        WAYS[way](cloud.driver(), NOWHERE)
    for word in ("--region", "AWS_REGION", REGION, "us-west-2"):
        assert word in caught.value.hint
    assert {call.region for call in cloud.gate.log} <= {REGION, "us-east-1"}, "its own address is not tried"


def test_a_near_match_is_guessed_and_one_that_is_not_enabled_is_called_so(cloud):
    with pytest.raises(UsageError, match=MISSPELT) as caught:
        WAYS["choose"](cloud.driver(), MISSPELT)
    assert f"did you mean {REGION}?" in caught.value.hint
    with pytest.raises(UsageError, match=f"has not enabled {CLOSED}"):
        WAYS["choose"](cloud.driver(), CLOSED)


def test_where_the_list_is_refused_the_sdk_says_what_is_one(cloud):
    cloud.gate.fault("DescribeRegions", "UnauthorizedOperation", status=403)
    assert cloud.driver().survey((CLOSED,)).resources == ()
    with pytest.raises(UsageError, match=NOWHERE):
        cloud.driver().survey((NOWHERE,))
    cloud.gate.faults.clear()
    cloud.gate.fault("DescribeRegions", "InternalError")
    with pytest.raises(ProviderError, match="InternalError"):
        cloud.driver().survey((NOWHERE,))


@pytest.mark.parametrize("way", WAYS)
def test_an_endpoint_without_a_list_is_asked_in_the_region_that_is_named(cloud, way):
    cloud.gate.fault("DescribeRegions", "InvalidAction")
    start = {
        **WAYS,
        "choose": lambda driver, where: driver.choose(
            accepted(cloud.image(), region=where), None, standing=frozenset()
        ),
    }
    answer = start[way](cloud.driver(), "us-west-2" if way != "choose" else REGION)
    if way == "choose":
        assert any("does not list its regions" in note for note in answer.notes)
    looked = {call.region for call in cloud.gate.log if call.service == "ec2" and call.action != "DescribeRegions"}
    assert looked == {REGION if way == "choose" else "us-west-2"}


@pytest.mark.parametrize("home", [REGION, ""])
def test_without_a_list_a_look_goes_to_the_region_of_the_settings(cloud, home):
    cloud.gate.fault("DescribeRegions", "InvalidAction")
    assert cloud.driver(AWS_REGION=home).find(None) == ()
    assert {call.region for call in cloud.gate.log if call.action == "DescribeTags"} == {home or "us-east-1"}


def test_settings_that_name_none_are_wrong_use_and_silence_elsewhere_is_not(cloud):
    silent = cloud.gate.fault("GetCallerIdentity", drop=True)
    with pytest.raises(UsageError, match=NOWHERE):
        cloud.driver(AWS_REGION=NOWHERE).find(None)
    with pytest.raises(ProviderError, match="cannot be reached"):
        cloud.driver().find(None)
    cloud.gate.faults.remove(silent)
    cloud.gate.fault("GetCallerIdentity", "ExpiredToken", status=403)
    with pytest.raises(AccessError):
        cloud.driver(AWS_REGION=NOWHERE).find(None)


@pytest.mark.parametrize(
    ("region", "main"),
    [("cn-nowhere-1", "cn-north-1"), ("us-gov-x-1", "us-gov-west-1"), ("us-isob-x-1", "us-isob-east-1"),
     (NOWHERE, "us-east-1"), ("", "us-east-1")],
)  # fmt: skip
def test_a_partition_is_asked_in_its_own_main_region(region, main):
    assert main_of(region) == main


@pytest.mark.engine
def test_the_command_ends_with_3_and_nothing_is_made(cloud, app_image, tmp_path):
    user = make_user(cloud, tmp_path / "user", app_image, "web")
    write_infra(user, cloud)
    job = ("app:v1", "-n", "web", "-f", "Infra.yaml")
    network = ("network", "create", "ci", "--provider", "aws", "--yes")
    for words in (("plan", *job), ("up", *job, "--yes"), ("gc", "--provider", "aws"), network):
        answer = user.run(*words, "--region", NOWHERE)
        assert answer.rc == 3, answer
        assert NOWHERE in answer.err
        assert "--region" in answer.err
    write_infra(user, cloud, head=f"  region: {MISSPELT}\n")
    answer = user.run("up", *job, "--yes")
    assert (answer.rc, f"did you mean {REGION}?" in answer.err) == (3, True), answer
    assert cloud.gate.mutations() == []
    assert not user.state.exists() or not list(user.state.rglob("*.json")), "no state was begun"
