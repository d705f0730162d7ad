"""The state is lost and the bought machines live: `adopt` on the simulated AWS buys, replaces and restarts none."""

import shutil

import pytest

from tests.clouds.aws.scene import down_words, ids, make_user, up_words, write_infra
from tests.e2e import tiny

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]

PATIENCE = 300.0


def test_a_cluster_whose_state_is_lost_is_taken_over_as_it_is(real_cloud, app_image, tmp_path):
    name = tiny.unique("aws")
    user = make_user(real_cloud, tmp_path / "user", app_image, name)
    write_infra(user, real_cloud)
    user.ok(*up_words(name), "--ttl", "2h", timeout=PATIENCE)
    asked = ("exec", name, "-o", "json", "--", "cat", "/run/app.pid", "/proc/sys/kernel/random/boot_id")
    user.ok("ssh", name, "n1", "--", "true")
    kept, cid = tmp_path / "kept", user.cid
    shutil.copytree(next(user.state.rglob("ssh/id_ed25519")).parent, kept)
    before, expires, bought, there = (
        user.ok(*asked).out,
        user.status()["expiresAt"],
        ids(real_cloud),
        real_cloud.standing(),
    )

    shutil.rmtree(user.home / "state")
    adopt = ("adopt", name, "--provider", "aws", "--yes", "-o", "json")
    locked = user.run(*adopt)
    assert (locked.rc, f"down {name} --provider aws" in locked.err) == (5, True), locked.err
    adopted = user.ok(
        *adopt, "-i", str(kept / "id_ed25519"), "--known-hosts", str(kept / "known_hosts"), timeout=PATIENCE
    ).json
    assert (adopted["cid"], [h["name"] for h in adopted["hosts"]]) == (cid, ["m1", "n1"])
    assert (ids(real_cloud), real_cloud.standing()) == (bought, there), "nothing was made or replaced"

    unchanged = user.ok("up", "-n", name, "--provider", "aws", "--yes", "-o", "json", timeout=PATIENCE).json
    assert (unchanged["changed"], unchanged["steps"]) == (False, [])
    status = user.status()
    assert {h["name"]: h["state"] for h in status["hosts"]} == {"m1": "healthy", "n1": "healthy"}
    assert status["expiresAt"] == expires
    assert user.ok(*asked).out == before, "nothing was restarted"
    user.ok(*down_words(name), timeout=PATIENCE)
    assert real_cloud.standing() == []
