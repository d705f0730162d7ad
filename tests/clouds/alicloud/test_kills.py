"""SIGKILL after each changing call in turn, of the command and of its engine: no machine is bought twice, none is left."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.infra.processes import records, send
from tests.clouds.alicloud.scene import down_words, living, make_user, up_words
from tests.clouds.alicloud.sim.faults import throttled
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
PATIENCE = 300.0
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


def kill_at(
    user: Product, simulator: Simulator, action: str, words: tuple[str, ...], sights: list[str], *, engine: bool
) -> bool:
    """Run a command until it has made a call, then end it by SIGKILL, with `engine` also what it started.

    False if it ended before. `sights` is given what lived then.
    """
    start, deadline = len(simulator.account.log), time.monotonic() + PATIENCE
    process = user.start(*words)
    while not any(c.action == action and not c.code for c in simulator.account.log[start:]):
        if process.poll() is not None:
            out, err = process.communicate()
            assert process.returncode == 0, f"{action}: {out}{err}"
            return False
        assert time.monotonic() < deadline, f"{action} was never called"
        time.sleep(0.02)
    sights += living(user, patience=0.0)
    process.send_signal(signal.SIGKILL)
    for folder in user.state.glob("clusters/*/run") if engine else ():
        for found in records(folder):
            send(found, signal.SIGKILL)
    process.communicate(timeout=60)
    user.remember()
    return True


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
