"""The whole command while the service misbehaves: each scene goes through several faults of one cluster's life."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drivers.local.defaults import default_paths
from drivers.local.names import place_of
from tests.clouds.alicloud.client import good, run_words
from tests.clouds.alicloud.scene import down_words, living, make_user, up_words
from tests.clouds.alicloud.sim.faults import Fault, delete_refused, over_quota, throttled, token_expired
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET, Simulator
from tests.e2e import tiny
from tests.e2e.product import Answer, Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
PATIENCE = 300.0
CANARY = "canary-of-a-user-7Qx"
WORDS = (*up_words("web"), "--nodes", "1")
FIVE = (*up_words("web"), "--nodes", "4")


class Teller(Product):
    """A user who keeps all that was said."""

    def run(self, *words: str, timeout: float = PATIENCE) -> Answer:
        answer = super().run(*words, timeout=timeout)
        self.__dict__.setdefault("said", []).append(answer.out + answer.err)
        return answer


@pytest.fixture
def user(tmp_path: Path, alicloud_hosts: Simulator) -> Iterator[Teller]:
    """A user with a small image; no process of theirs may live on."""
    one = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "web")
    tiny.build(one, "app:v1", tiny.BASIC)
    one.extra["CANARY"] = CANARY
    yield Teller(one.home, one.extra, cluster="web")
    assert living(one) == []


def machine(simulator: Simulator, host: str):
    """The instance that is a host of the cluster."""
    return next(t for t in simulator.account.store.all("instance") if t.tags.get("sealer-cloud:host") == host)


def disk_of(simulator: Simulator, own: str) -> Path:
    """The disk of the real host behind an instance."""
    host = simulator.account.hosts.real.hosts[own]
    return place_of(host.cid, default_paths()).host_folder(host.name) / "disk"


def touched(simulator: Simulator, own: str) -> list[Path]:
    """What stage 2 left on a machine."""
    return [*disk_of(simulator, own).rglob("ledger.jsonl"), *disk_of(simulator, own).rglob("rootfs.d")]


def bought(simulator: Simulator) -> int:
    """How many machines the cluster's runs bought: a call that was sent again carries the same token."""
    calls = [c for c in simulator.account.log if c.action == "RunInstances" and c.code in {"", "dropped"}]
    return len({c.params["ClientToken"] for c in calls if c.params.get("ClientToken")})


def needles_of(user: Teller, host: str) -> list[str]:
    """A piece of every private key that a host shows."""
    text = user.ok("ssh", "web", host, "--", "cat /etc/ssh/*_key").out
    user.__dict__["said"].pop()  # that was asked for
    blocks = re.findall(r"PRIVATE KEY-----\n(.*?)-----END", text, re.DOTALL)
    assert blocks
    return [block.replace("\n", "")[-80:-40] for block in blocks]


def secrets_stay_secret(user: Teller, simulator: Simulator) -> None:
    """No key of the account, of a host or of the login, and no secret of the user, where it must not be."""
    files = {p: p.read_bytes().decode(errors="replace") for p in user.state.rglob("*") if p.is_file()}
    kept = [SECRET, KEY_ID, CANARY, *needles_of(user, "m1"), *needles_of(user, "n1")]
    found = [p for p, text in files.items() if any(word in text for word in kept)]
    assert found == []
    keys = [p for p, text in files.items() if "OPENSSH PRIVATE KEY" in text]
    assert all("backend" not in p.parts and p.stat().st_mode & 0o077 == 0 for p in keys), keys
    login = next(block for p in keys for block in [files[p].partition("PRIVATE KEY-----")[2][-120:-60]])
    datas = [t["UserData"] for t in simulator.account.store.all("instance")]
    told = "".join([*user.__dict__["said"], *map(repr, simulator.account.log)])
    words = [w for w in (SECRET, CANARY, login, *kept[3:]) if w in told or w in decoded(datas)]
    assert words == []


def decoded(datas: list[str]) -> str:
    """User-data as machines get it."""
    import base64

    return "".join(base64.b64decode(text).decode() for text in datas)


def test_lost_answers_a_stranger_at_an_old_address_and_a_lost_state(user: Teller, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    account.faults.add(throttled("CreateVpc", times=1))
    account.faults.add(Fault("CreateVpc", mode="lose", times=1))
    account.faults.add(Fault("RunInstances", mode="lose", times=1))
    account.faults.add(Fault("RunInstances", mode="lag", lag=3, times=1, after=1))
    user.ok(*WORDS, "--ttl", "2h", "--env-secret", "CANARY=${env:CANARY}")
    standing = account.store.counts()
    assert (bought(alicloud_hosts), standing["instance"], standing["vpc"]) == (2, 2, 1), "nothing was made twice"
    account.faults.clear()
    secrets_stay_secret(user, alicloud_hosts)
    deadline_moves(user, alicloud_hosts)

    old = machine(alicloud_hosts, "n1")
    account.store.vanish(old.id)
    account.hosts.end(old)
    stranger = move_in(alicloud_hosts, old)
    user.ok(*WORDS, "--allow-delete")
    new = machine(alicloud_hosts, "n1")
    assert new.id not in {old.id, stranger}
    assert touched(alicloud_hosts, new.id)
    assert touched(alicloud_hosts, stranger) == []
    assert bought(alicloud_hosts) == 3

    removed_though_its_state_is_lost(user, alicloud_hosts, stranger, new.id)


def removed_though_its_state_is_lost(user: Teller, simulator: Simulator, stranger: str, refused: str) -> None:
    """By tag; first with a stranger in its network, then with a machine whose delete is refused."""
    account = simulator.account
    shutil.rmtree(user.state)
    start = len(account.log)
    twin = user.run(*WORDS)
    assert twin.rc == 3, twin
    assert account.mutations(start) == []
    there = user.run(*down_words("web"))
    assert there.rc == 3, there
    assert stranger in there.out + there.err
    assert account.mutations(start) == []
    good(simulator, "ecs", "DeleteInstance", InstanceId=stranger, Force="true")
    account.faults.add(Fault("DeleteInstance", **vars_of(delete_refused()), where={"InstanceId": refused}))
    left = user.run(*down_words("web"))
    assert left.rc == 6, left
    assert refused in left.out + left.err
    account.faults.clear()
    user.ok(*down_words("web"))
    assert account.store.counts() == {}


def vars_of(rule: Fault) -> dict[str, object]:
    """What a ready-made rule answers."""
    return {"code": rule.code, "message": rule.message, "status": rule.status}


def deadline_moves(user: Teller, simulator: Simulator) -> None:
    """`ttl extend` moves the cloud's own clock and the tags, and nothing else."""
    before = [machine(simulator, host)["AutoReleaseTime"] for host in ("m1", "n1")]
    start = len(simulator.account.log)
    user.ok("ttl", "extend", "web", "1h")
    after = [machine(simulator, host)["AutoReleaseTime"] for host in ("m1", "n1")]
    moved = [datetime.fromisoformat(b) - datetime.fromisoformat(a) for a, b in zip(before, after, strict=True)]
    assert all(timedelta(minutes=58) < by < timedelta(minutes=62) for by in moved), (before, after)
    tags = {t.tags["sealer-cloud:expires-at"] for t in simulator.account.store.all() if t.kind in {"vpc", "instance"}}
    assert len(tags) == 1
    assert set(simulator.account.mutations(start)) <= {
        "ModifyInstanceAutoReleaseTime", "TagResources", "UnTagResources", "UntagResources",
    }  # fmt: skip


def move_in(simulator: Simulator, old) -> str:
    """Somebody's machine takes the address that is free now; returns its id."""
    words = run_words(old["VSwitchId"], old["SecurityGroupIds"][0], HostName="stranger")
    own = good(simulator, "ecs", "RunInstances", **words)["InstanceIdSets"]["InstanceIdSet"][0]
    deadline = time.monotonic() + 60
    (one,) = simulator.account.store.all("instance", lambda t: t.id == own)
    while one["Status"] != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert one["PrivateIp"] == old["PrivateIp"]
    return str(own)


def test_a_quota_an_ending_token_and_a_refused_delete(user: Teller, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    two_of_five(user, alicloud_hosts)
    user.ok(*down_words("web"))
    assert account.store.counts() == {}, "what was recorded goes"

    kept, before = two_of_five(user, alicloud_hosts), bought(alicloud_hosts)
    process = user.start(*FIVE)
    while bought(alicloud_hosts) == before and process.poll() is None:
        time.sleep(0.05)
    account.faults.add(token_expired())
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5, out + err
    assert not [word for word in (SECRET, KEY_ID, "Signature=") if word in out + err]
    account.faults.clear()
    user.ok(*FIVE)
    machines = {t.id for t in account.store.all("instance")}
    assert len(machines) == 5
    assert machines > kept, "and what was recorded is gone on with"
    assert bought(alicloud_hosts) == before + 3
    assert [h["state"] for h in user.ok("status", "web", "-o", "json").json["hosts"]] == ["healthy"] * 5

    rule = account.faults.add(delete_refused())
    left = user.run(*down_words("web"))
    assert left.rc == 6, left
    assert all(t.id in left.out + left.err for t in account.store.all("instance"))
    assert rule.hits > 0
    account.faults.clear()
    user.ok(*down_words("web"))
    assert account.store.counts() == {}
    assert user.ok("list", "-o", "json").json["clusters"] == []


def two_of_five(user: Teller, simulator: Simulator) -> set[str]:
    """The quota ends after two of five: no host is touched, and the two stand in the state; their ids."""
    account = simulator.account
    quota = account.faults.add(over_quota())
    quota.after = 2
    full = user.run(*FIVE)
    account.faults.clear()
    assert full.rc == 13, full
    made = {t.id for t in account.store.all("instance")}
    assert len(made) == 2
    assert [touched(simulator, own) for own in made] == [[], []], "no host is touched while one is missing"
    state = backend_of(user)
    assert all(own in state for own in made), "what was made is recorded"
    return made


def backend_of(user: Product) -> str:
    """The engine's state as it lies on the disk."""
    return "".join(p.read_text(errors="replace") for p in (user.state / "backend").rglob("*.json"))
