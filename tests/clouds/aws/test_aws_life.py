"""One cluster's whole life with no more rights than the printed policy, in a cloud that is short of everything."""

import pytest

from tests.clouds.aws.cloud import KEY, SECRET, ZONES
from tests.clouds.aws.gate import actions_of
from tests.clouds.aws.scene import down_words, ids, in_clear, living, make_user, up_words, write_infra

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]

OF_THE_OFFICIAL_PLUGIN = {
    # what the plugin of these tests does not ask, and the official one does by its source: reads after each create …
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeInstanceCreditSpecifications",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeVpcAttribute",
    # … and changes in place of what a later request says
    "ec2:DeleteRoute",
    "ec2:ModifySubnetAttribute",
    "ec2:ReplaceRoute",  # our own calls, too: where a shared network's gateway is gone
    # EC2 itself, at the first spot machine of an account
    "iam:CreateServiceLinkedRole",
}
ON_OTHER_DAYS = {
    "ec2:CancelSpotInstanceRequests",  # `down` of a spot machine that waits
    "ec2:DescribeSpotInstanceRequests",
    "ec2:GetConsoleOutput",  # a machine that does not answer
    "ec2:RevokeSecurityGroupIngress",  # a rule that is not wanted any more
    "ec2:StartInstances",  # another instanceType
    "ec2:StopInstances",
}
CANARY = "canary-of-the-user-4d1c"


def test_a_whole_life_under_the_printed_policy(real_cloud, app_image, tmp_path):
    cloud, gate = real_cloud, real_cloud.gate
    user = make_user(cloud, tmp_path / "user", app_image, "life")
    user.extra["APP_TOKEN"] = CANARY
    gate.policy = user.ok("doctor", "--permissions", "aws").out
    write_files(user, cloud)
    planned = user.ok("plan", *up_words("life")[1:-1])
    assert gate.mutations() == [], "a plan makes nothing"

    first = made_where_all_is_short(user, cloud)
    start = len(gate.log)
    again = user.ok(*up_words("life"))
    user.ok("plan", *up_words("life")[1:-1])
    assert gate.mutations(start) == []

    nothing_in_clear(user, cloud, (planned, first, again))
    ends_by_its_deadline(user, cloud)
    refused = {c.name for c in gate.log if c.code == "UnauthorizedOperation"}
    assert refused == set()
    used, given = {c.name for c in gate.log}, actions_of(gate.policy)
    assert used <= given
    assert given - used == OF_THE_OFFICIAL_PLUGIN | ON_OTHER_DAYS, "nothing is asked for that nobody needs"


def write_files(user, cloud):
    write_infra(
        user,
        cloud,
        nodes=2,
        more=", spot: {maxPrice: {perHostHour: 1, currency: USD}, fallback: on-demand}",
        head=f"  ttl: 2h\n  zones: [{ZONES[0]}, {ZONES[1]}]\n",
        node="t3.large",
    )
    (user.home / "Infra.yaml").open("a").write(
        '---\napiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: life}\nspec: {image: "app:v1", env: ["TOKEN=${env:APP_TOKEN}"]}\n'
    )


def made_where_all_is_short(user, cloud):
    gate = cloud.gate
    cloud.refusals.append({"spot": True, "code": "SpotMaxPriceTooLow"})
    cloud.refusals.append({"zone": ZONES[0], "type": "t3.medium", "code": "InsufficientInstanceCapacity"})
    gate.fault("CreateVpc", "RequestLimitExceeded", status=503, times=1)
    twin = gate.fault("CreateVpc", drop=True, acted=True, times=1)
    gate.fault("DescribeInstanceTypes", "RequestLimitExceeded", status=503, times=2)
    lost = gate.fault(
        "RunInstances", drop=True, acted=True, times=1, where=lambda c: "m1" in c.params.values() and cloud.calls
    )
    first = user.ok(*up_words("life"), timeout=400)
    assert (lost.hits, twin.hits) == (1, 1)
    assert len([id_ for id_ in cloud.standing() if id_.startswith("vpc-")]) == 1, "nor a second network"
    assert set(ids(cloud)) == {"m1", "n1", "n2"}, "an answer that was lost buys no second one"
    assert len(cloud.machines()) == 3
    zones = {name: m["Placement"]["AvailabilityZone"] for name, m in cloud.machines().items()}
    assert zones == {"m1": ZONES[1], "n1": ZONES[0], "n2": ZONES[0]}, "only what was refused goes elsewhere"
    assert not [m for m in cloud.machines().values() if m.get("InstanceLifecycle") == "spot"]
    for word in ("SpotMaxPriceTooLow", "InsufficientInstanceCapacity", ZONES[0]):
        assert word in first.out + first.err, "what was tried is said"
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 3
    return first


def nothing_in_clear(user, cloud, answers):
    keys = [m["UserData"] for m in userdata(cloud)]
    assert not in_clear(user, SECRET, CANARY, "OPENSSH PRIVATE KEY", *(text[-120:-20] for text in keys))
    for said in answers:
        assert not [word for word in (SECRET, CANARY, KEY, "PRIVATE KEY") if word in said.out + said.err]


def ends_by_its_deadline(user, cloud):
    user.ok("ttl", "extend", "life", "1h")
    user.ok("gc", "--provider", "aws", "--yes")
    assert set(ids(cloud)) == {"m1", "n1", "n2"}, "its deadline is ahead"
    user.ok("ttl", "cancel", "life")
    expire(cloud)
    user.ok("gc", "--provider", "aws", "--yes")
    assert cloud.standing() == []
    user.ok(*down_words("life"))
    assert user.ok("list", "-o", "json").json["clusters"] == []
    assert living(user) == {}, "no plugin outlives its run"


def userdata(cloud):
    """What each machine was started with."""
    ec2 = cloud.client()
    return [
        {"UserData": ec2.describe_instance_attribute(InstanceId=id_, Attribute="userData")["UserData"].get("Value", "")}
        for id_ in ids(cloud).values()
    ]


def expire(cloud):
    """The deadline of everything that carries our tag is long past."""
    ec2, standing = cloud.client(), cloud.standing()
    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["sealer-cloud:cid"]}])["Tags"]
    there = [tag for tag in found if tag["ResourceType"] != "vpc" or tag["ResourceId"] in standing]
    ec2.create_tags(
        Resources=[tag["ResourceId"] for tag in there],  # the tags of what is gone can be read for a while
        Tags=[{"Key": "sealer-cloud:expires-at", "Value": "2026-01-01T00:00:00Z"}],
    )
