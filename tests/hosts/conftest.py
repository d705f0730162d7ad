from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.local import machines
from drivers.local.defaults import default_paths
from drivers.local.sshd import unpack_sshd

from .cluster import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster that is not made yet; whatever a test leaves of it is removed."""
    it = Cluster()
    yield it
    machines.sweep(it.cid)


@pytest.fixture
def other() -> Iterator[Cluster]:
    """A second one."""
    it = Cluster("other")
    yield it
    machines.sweep(it.cid)


@pytest.fixture(scope="session", autouse=True)
def _sshd() -> None:
    """`make setup` unpacks a sshd where the machine has none; a bare `pytest` does the same, once."""
    unpack_sshd(default_paths().sshd)
