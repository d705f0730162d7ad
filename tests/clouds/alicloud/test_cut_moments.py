"""Killed at our own resources, between the calls of the cloud; and the state is lost after it. Then what is left, by tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds import moments
from tests.clouds.alicloud.scene import PATIENCE, kill_at, living, make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
POOLS = "[{roles: [master], count: 1}, {roles: [node], count: 1, dataDisks: [50, 60]}]"
INFRA = f"{{apiVersion: sealer.io/v2, kind: Infra, spec: {{provider: alicloud, hosts: {POOLS}}}}}\n"
GC = ("gc", "--provider", "alicloud", "--region", "cn-hangzhou", "--cluster", "cut", "--delete", "--yes")


def test_killed_between_the_calls_of_the_cloud_and_the_state_lost_after_it(
    tmp_path: Path, alicloud_hosts: Simulator
) -> None:
    account = alicloud_hosts.account
    user = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "cut")
    tiny.build(user, "app:v1", tiny.BASIC)
    (user.home / "Infra.yaml").write_text(INFRA)
    one = moments.Account(
        user=user,
        provider="alicloud",
        up=("up", "app:v1", "-n", "cut", "-f", "Infra.yaml", "--yes"),
        log=account.log,
        machines=lambda: {thing.id for thing in account.store.all("instance")},
        changes=account.mutations,
        empty=lambda: account.store.counts() == {},
    )
    moments.nothing_left_without_a_state(one)
    moments.cut_and_adopted(one, tmp_path / "kept")

    for action in ("DeleteInstance", "DeleteSecurityGroup"):
        assert kill_at(user, alicloud_hosts, action, GC, [], engine=False), action
    user.ok(*GC, timeout=PATIENCE)
    assert one.empty()
    assert user.ok("gc", "--provider", "alicloud", "-o", "json").json["clusters"] == []
    assert living(user) == []
