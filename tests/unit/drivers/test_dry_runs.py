"""What dry runs carry of who asks, and what a refusal means where the network is not there yet; no cloud package."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from alicloud_rig import Answers, accepted, placement

from drivers.alicloud import dryrun as alicloud
from drivers.aws import dryrun as aws
from drivers.aws.api import CodeError
from provisioner.errors import AccessError
from provisioner.model.ci import Ci
from provisioner.model.permits import ALLOWED
from provisioner.model.tags import CI_RUN, REPO

NONE: frozenset[str] = frozenset()
PASSED = (400, {"Code": ALLOWED, "Message": "Request validation has been passed with DryRun flag set."})
RUNS = [(("7", "o/r"), {CI_RUN: "7", REPO: "o/r"}), (("8", None), {CI_RUN: "8"}), ((None, None), {})]


class Dry:
    """EC2 as it answers dry runs that are allowed; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def attempt(self, _service: str, _action: str, _region: str, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        raise CodeError(ALLOWED, "Request would have succeeded, but DryRun flag is set.")


def of_ci(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key in {CI_RUN, REPO}}


@pytest.mark.parametrize(("ci", "tags"), RUNS)
def test_on_alicloud_machine_and_network_are_asked_about_with_the_tags_of_the_ci(ci: Ci, tags: dict[str, str]) -> None:
    answers = Answers(PASSED)
    alicloud.permission(answers.api(), accepted(placement=placement()), None, NONE, ci=ci)
    bodies = [dict(parse_qsl(body)) for _, _, body in answers.asked]
    assert len(bodies) == 2
    for body in bodies:
        names = {key.removesuffix("Key"): value for key, value in body.items() if key.endswith(".Key")}
        assert of_ci({name: body[f"{place}Value"] for place, name in names.items()}) == tags


@pytest.mark.parametrize(("ci", "tags"), RUNS)
def test_on_aws_machine_disks_and_network_are_asked_about_with_the_tags_of_the_ci(ci: Ci, tags: dict[str, str]) -> None:
    host = {"zone": "ra", "type": "t3.small", "imageId": "ami-1"}
    place = {"account": "1", "region": "r", "cidr": "10.0.0.0/16", "hosts": {"m1": host, "m2": host}, "subnets": {}}
    ec2 = Dry()
    aws.permission(ec2, accepted(provider="aws", placement=place), None, NONE, "/dev/xvda", ci=ci)  # type: ignore[arg-type]
    marked = [spec for request in ec2.asked for spec in request["TagSpecifications"]]
    assert [spec["ResourceType"] for spec in marked] == ["vpc", "instance", "volume"]
    assert [of_ci({t["Key"]: t["Value"] for t in spec["Tags"]}) for spec in marked] == [tags] * 3


@pytest.mark.parametrize("stands", [False, True])
def test_on_alicloud_forbidden_stops_with_and_without_a_network_as_no_answer_names_a_resource(*, stands: bool) -> None:
    detail = {"AuthAction": "ecs:RunInstances", "NoPermissionType": "ImplicitDeny", "AuthPrincipalType": "SubUser"}
    no = {"Code": "Forbidden.RAM", "Message": "User not authorized", "AccessDeniedDetail": detail}
    answers = Answers((403, no)) if stands else Answers(PASSED, (403, no))
    with pytest.raises(AccessError, match=r"may not do ecs:RunInstances \(a dry run answers Forbidden\.RAM\)"):
        alicloud.permission(
            answers.api(),
            accepted(placement=placement()),
            None,
            frozenset({"m1"}) if stands else NONE,
            ci=(None, None),
        )
