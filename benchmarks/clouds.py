"""Stage 1 on the simulated clouds. What each figure holds and leaves out: README.md beside this."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import BIN, ROOT, Row, engine_root, sealer_plugin, timed
from tests.clouds.alicloud.sim.hosts import InstanceHosts
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.realhosts import RealHosts
from tests.e2e import tiny
from tests.e2e.product import Product

RUNS = 2
AGAIN = 3
"""Runs that change nothing, after each of RUNS."""
MANY = 50
QUIET, QUIET_PER_MACHINE = 8, 10
"""Calls of a run that changes nothing: held by a test in tests/clouds, too."""
UP = ("up", "app:v1", "-n", "web", "--provider", "alicloud", "--masters", "3", "--yes")
DOWN = ("down", "web", "--provider", "alicloud", "--yes")


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: how it makes everything, runs again, removes everything."""

    up: Callable[[], float]
    again: Callable[[], float]
    down: Callable[[], float]


@dataclass
class Seen:
    """What one side took: seconds per run, and calls."""

    up: list[float]
    again: list[float]
    calls: int = 0
    quiet: int = 0


def figures() -> list[Row]:
    """Measure everything, on one cloud after the other."""
    work = Path(tempfile.mkdtemp(prefix="sealer-bench-"))
    try:
        return [*three_hosts(work / "three"), many_hosts(work / "many")]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def three_hosts(work: Path) -> list[Row]:
    """Real hosts behind the instances: the whole command beside the bare program, in turn."""
    ours, peer = Seen([], []), Seen([], [])
    for run in range(RUNS):
        folder = work / str(run)
        with simulated(folder) as cloud:
            account = cloud.account
            calls = lambda account=account: len(account.log)  # noqa: E731
            turn(bare(folder / "peer", cloud), peer, calls)
            turn(product(folder / "ours", cloud), ours, calls)
    a, b, c, d = (statistics.median(x) for x in (ours.up, peer.up, ours.again, peer.again))
    allowed = QUIET + 3 * QUIET_PER_MACHINE
    return [
        Row("alicloud: up --only machines, 3 hosts", a, b, f"{a / b:.2f}x", "1.15x", a / b <= 1.15),
        Row("alicloud: up, no change, 3 hosts", c, d, f"{c / d:.2f}x", "1.3x", c / d <= 1.3),
        Row(
            "alicloud: calls, up, 3 hosts", ours.calls, peer.calls, f"{ours.calls - peer.calls:+d}", "-", True, "calls"
        ),
        Row(
            "alicloud: calls, no change, 3 hosts",
            ours.quiet,
            peer.quiet,
            f"{ours.quiet - peer.quiet:+d}",
            f"<= {allowed}",
            ours.quiet <= allowed,
            "calls",
        ),
    ]


def turn(side: Side, seen: Seen, calls: Callable[[], int]) -> None:
    """Everything made, looked at again, removed."""
    start = calls()
    seen.up.append(side.up())
    seen.calls = calls() - start
    for _ in range(AGAIN):
        start = calls()
        seen.again.append(side.again())
        seen.quiet = calls() - start
    side.down()


def product(folder: Path, cloud: Simulator) -> Side:
    """The command. Before it is run again its image is laid, so that both stages have nothing to do."""
    user = a_user(folder, cloud)
    laid: list[float] = []

    def again() -> float:
        if not laid:
            laid.append(timed([str(BIN / "sealer-cloud"), *UP], user.env))
        return timed([str(BIN / "sealer-cloud"), *UP], user.env)

    return Side(
        lambda: timed([str(BIN / "sealer-cloud"), *UP, "--only", "machines"], user.env),
        again,
        lambda: timed([str(BIN / "sealer-cloud"), *DOWN], user.env),
    )


def bare(folder: Path, cloud: Simulator) -> Side:
    """The peer."""
    root = engine_root()
    places = [str(sealer_plugin(folder)), str(cloud_plugin()), os.environ["PATH"]]
    env = {**a_user(folder / "user", cloud).env, "PATH": ":".join(places), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(ROOT / "benchmarks" / "alicloud_peer.py")]
    return Side(
        *(lambda v=v: timed([*words, v, str(folder), root, "bench-abcdef"], env) for v in ("up", "again", "down"))
    )


def many_hosts(work: Path) -> Row:
    """MANY machines that are records, beside three of them; the first login is taken as answered."""
    few, many = [], []
    for run in range(RUNS):
        few.append(stage1(work / f"few{run}", 3))
        many.append(stage1(work / f"many{run}", MANY))
    a, b = statistics.median(many), statistics.median(few)
    return Row(f"alicloud: stage 1, {MANY} hosts, beside 3", a, b, f"{a / b:.2f}x", "1.3x", a / b < 1.3)


def stage1(folder: Path, count: int) -> float:
    """Seconds of stage 1 as it measures itself."""
    folder.mkdir(parents=True)
    with Simulator(folder) as cloud:
        cloud.account.catalogue.quota_cores = 100_000
        env = a_user(folder / "user", cloud).env
        words = [sys.executable, "-m", "benchmarks.stage1", "alicloud", str(count), str(folder / "state"), ""]
        done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"stage 1 with {count} hosts: {done.stdout}\n{done.stderr}")
    return float(done.stdout)


@contextmanager
def simulated(folder: Path) -> Iterator[Simulator]:
    """A cloud at zero latency whose machines are real hosts."""
    folder.mkdir(parents=True)
    real = RealHosts(folder)
    try:
        with Simulator(folder, InstanceHosts(real)) as cloud:
            yield cloud
    finally:
        real.close()


def a_user(home: Path, cloud: Simulator) -> Product:
    """A user of that cloud who holds app:v1."""
    from tests.clouds.alicloud.scene import make_user

    user = make_user(home, cloud, home / "data", "web")
    tiny.build(user, "app:v1", tiny.BASIC)
    return user


def cloud_plugin() -> Path:
    """The folder of the cloud's plugin, as the program finds it."""
    from drivers.alicloud.driver import PLUGIN_VERSION
    from provisioner.settings import load_settings

    return load_settings().cache_dir / "plugins" / f"alicloud-{PLUGIN_VERSION}"
