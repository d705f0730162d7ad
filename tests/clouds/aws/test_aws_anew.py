"""A machine that is made anew: whoever read its predecessor's user-data knows nothing of its host key."""

import pytest

from tests.clouds.aws.scene import down_words, ids, killed_at, make_user, up_words, write_infra
from tests.clouds.bootkeys import boot_key

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]
UP = (*up_words("anew"), "--allow-delete")
LOOK = ("plan", "app:v1", "-n", "anew", "-f", "Infra.yaml", "-o", "json")


def boot_keys(cloud):
    ec2 = cloud.client()
    told = {
        host: ec2.describe_instance_attribute(InstanceId=own, Attribute="userData") for host, own in ids(cloud).items()
    }
    return {host: boot_key(answer["UserData"]["Value"]) for host, answer in told.items()}


def living(cloud, host):
    where = [
        {"Name": "tag:sealer-cloud:host", "Values": [host]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]},
    ]
    found = cloud.client().describe_instances(Filters=where)["Reservations"]
    return {machine["InstanceId"] for one in found for machine in one["Instances"]}


def planned(user, op):
    return {change["name"] for change in user.ok(*LOOK).json["infra"][op]}


def healthy(user):
    return [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 2


def test_it_shows_a_fresh_key_and_nothing_else_is_touched(real_cloud, app_image, tmp_path):
    cloud, user = real_cloud, make_user(real_cloud, tmp_path / "user", app_image, "anew")
    write_infra(user, cloud, more=", dataDisks: [10]")
    user.ok(*up_words("anew"))
    first, bought = boot_keys(cloud), ids(cloud)
    assert not [p for p in (user.state / "backend").rglob("*.json") if '"renew"' in p.read_text()], (
        "as before there was it"
    )

    cloud.client().terminate_instances(InstanceIds=[bought["n1"]])
    assert (planned(user, "create"), planned(user, "update") - {"intent"}) == ({"n1"}, {"n1-key"})
    assert killed_at(user, cloud.gate, UP, lambda call: call.action == "RunInstances" and "n1" in call.params.values())
    second, taken = boot_keys(cloud), ids(cloud)
    assert second["n1"] not in first.values()
    user.ok(*UP)
    assert ids(cloud) == taken == {**bought, "n1": taken["n1"]}, "taken over with the key that it was made with"
    assert (boot_keys(cloud), healthy(user)) == (second, True)

    write_infra(user, cloud, more=", dataDisks: [12]")
    assert (planned(user, "replace") & {"n1", "m1"}, "n1-key" in planned(user, "update")) == ({"n1"}, True)
    assert killed_at(user, cloud.gate, UP, lambda call: call.action == "RunInstances" and "n1" in call.params.values())
    (new,) = living(cloud, "n1") - {taken["n1"]}
    start = len(cloud.gate.log)
    user.ok(*UP)
    assert "RunInstances" not in cloud.gate.mutations(start), "the one that the cut run made is taken over"
    assert living(cloud, "n1") == {new}
    third = boot_keys(cloud)
    assert third["m1"] == first["m1"]
    assert third["n1"] not in (first["n1"], second["n1"])
    assert (ids(cloud)["m1"], healthy(user)) == (bought["m1"], True)

    start = len(cloud.gate.log)
    user.ok(*UP)
    assert cloud.gate.mutations(start) == []
    assert [planned(user, op) for op in ("create", "update", "replace", "delete")] == [set()] * 4
    user.ok(*down_words("anew"))
    assert cloud.standing() == []
