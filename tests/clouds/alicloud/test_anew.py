"""A machine that is made anew: whoever read its predecessor's user-data knows nothing of its host key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds.alicloud.client import good
from tests.clouds.alicloud.scene import down_words, make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.bootkeys import boot_key
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
PATIENCE = 300.0
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
    anew.up()
    second = anew.machines

    anew.write(60)
    assert ("n1" in anew.planned("replace"), "n1-key" in anew.planned("update")) == (True, True)
    anew.up()
    third = anew.machines
    assert first["m1"] == second["m1"] == third["m1"]
    assert len({part for seen in (first, second, third) for part in seen["n1"]}) == 6, "other machines, other keys"

    start = len(anew.simulator.account.log)
    anew.up()
    assert anew.simulator.account.mutations(start) == []
    assert [anew.planned(op) for op in ("create", "update", "replace", "delete")] == [set()] * 4
    anew.user.ok(*down_words("anew"), timeout=PATIENCE)
    assert anew.simulator.account.store.counts() == {}
