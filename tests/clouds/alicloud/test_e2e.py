"""The product's command on the simulated cloud, whose machines are real hosts: the whole way, and what can go wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clouds.alicloud.scene import CALLS_PER_MACHINE, QUIET_CALLS, down_words, make_user, up_words
from tests.clouds.alicloud.sim.faults import Fault, key_deleted, no_stock, token_expired
from tests.clouds.alicloud.sim.server import SECRET, Simulator
from tests.clouds.moments import checkpoint
from tests.e2e import tiny
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine]

LET_IN_CALLS = 1
"""More where SSH is the operator's alone: the read of the group that lets him in."""
PATIENCE = 300.0
OPERATOR = "SEALER_CLOUD_OPERATOR_CIDR"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds app:v1."""
    user = Product(tmp_path_factory.mktemp("image"))
    tiny.build(user, "app:v1", tiny.BASIC, "ENV COLOUR=red", 'CMD echo "colour=$COLOUR" >>"$SEALER_OUTPUT"')
    return user.home / "data"


@pytest.fixture
def user(tmp_path: Path, alicloud_hosts: Simulator, image: Path) -> Product:
    """A user of the simulated cloud with real machines."""
    return make_user(tmp_path / "user", alicloud_hosts, image, "web")


def cloud(simulator: Simulator) -> dict[str, int]:
    """What the account holds, but for what comes and goes with an instance."""
    return {k: n for k, n in simulator.account.store.counts().items() if k not in {"disk", "card"}}


def test_up_again_and_down(user: Product, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    policy = user.ok("doctor", "--permissions", "alicloud").json
    account.allowed = frozenset(action for part in policy["Statement"] for action in part["Action"])
    user.extra[OPERATOR] = "203.0.113.7/32"
    user.ok(*up_words("web", 3), "--only", "machines", timeout=PATIENCE)
    first = user.ok(*up_words("web", 3), timeout=PATIENCE)  # its hosts are those that a preview without a change tells
    assert "colour = red" in first.out
    assert cloud(alicloud_hosts) == {"vpc": 1, "vswitch": 1, "group": 1, "instance": 3}
    assert account.mutations().count("RunInstances") == 3
    start = len(account.log)
    user.extra[OPERATOR] = "198.51.100.9/32"  # the operator comes from elsewhere now
    assert [h["state"] for h in user.ok("status", "web", "-o", "json").json["hosts"]] == ["healthy"] * 3
    assert account.counts(start) == {"DescribeSecurityGroupAttribute": 1, "AuthorizeSecurityGroup": 1}
    tags = {frozenset(t.tags) for t in account.store.all("instance")}
    assert all("sealer-cloud:cid" in keys for keys in tags), tags

    start = len(account.log)
    user.ok(*up_words("web", 3), timeout=PATIENCE)
    assert account.mutations(start) == []
    bound = QUIET_CALLS + LET_IN_CALLS + 3 * CALLS_PER_MACHINE
    assert account.counts(start).total() <= bound, account.counts(start)

    secrets_in_clear(user, alicloud_hosts)
    start = len(account.log)
    user.extra[OPERATOR] = "192.0.2.33/32"
    looked = user.ok("plan", "app:v1", "-n", "web", "--provider", "alicloud", "--masters", "2", timeout=PATIENCE)
    assert account.mutations(start) == []
    assert "192.0.2.33/32 now and is not let in" in looked.err

    user.ok(*down_words("web"), timeout=PATIENCE)
    assert account.store.counts() == {}
    assert user.ok("list", "-o", "json").json["clusters"] == []


def secrets_in_clear(user: Product, simulator: Simulator) -> None:
    """Neither the cloud's key nor a private key nor a host's user-data stands in the backend's files."""
    datas = [t["UserData"] for t in simulator.account.store.all("instance")]
    assert datas
    assert all(datas)
    needles = [SECRET, "OPENSSH PRIVATE KEY", *(text[-200:] for text in datas)]
    backend = user.state / "backend"
    files = [p for p in backend.rglob("*") if p.is_file()]
    assert files
    for path in files:
        text = path.read_bytes().decode(errors="replace")
        assert not [needle[:20] for needle in needles if needle in text], path


def test_next_zone_when_the_first_is_sold_out_at_the_last_moment(user: Product, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    account.faults.add(no_stock(ZoneId="cn-hangzhou-h"))
    answer = user.ok(*up_words("web"), timeout=PATIENCE)
    assert [t["ZoneId"] for t in account.store.all("instance")] == ["cn-hangzhou-i"]
    assert "cn-hangzhou-h" in answer.out + answer.err, "what was tried is said"
    account.faults.clear()
    shutil.rmtree(user.home / "state")  # and now the state is lost: everything is found by its tags
    user.ok(*down_words("web"), timeout=PATIENCE)
    assert account.store.counts() == {}


def test_etcd_comes_up_healthy_on_three_machines(tmp_path: Path, alicloud_hosts: Simulator) -> None:
    """The first command that a user of this cloud types."""
    context = tmp_path / "context"
    subprocess.run([str(ROOT / "examples/etcd/fetch.sh"), str(context)], check=True, capture_output=True)
    data = tmp_path / "user" / "data"
    user = make_user(tmp_path / "user", alicloud_hosts, data, "etcd")
    user.ok("image", "build", "-t", "etcd:v1", "-f", str(ROOT / "examples/etcd/Kubefile"), str(context))
    user.ok("up", "etcd:v1", "-n", "etcd", "--provider", "alicloud", "--masters", "3", "--yes", timeout=PATIENCE)
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 3
    assert user.etcdctl("m1", "put", "colour", "red").rc == 0
    assert "red" in user.etcdctl("m3", "get", "colour").out, "m3 is reached through m1"
    user.ok(*down_words("etcd"), timeout=PATIENCE)
    assert alicloud_hosts.account.store.counts() == {}


@dataclass
class DeletedAfterPreview(Fault):
    """From the second signed look of a command on, which is the last one before the engine's own refresh."""

    looks: int = 0

    def matches(self, action: str, params: Mapping[str, str]) -> bool:
        """True for all that comes after that look."""
        before, self.looks = self.looks, self.looks + (action == "DescribeRegions")
        return before >= 2 and super().matches(action, params)


def test_a_deleted_key_never_empties_the_state(user: Product, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    user.ok(*up_words("web"), timeout=PATIENCE)
    rule = account.faults.add(key_deleted())
    for words in (up_words("web"), down_words("web")):
        answer = user.run(*words, timeout=PATIENCE)
        assert answer.rc == 5, answer
        assert SECRET not in answer.out + answer.err
    assert rule.hits > 0
    account.faults.clear()
    before, rule = checkpoint(user), account.faults.add(DeletedAfterPreview(**vars(key_deleted())))
    answer = user.run(*up_words("web"), "-e", "COLOUR=blue", timeout=PATIENCE)
    assert (answer.rc, checkpoint(user) == before) == (5, True), answer
    assert rule.hits > 1, "not only the last look was refused"
    account.faults.clear()
    start = len(account.log)
    user.ok(*up_words("web"), timeout=PATIENCE)
    assert account.mutations(start) == []
    user.ok(*down_words("web"), timeout=PATIENCE)
    assert account.store.counts() == {}


@pytest.mark.parametrize("what", ["no key", "wrong secret", "unknown key", "expired token", "no permission"])
def test_credentials_are_refused_before_anything_is_made(
    tmp_path: Path, alicloud: Simulator, image: Path, what: str
) -> None:
    user, account = make_user(tmp_path / "user", alicloud, image, "web"), alicloud.account
    if what == "no key":
        user.extra.update(ALIBABA_CLOUD_ACCESS_KEY_ID="", ALIBABA_CLOUD_ACCESS_KEY_SECRET="", HOME=str(tmp_path))
        user.extra["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
    elif what == "wrong secret":
        user.extra["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "canary-wrong-secret"
    elif what == "unknown key":
        user.extra["ALIBABA_CLOUD_ACCESS_KEY_ID"] = "LTAIunknown"
    elif what == "expired token":
        account.faults.add(token_expired())
    else:
        account.allowed = frozenset()
    answer = user.run(*up_words("web"), timeout=PATIENCE)
    assert answer.rc == 5, answer
    assert account.mutations() == []
    assert account.store.counts() == {}
    assert "canary" not in answer.out + answer.err
