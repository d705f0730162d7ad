"""`make smoke-alicloud`, as a user with an account would run it, on the simulated cloud."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clouds.alicloud.scene import make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e.product import ROOT

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine]


def test_the_smoke_run_checks_and_leaves_nothing(tmp_path: Path, alicloud_hosts: Simulator) -> None:
    user = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "smoke")
    env = {**{k: v for k, v in user.env.items() if k != "SEALER_CLOUD_NAME"}, "SMOKE_NAME": "smoke"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/smoke.py"), "alicloud"],
        env=env, cwd=user.home, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["✔", "plan"], ["✔", "up"], ["✔", "look"], ["✔", "up"], ["✔", "down"], ["✔", "gc"],
    ]  # fmt: skip
    assert "per hour" in done.stdout
    assert alicloud_hosts.account.store.counts() == {}
    assert "hello:smoke" not in (tmp_path / "data/sealer-cloud/images/index.json").read_text()
