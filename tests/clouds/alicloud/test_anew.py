"""A machine that is made anew: whoever read its predecessor's user-data knows nothing of its host key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds.alicloud.client import good
from tests.clouds.alicloud.scene import PATIENCE, down_words, kill_at, make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.bootkeys import boot_key
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
CLUSTERFILE = """\
apiVersion: sealer.io/v2
kind: Cluster
metadata: {{name: anew}}
spec: {{image: "app:v1"}}
---
apiVersion: sealer.io/v2
kind: Infra
spec:
  provider: alicloud
  hosts:
    - {{roles: [master], count: 1}}
    - {{roles: [node], count: 1, dataDisks: [{size}]}}
"""
UP = ("up", "-f", "Clusterfile", "--yes", "--allow-delete")


class Anew:
    """A user, the machines that their account holds, and what a plan says."""

    def __init__(self, user: Product, simulator: Simulator) -> None:
        self.user, self.simulator = user, simulator

    def write(self, size: int) -> None:
        (self.user.home / "Clusterfile").write_text(CLUSTERFILE.format(size=size))

    def up(self) -> None:
        self.user.ok(*UP, timeout=PATIENCE)
        assert [h["state"] for h in self.user.ok("status", "anew", "-o", "json").json["hosts"]] == ["healthy"] * 2

    def cut_at(self, action: str) -> None:
        """The run and its engine die when the cloud has done that."""
        assert kill_at(self.user, self.simulator, action, UP, [], engine=True), action

    @property
    def bought(self) -> int:
        """How many machines were bought, however often one was asked for."""
        calls = [c for c in self.simulator.account.log if c.action == "RunInstances" and not c.code]
        return len({c.params["ClientToken"] for c in calls})

    def planned(self, op: str) -> set[str]:
        plan = self.user.ok("plan", "-f", "Clusterfile", "-o", "json", timeout=PATIENCE).json
        return {change["name"] for change in plan["infra"][op]}

    @property
    def machines(self) -> dict[str, tuple[str, str]]:
        """Id and first host key, by host."""
        things = self.simulator.account.store.all("instance")
        return {t.tags["sealer-cloud:host"]: (t.id, boot_key(t["UserData"])) for t in things}


@pytest.fixture
def anew(tmp_path: Path, alicloud_hosts: Simulator) -> Anew:
    """A small cluster's user."""
    user = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "anew")
    tiny.build(user, "app:v1", tiny.BASIC)
    return Anew(user, alicloud_hosts)


def test_it_shows_a_fresh_key_and_nothing_else_is_touched(anew: Anew) -> None:
    anew.write(50)
    anew.up()
    first = anew.machines
    good(anew.simulator, "ecs", "DeleteInstance", InstanceId=first["n1"][0], Force="true")
    assert (anew.planned("create"), "n1-key" in anew.planned("update")) == ({"n1"}, True)
    anew.cut_at("RunInstances")
    second = anew.machines
    anew.up()
    assert (anew.machines, anew.bought) == (second, 3), "the one that the cut run made is taken over with its key"

    anew.write(60)
    assert ("n1" in anew.planned("replace"), "n1-key" in anew.planned("update")) == (True, True)
    for action in ("RunInstances", "DeleteInstance"):
        anew.cut_at(action)
    assert anew.bought == 4
    third = anew.machines
    anew.up()
    assert (anew.machines, anew.bought) == (third, 4), "neither the new one nor a third is bought again"
    assert first["m1"] == second["m1"] == third["m1"]
    assert len({part for seen in (first, second, third) for part in seen["n1"]}) == 6, "other machines, other keys"

    start = len(anew.simulator.account.log)
    anew.up()
    assert anew.simulator.account.mutations(start) == []
    assert [anew.planned(op) for op in ("create", "update", "replace", "delete")] == [set()] * 4
    anew.user.ok(*down_words("anew"), timeout=PATIENCE)
    assert anew.simulator.account.store.counts() == {}


def test_a_name_that_goes_over_to_another_image_and_is_cut_on_the_way(anew: Anew) -> None:
    tiny.build(anew.user, "other:v1", tiny.BASIC)
    words = ("-n", "anew", "--provider", "alicloud", "--masters", "1", "--yes")
    over = ("up", "other:v1", *words, "--replace", "--allow-delete")
    anew.user.ok("up", "app:v1", *words, timeout=PATIENCE)
    before = anew.machines["m1"]
    for action in ("RunInstances", "DeleteInstance"):
        assert kill_at(anew.user, anew.simulator, action, over, [], engine=True), action
    anew.user.ok(*over, timeout=PATIENCE)
    (after,) = anew.machines.values()
    assert anew.bought == 2, "one for each image"
    assert not set(before) & set(after), "another machine, another key"
    assert [h["state"] for h in anew.user.status()["hosts"]] == ["healthy"]
    anew.user.ok(*down_words("anew"), timeout=PATIENCE)
    assert anew.simulator.account.store.counts() == {}
