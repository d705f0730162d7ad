"""A cluster of three fake hosts per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.apply_edge.edge_rig import Cluster


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """What `stand` copies."""
    return Cluster(tmp_path_factory.mktemp("standing"))


@pytest.fixture
def cluster(tmp_path: Path, template: Cluster) -> Iterator[Cluster]:
    made = Cluster(tmp_path, template=template)
    yield made
    made.close()
