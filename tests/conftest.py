"""For every test: random input is judged by what comes out, never by how long a loaded machine took."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Below `nohup`, or behind a script's `&`, signals are ignored, and what ignores a signal hands that on to all it starts:
# tests of signals would lie.
for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

_TOLD_BY_LUCK = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("house", deadline=None, suppress_health_check=_TOLD_BY_LUCK)
settings.load_profile("house")


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PATH of busybox applets alone; fetched where the machine has none, so that no test of them is skipped."""
    from tests.fakes.hosts import busybox_path

    with busybox_path(tmp_path_factory.mktemp("busybox")) as applets:
        yield applets
