"""Permission is looked up by dry runs before anything is made; a range beside a network that stands is noted."""

import json

import pytest
from moto.ec2.responses._base_response import EC2BaseResponse

from drivers.aws.dryrun import ELSEWHERE
from provisioner.errors import AccessError
from provisioner.model.accepted import AcceptedSpot
from provisioner.model.driver import Refused
from provisioner.model.permits import MADE
from tests.clouds.aws.cloud import ZONES, Clock
from tests.clouds.aws.gate import DRY
from tests.clouds.aws.made import make_network
from tests.clouds.aws.requests import accepted, chosen

pytestmark = pytest.mark.clouds
NONE = frozenset()
DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/ci is not authorized to perform: "
    "ec2:RunInstances on resource: arn:aws:ec2:eu-central-1:1:{}/any because no identity-based policy allows it"
)


def asked(gate, start=0):
    """The dry runs since then."""
    return [call.action.removesuffix(DRY) for call in gate.log[start:] if call.dry]


def said(notes):
    """The line on permission, if there is one."""
    return "".join(note for note in notes if note.startswith("permission"))


def policy(cloud, *without):
    """The printed policy, without these actions."""
    whole = json.loads(cloud.driver().permissions())
    parts = [{**part, "Action": [a for a in part["Action"] if a not in without]} for part in whole["Statement"]]
    return json.dumps({**whole, "Statement": parts})


def test_a_new_cluster_asks_once_for_machines_and_network_and_makes_nothing(cloud):
    before = cloud.standing()
    cloud.gate.policy = policy(cloud)
    choice = cloud.driver().choose(accepted(cloud.image(), masters=3, nodes=2), None, standing=NONE)
    assert asked(cloud.gate) == ["CreateVpc", "RunInstances"]
    assert "ec2:CreateVpc is allowed, ec2:RunInstances is allowed" in said(choice.notes)
    assert cloud.gate.mutations() == []
    assert cloud.standing() == before


def test_machines_more_are_one_question_and_none_where_all_stand(cloud):
    driver = cloud.driver()
    request = chosen(driver, accepted(cloud.image(), nodes=1))
    start = len(cloud.gate.log)
    assert said(driver.choose(request, None, standing=frozenset({"m1"})).notes)
    assert asked(cloud.gate, start) == ["RunInstances"]
    start = len(cloud.gate.log)
    assert not said(driver.choose(request, None, standing=frozenset({"m1", "n1"})).notes)
    on = request.placement["hosts"]["n1"]
    again = Refused("node", on["zone"], on["type"], spot=False, code="InsufficientInstanceCapacity")
    assert not said(driver.choose(request, None, (again,), standing=NONE).notes), "the same run was permitted before"
    assert asked(cloud.gate, start) == []


def test_a_dry_run_is_the_real_request_in_all_that_policies_look_at(cloud):
    subnet, _ = make_network(cloud)
    request = accepted(cloud.image(), network={"subnets": [subnet], "public": "none"}, tags={"team": "ci"})
    pool = request.pools[0].model_copy(update={"data_disks": (20,), "spot": AcceptedSpot(max_price=1.5)})
    driver = cloud.driver(GITHUB_RUN_ID="7", GITHUB_REPOSITORY="o/r")
    choice = driver.choose(request.model_copy(update={"pools": (pool,)}), None, standing=NONE)
    assert asked(cloud.gate) == ["RunInstances"]
    assert "ec2:RunInstances is allowed" in said(choice.notes)
    params = next(call.params for call in cloud.gate.log if call.dry)
    wanted = {
        "NetworkInterface.1.SubnetId": subnet,
        "NetworkInterface.1.AssociatePublicIpAddress": "false",
        "BlockDeviceMapping.1.DeviceName": cloud.client().describe_images(ImageIds=[cloud.image()])["Images"][0][
            "RootDeviceName"
        ],
        "BlockDeviceMapping.1.Ebs.VolumeSize": "10",
        "MetadataOptions.HttpTokens": "required",
        "BlockDeviceMapping.2.Ebs.VolumeType": "gp3",
        "InstanceMarketOptions.SpotOptions.MaxPrice": "1.5",
        "TagSpecification.2.ResourceType": "volume",
    }
    assert {name: params[name] for name in wanted} == wanted
    tags = {"team", "Name", *(f"sealer-cloud:{kind}" for kind in ("cid", "host", "ci-run", "repo"))}
    assert tags <= {v for k, v in params.items() if k.endswith(".Key")}


@pytest.mark.parametrize("lacking", [("ec2:RunInstances",), ("ec2:CreateVpc", "ec2:RunInstances")])
def test_what_a_policy_forbids_is_named_before_anything_is_made(cloud, lacking):
    before = cloud.standing()
    cloud.gate.policy = policy(cloud, *lacking)
    with pytest.raises(AccessError, match=f"may not do {' and '.join(lacking)} ") as caught:
        cloud.driver().choose(accepted(cloud.image()), None, standing=NONE)
    assert caught.value.exit_code == 5
    assert "sealer-cloud doctor --permissions aws" in caught.value.hint
    assert cloud.standing() == before


@pytest.mark.parametrize(
    ("kind", "stands", "stops"),
    [
        ("subnet", False, False),
        ("subnet", True, True),
        ("security-group", True, False),
        ("instance", False, True),
    ],
)
def test_a_refusal_for_what_stands_in_for_a_network_or_group_stops_nothing(cloud, kind, stands, stops):
    subnet, _ = make_network(cloud)
    network = {"subnets": [subnet], "public": "none"} if stands else {}
    cloud.gate.fault("RunInstances", "UnauthorizedOperation", status=403, dry=True, message=DENIED.format(kind))
    driver, request = cloud.driver(), accepted(cloud.image(), network=network)
    if stops:
        with pytest.raises(AccessError, match="ec2:RunInstances"):
            driver.choose(request, None, standing=NONE)
    else:
        notes = driver.choose(request, None, standing=NONE).notes
        assert f"ec2:RunInstances is not refused ({ELSEWHERE})" in said(notes)


@pytest.mark.parametrize("code", ["VPCIdNotSpecified", "OptInRequired", ""])
def test_no_other_answer_stops(cloud, code):
    cloud.gate.fault("RunInstances", code, dry=True, drop=not code)
    notes = cloud.driver(clock=Clock()).choose(accepted(cloud.image()), None, standing=NONE).notes
    assert f"ec2:RunInstances is not refused ({code or 'no answer'})" in said(notes)


def test_an_endpoint_that_knows_no_dry_run_is_left_as_it_was(cloud, monkeypatch):
    before = cloud.standing()
    monkeypatch.setattr(EC2BaseResponse, "error_on_dryrun", lambda _: None)
    monkeypatch.setattr("tests.clouds.aws.gate.EARNEST", frozenset())
    notes = cloud.driver().choose(accepted(cloud.image()), None, standing=NONE).notes
    assert f"ec2:CreateVpc is not refused ({MADE}), ec2:RunInstances is not refused ({MADE})" in said(notes)
    assert cloud.standing() == before
    cloud.gate.fault("DeleteVpc", "DependencyViolation")
    notes = cloud.driver().choose(accepted(cloud.image()), None, standing=NONE).notes
    (left,) = {*cloud.standing()} - {*before}
    assert f"ec2:CreateVpc is not refused ({MADE}, and {left} stands: remove it)" in said(notes)


def test_a_range_beside_a_network_that_stands_is_noted_where_it_differs(cloud):
    subnet, _ = make_network(cloud)
    vpc = cloud.client().describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]

    def noted(cidr):
        network = {"vpc": vpc, "cidr": cidr, "public": "none"}
        choice = cloud.driver().choose(accepted(cloud.image(), network=network, zones=(ZONES[0],)), None, standing=NONE)
        assert (choice.placement["vpc"], choice.placement["subnets"]) == (vpc, {ZONES[0]: subnet})
        return [note for note in choice.notes if "network.cidr" in note]

    assert noted("10.0.0.0/16") == []
    assert noted("10.1.0.0/16") == [f"network.cidr says 10.1.0.0/16, but {vpc} has 10.0.0.0/16: it is used as it is"]
