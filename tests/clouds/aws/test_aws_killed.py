"""Killed at every resource, with engine and plugins, after the cloud did it and before anybody knew: then the same again."""

import pytest

from tests.clouds.aws.scene import down_words, ids, killed_at, living, make_user, up_words, write_infra

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(1200)]
KINDS = (
    "CreateVpc",
    "CreateInternetGateway",
    "CreateRouteTable",
    "CreateSubnet",
    "AssociateRouteTable",
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
)


class Chain:
    """Each kind of call once, in the order in which they come; machines by their name."""

    def __init__(self):
        self.seen = []

    def next(self, call):
        host = next((h for h in ("m1", "n1") if call.action == "RunInstances" and h in call.params.values()), "")
        key = f"{call.action} {host}".strip()
        if (call.action not in KINDS and not host) or key in self.seen:
            return False
        self.seen.append(key)
        return True


def test_killed_at_every_resource_nothing_is_bought_twice_or_left(real_cloud, app_image, tmp_path):
    user, gate = make_user(real_cloud, tmp_path / "user", app_image, "kill"), real_cloud.gate
    chain, sights = Chain(), []
    for nodes in (0, 1):
        write_infra(user, real_cloud, nodes=nodes)
        while killed_at(user, gate, up_words("kill"), chain.next, whole=len(chain.seen) != 1, sights=sights):
            pass
    assert any("aws.plugin" in line for line in sights), f"a look for the forgotten sees what there is: {sights}"
    assert [s for s in chain.seen if s.startswith("Run")] == ["RunInstances m1", "RunInstances n1"], chain.seen
    assert len(chain.seen) >= 5, "what is made side by side may be recorded before its own turn"

    assert set(ids(real_cloud)) == {"m1", "n1"}
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 2
    assert gate.mutations().count("RunInstances") == 2, "nothing is bought twice"
    assert living(user) == {}, "no plugin outlives its run"
    kinds = sorted(id_.partition("-")[0] for id_ in real_cloud.standing())
    assert kinds == ["i", "i", "igw", "sg", "subnet", "vol", "vol", "vpc"]

    for action in ("TerminateInstances", "DeleteVpc"):
        assert killed_at(user, gate, down_words("kill"), lambda c, wanted=action: c.action == wanted)
    user.ok(*down_words("kill"))
    assert real_cloud.standing() == []
    assert living(user) == {}
    assert user.ok("list", "-o", "json").json["clusters"] == []
