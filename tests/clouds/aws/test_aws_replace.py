"""The name of a cluster goes over to another image: its machines are new ones, whatever the cloud would keep."""

import pytest

from tests.clouds.aws.scene import down_words, ids, make_user, write_infra
from tests.clouds.oldstate import without_triggers
from tests.e2e import tiny

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]


def test_no_disk_and_no_key_of_the_old_cluster_is_left(real_cloud, tmp_path):
    user = make_user(real_cloud, tmp_path / "user", tmp_path / "data", "name")
    for image in ("app:v1", "other:v1"):
        tiny.build(user, image, tiny.BASIC)
    write_infra(user, real_cloud, nodes=0)
    words = ("-n", "name", "-f", "Infra.yaml", "--yes")
    user.ok("up", "app:v1", *words)
    before = ids(real_cloud)
    user.ok("up", "other:v1", *words, "--replace", "--allow-delete")
    after = ids(real_cloud)
    assert set(before) == set(after) == {"m1"}
    assert before != after
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"]
    start = len(real_cloud.gate.log)
    user.ok("up", "other:v1", *words)
    assert real_cloud.gate.mutations(start) == []

    (whose,) = without_triggers(user.state, "name")  # as older versions left it
    assert whose.startswith("name-")
    answer = user.run("up", "app:v1", *words, "--replace", "--allow-delete")
    assert (answer.rc, "would keep m1" in answer.err) == (3, True), answer
    assert (ids(real_cloud), real_cloud.gate.mutations(start)) == (after, [])
    user.ok(*down_words("name"))
    assert real_cloud.standing() == []
