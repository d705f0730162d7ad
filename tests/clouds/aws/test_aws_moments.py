"""Killed at our own resources, between the calls of the cloud; and the state is lost after it. Then what is left, by tag."""

import pytest

from tests.clouds import moments
from tests.clouds.aws.scene import down_words, ids, living, make_user, up_words, write_infra

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]


def test_killed_between_the_calls_of_the_cloud_and_the_state_lost_after_it(real_cloud, app_image, tmp_path):
    cloud, gate = real_cloud, real_cloud.gate
    user = make_user(cloud, tmp_path / "user", app_image, "cut")
    write_infra(user, cloud)
    one = moments.Account(
        user=user,
        provider="aws",
        up=up_words("cut"),
        log=gate.log,
        machines=lambda: set(ids(cloud).values()),
        changes=gate.mutations,
        empty=lambda: cloud.standing() == [],
    )
    moments.nothing_left_without_a_state(one)
    moments.cut_and_adopted(one, tmp_path / "kept")
    user.ok(*down_words("cut"))
    assert one.empty()
    assert living(user) == {}
