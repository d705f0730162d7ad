"""The product on the simulated cloud: its command, with folders and credentials of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.infra.processes import records, send
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e.product import Product

CLEAN = ("ALIBABA_CLOUD_", "ALICLOUD_", "CI")
"""Variables of whoever runs the tests that must not reach the product."""
PATIENCE = 300.0
QUIET_CALLS = 8
"""What a run that changes nothing may ask of the cloud beyond what each machine costs."""
CALLS_PER_MACHINE = 10


def make_user(home: Path, simulator: Simulator, data: Path, cluster: str) -> Product:
    """A user whose cloud is the simulator. The engine and the plugins are those of this machine."""
    home.mkdir(parents=True, exist_ok=True)
    blank = {key: "" for key in os.environ if key.startswith(CLEAN)}
    extra = {
        **blank, **simulator.env, "ALIBABA_CLOUD_REGION_ID": "cn-hangzhou", "XDG_DATA_HOME": str(data),
        "SEALER_CLOUD_NAME": cluster,
    }  # fmt: skip
    return Product(home, extra, cluster=cluster)


def up_words(cluster: str, masters: int = 1) -> tuple[str, ...]:
    """The main job."""
    return ("up", "app:v1", "-n", cluster, "--provider", "alicloud", "--masters", str(masters), "--yes")


def down_words(cluster: str) -> tuple[str, ...]:
    """Removing it."""
    return ("down", cluster, "--provider", "alicloud", "--yes")


def living(user: Product, patience: float = 10.0) -> list[str]:
    """Command lines of this user's processes that still live after a while: an engine or a plugin that was forgotten."""
    mark, deadline = f"XDG_STATE_HOME={user.home / 'state'}\0".encode(), time.monotonic() + patience
    while found := list(_lines(mark)):
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


def _lines(mark: bytes) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes():
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


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
