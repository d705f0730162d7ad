"""Every test of the host side runs under dash with GNU tools, and under busybox with nothing but its applets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.model.ids import HostName
from tests.contract.wrapper.rig import Rig
from tests.fakes.connection import FakeHost


@pytest.fixture(scope="session")
def paths_of_shells(tmp_path_factory: pytest.TempPathFactory, busybox: str) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("shells")
    dash = folder / "dash"
    dash.mkdir()
    (dash / "sh").symlink_to(shutil.which("dash") or "/bin/dash")
    return {"dash": f"{dash}:/usr/bin:/bin", "busybox": busybox}


@pytest.fixture(params=["dash", pytest.param("busybox", marks=pytest.mark.slow)])
def rig(request: pytest.FixtureRequest, tmp_path: Path, paths_of_shells: dict[str, str]) -> Iterator[Rig]:
    host = FakeHost(HostName("m1"), tmp_path / "m1", paths_of_shells[request.param])
    yield Rig(host, tmp_path)
    host.end_processes()
