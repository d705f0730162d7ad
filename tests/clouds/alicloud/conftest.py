"""A simulated Alibaba Cloud for each test: records alone, or with real hosts behind the instances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds.alicloud.sim.hosts import InstanceHosts
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.realhosts import RealHosts


@pytest.fixture
def alicloud(tmp_path: Path) -> Iterator[Simulator]:
    """A simulator whose instances are records."""
    folder = tmp_path / "simulator"
    folder.mkdir()
    with Simulator(folder) as simulator:
        yield simulator


@pytest.fixture
def alicloud_hosts(tmp_path: Path) -> Iterator[Simulator]:
    """A simulator whose instances are real hosts."""
    folder = tmp_path / "simulator"
    folder.mkdir()
    real = RealHosts(folder)
    try:
        with Simulator(folder, InstanceHosts(real)) as simulator:
            yield simulator
    finally:
        real.close()
