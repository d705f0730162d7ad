"""Killed at our own resources, between the calls of the cloud; and the state is lost after it. Then what is left, by tag."""

import shutil

import pytest

from tests.clouds import moments
from tests.clouds.aws.scene import down_words, ids, living, make_user, up_words, write_infra

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]
UP = up_words("cut")


@pytest.fixture
def user(real_cloud, app_image, tmp_path):
    one = make_user(real_cloud, tmp_path / "user", app_image, "cut")
    write_infra(one, real_cloud)
    yield one
    assert living(one) == {}


def test_killed_between_the_calls_of_the_cloud_and_the_state_lost_after_it(user, real_cloud, tmp_path):
    gate = real_cloud.gate
    moments.killed_at(user, UP, "made-HostIdentity")
    shutil.rmtree(user.home / "state")
    start = len(gate.log)
    moments.refused_without_keys(user, "aws")
    assert gate.mutations(start) == []
    user.ok(*down_words("cut"))
    assert real_cloud.standing() == []

    start = len(gate.log)
    moments.cut_at_our_own(user, UP, lambda: len(ids(real_cloud)))
    moments.killed_in_stage2(user, UP, "connected")
    bought, there = ids(real_cloud), real_cloud.standing()
    assert (gate.mutations(start).count("RunInstances"), set(bought)) == (2, {"m1", "n1"}), "nothing is bought twice"
    start, keys = len(gate.log), moments.keep_keys(user, tmp_path / "kept")
    with moments.lost_state(user):
        moments.refused_without_a_record(user, "aws", keys)
    assert gate.mutations(start) == []

    moments.killed_in_stage2(user, UP, "init-done")
    shutil.rmtree(user.home / "state")
    assert moments.adopted(user, "aws", keys) == ["m1", "n1"]
    user.ok(*UP)
    assert moments.healthy(user, 2)
    assert (ids(real_cloud), real_cloud.standing()) == (bought, there)
    user.ok(*down_words("cut"))
    assert real_cloud.standing() == []
