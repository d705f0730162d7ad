"""The state is lost and the bought machines live: `adopt` on the simulated cloud buys, replaces and restarts none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clouds.alicloud.scene import down_words, make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]

PATIENCE = 300.0
MAKES = {"RunInstances", "CreateVpc", "CreateVSwitch", "CreateSecurityGroup"}
TOUCHES = {"StopInstance", "StartInstance", "RebootInstance", "DeleteInstance", "ModifyInstanceAttribute"}


def test_a_cluster_whose_state_is_lost_is_taken_over_as_it_is(tmp_path: Path, alicloud_hosts: Simulator) -> None:
    image, account = Product(tmp_path / "image"), alicloud_hosts.account
    image.home.mkdir()
    tiny.build(image, "app:v1", tiny.BASIC, "ENV COLOUR=red")
    user = make_user(tmp_path / "user", alicloud_hosts, image.home / "data", "web")
    account.allowed = frozenset(
        a for s in user.ok("doctor", "--permissions", "alicloud").json["Statement"] for a in s["Action"]
    )
    up = ("up", "-n", "web", "--provider", "alicloud", "--yes", "-o", "json")
    user.ok(*up, "app:v1", "--masters", "1", "--nodes", "1", "--ttl", "2h", "-e", "COLOUR=blue", timeout=PATIENCE)
    asked = ("exec", "web", "-o", "json", "--", "cat", "/run/app.pid", "/proc/sys/kernel/random/boot_id")
    user.ok("ssh", "web", "n1", "--", "true")
    kept, cid = tmp_path / "kept", user.cid
    shutil.copytree(next(user.state.rglob("ssh/id_ed25519")).parent, kept)
    before, expires = user.ok(*asked).out, user.status()["expiresAt"]

    shutil.rmtree(user.home / "state")
    start = len(account.log)
    adopt = ("adopt", "web", "--provider", "alicloud", "--yes", "-o", "json")
    refused_without_its_keys(user, adopt, kept)
    assert account.mutations(start) == []
    adopted = user.ok(
        *adopt, "-i", str(kept / "id_ed25519"), "--known-hosts", str(kept / "known_hosts"), timeout=PATIENCE
    ).json
    assert (adopted["cid"], [h["name"] for h in adopted["hosts"]]) == (cid, ["m1", "n1"])
    assert not (MAKES | TOUCHES) & set(account.counts(start)), account.counts(start)

    again = len(account.log)
    unchanged = user.ok(*up, timeout=PATIENCE).json
    assert (unchanged["changed"], unchanged["steps"]) == (False, [])
    assert account.mutations(again) == []
    status = user.status()
    assert {h["name"]: h["state"] for h in status["hosts"]} == {"m1": "healthy", "n1": "healthy"}
    assert status["expiresAt"] == expires
    assert user.ok(*asked).out == before, "nothing was restarted"
    assert "OPENSSH PRIVATE KEY" not in all_states(user)
    assert user.ok(*down_words("web"), timeout=PATIENCE).rc == 0
    assert account.store.counts() == {}


def refused_without_its_keys(user: Product, adopt: tuple[str, ...], kept: Path) -> None:
    locked = user.run(*adopt)
    assert (locked.rc, "down web --provider alicloud" in locked.err) == (5, True), locked.err
    wrong = user.run(*adopt, "-i", str(kept / "id_ed25519"), "--host-key", f"SHA256:{'A' * 43}", timeout=PATIENCE)
    assert wrong.rc == 7, wrong.err


def all_states(user: Product) -> str:
    folders = user.state.rglob(".pulumi")
    return "".join(p.read_text(errors="replace") for folder in folders for p in folder.rglob("*") if p.is_file())
