"""The real engine in a folder of the test's own; nothing of it may outlive the test."""

import time

import pytest

from tests.contract.engine.rigs import RealRig


@pytest.fixture
def rig(tmp_path):
    rig = RealRig(tmp_path)
    yield rig
    for hold in rig.tiny.glob("hold-*"):
        hold.unlink()
    deadline = time.monotonic() + 15
    while rig.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert rig.running() == []
