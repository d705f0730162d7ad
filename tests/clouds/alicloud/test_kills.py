"""SIGKILL after each changing call in turn, of the command and of its engine: no machine is bought twice, none is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds.alicloud.scene import PATIENCE, down_words, kill_at, living, make_user, up_words
from tests.clouds.alicloud.sim.faults import throttled
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
UP = ("CreateVpc", "CreateVSwitch", "CreateSecurityGroup", "AuthorizeSecurityGroup", "RunInstances", "RunInstances")
"""Each run of `up` is cut after the next of these: at the fifth with one machine bought, at the sixth with two."""
DOWN = ("DeleteInstance", "DeleteInstance", "DeleteSecurityGroup", "DeleteVSwitch", "DeleteVpc")


@pytest.fixture
def user(tmp_path: Path, alicloud_hosts: Simulator) -> Iterator[Product]:
    """A user with a small image; no process of theirs may live on."""
    one = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "web")
    tiny.build(one, "app:v1", tiny.BASIC)
    yield one
    assert living(one) == []


def test_killed_after_each_call_in_turn(user: Product, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    one_by_one = account.faults.add(throttled("RunInstances", times=-1))
    one_by_one.after = 1
    sights: list[str] = []
    for number, action in enumerate(UP):
        assert kill_at(user, alicloud_hosts, action, up_words("web", 2), sights, engine=bool(number % 2)), action
        account.faults.rules = [] if action == "RunInstances" else [one_by_one]
    assert any("pulumi-resource-alicloud" in line for line in sights), "a look for the forgotten sees what there is"
    user.ok(*up_words("web", 2), timeout=PATIENCE)
    bought = [c for c in account.log if c.action == "RunInstances" and not c.code]
    assert len({c.params["ClientToken"] for c in bought}) == 2, "two machines were bought, however often it was asked"
    assert account.store.counts()["instance"] == 2
    assert account.store.counts()["group"] == 1
    assert [h["state"] for h in user.ok("status", "web", "-o", "json").json["hosts"]] == ["healthy"] * 2
    start = len(account.log)
    user.ok(*up_words("web", 2), timeout=PATIENCE)
    assert account.mutations(start) == []

    for number, action in enumerate(DOWN):
        kill_at(user, alicloud_hosts, action, down_words("web"), sights, engine=bool(number % 2))
    user.ok(*down_words("web"), timeout=PATIENCE)
    assert account.store.counts() == {}
    assert user.ok("list", "-o", "json").json["clusters"] == []
