"""Many hosts: bought in one wave, and a run without a change asks no more of the cloud for each of them than for one.

The machines are records, the engine, the plugin, the driver and the program are real; the first login is taken as
answered (benchmarks/answers.py), and later nobody answers, which costs the cloud nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from drivers.alicloud.driver import AlicloudDriver
from provisioner import pipeline
from provisioner.clock import SystemClock
from provisioner.errors import HostError
from provisioner.events import ignore
from provisioner.model.report import UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.stop import Stop
from provisioner.world import UpChoice, World
from tests.clouds.alicloud.scene import CALLS_PER_MACHINE, QUIET_CALLS
from tests.clouds.alicloud.sim.gathering import Gathering
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.alicloud.stage import Stage
from tests.e2e.product import ROOT
from tests.fakes.images import FakeImages

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.timeout(600)]
MANY = 50
ANSWERS = (sys.executable, "-P", str(ROOT / "benchmarks" / "answers.py"))
WORDS = UpArgs("app:v1", provider="alicloud", region="cn-hangzhou", masters="1", nodes=str(MANY - 1))


async def nobody(*_: object) -> object:
    raise HostError("a record has no shell")


def a_world(simulator: Simulator, folder: Path) -> World:
    """A user whose machines are records."""
    engine, images = Stage(simulator, folder, ANSWERS).engine, FakeImages()
    images.add("app:v1", {"scripts/start.sh": b"#!/bin/sh\n"})
    return World(
        engine._settings, SystemClock(), ignore, Stop(), engine, images, nobody,  # type: ignore[arg-type]
        {"alicloud": AlicloudDriver}, os.urandom,
    )  # fmt: skip


async def test_they_are_bought_in_one_wave_and_asked_for_no_more_than_few(alicloud: Simulator, tmp_path: Path) -> None:
    account, world = alicloud.account, a_world(alicloud, tmp_path)
    account.catalogue.quota_cores = 1000
    account.gathering = Gathering("RunInstances", MANY)

    async def up() -> UpReport:
        choice = UpChoice(yes=True, only="machines")
        return await pipeline.up(world, WORDS, Clusterfile(), choice, lambda _plan: True)

    made = await up()
    assert len(made.inventory.hosts) == len(account.store.all("instance")) == MANY
    assert account.gathering.most == MANY, "all of them stood open at once: nobody waited for another's machine"
    assert len({c.params["ClientToken"] for c in account.log if c.action == "RunInstances" and not c.code}) == MANY

    start = len(account.log)
    again = await up()
    assert [h.machine_id for h in again.inventory.hosts] == [h.machine_id for h in made.inventory.hosts]
    assert account.mutations(start) == []
    assert account.counts(start).total() <= QUIET_CALLS + MANY * CALLS_PER_MACHINE, account.counts(start)
