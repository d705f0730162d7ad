"""Stage 1 on the simulated clouds. What each figure holds and leaves out: README.md beside this."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import BIN, ROOT, Row, engine_root, sealer_plugin, timed
from benchmarks.simulated import CLOUDS, CLUSTER, Account, Cloud

RUNS = 2
AGAIN = 3
"""Runs that change nothing, after each of RUNS."""
MANY = 50
CID = "bench-abcdef"


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


def figures(names: tuple[str, ...] = ()) -> list[Row]:
    """Measure everything, on one cloud after the other; on those of `names` alone where there are some."""
    if unknown := set(names) - {cloud.name for cloud in CLOUDS}:
        sys.exit(f"{', '.join(unknown)}: {' or '.join(cloud.name for cloud in CLOUDS)}")
    work = Path(tempfile.mkdtemp(prefix="sealer-bench-"))
    chosen = [cloud for cloud in CLOUDS if not names or cloud.name in names]
    try:
        return [row for cloud in chosen for row in measured(cloud, work / cloud.name)]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measured(cloud: Cloud, work: Path) -> list[Row]:
    """The figures of one cloud."""
    return [*three_hosts(cloud, work / "three"), many_hosts(cloud, work / "many")]


def three_hosts(cloud: Cloud, work: Path) -> list[Row]:
    """Real hosts behind the instances: the whole command beside the bare program, in turn."""
    ours, peer = Seen([], []), Seen([], [])
    for run in range(RUNS):
        folder = work / str(run)
        with cloud.open(folder, real=True) as account:
            turn(bare(cloud, folder / "peer", account), peer, account.calls)
            turn(product(cloud, folder / "ours", account), ours, account.calls)
    a, b, c, d = (statistics.median(x) for x in (ours.up, peer.up, ours.again, peer.again))
    name, allowed = cloud.name, cloud.quiet + 3 * cloud.per_machine
    more, again = f"{ours.calls - peer.calls:+d}", f"{ours.quiet - peer.quiet:+d}"
    within = ours.quiet <= allowed
    return [
        Row(f"{name}: up --only machines, 3 hosts", a, b, f"{a / b:.2f}x", "1.15x", a / b <= 1.15),
        Row(f"{name}: up, no change, 3 hosts", c, d, f"{c / d:.2f}x", "1.3x", c / d <= 1.3),
        Row(f"{name}: calls, up, 3 hosts", ours.calls, peer.calls, more, "-", True, "calls"),
        Row(f"{name}: calls, no change, 3 hosts", ours.quiet, peer.quiet, again, f"<= {allowed}", within, "calls"),
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


def product(cloud: Cloud, folder: Path, account: Account) -> Side:
    """The command. Before it is run again its image is laid, so that both stages have nothing to do."""
    user = account.user(folder)
    laid: list[float] = []

    def run(*words: str) -> float:
        return timed([str(BIN / "sealer-cloud"), *words], user.env)

    def again() -> float:
        if not laid:
            laid.append(run(*user.up))
        return run(*user.up)

    return Side(
        lambda: run(*user.up, "--only", "machines"),
        again,
        lambda: run("down", CLUSTER, "--provider", cloud.name, "--yes"),
    )


def bare(cloud: Cloud, folder: Path, account: Account) -> Side:
    """The peer."""
    root = engine_root()
    places = [str(sealer_plugin(folder)), str(account.plugins), os.environ["PATH"]]
    env = {**account.user(folder / "user").env, "PATH": ":".join(places), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(ROOT / "benchmarks" / f"{cloud.name}_peer.py")]
    more = [str(folder), root, CID, account.image]
    return Side(*(lambda v=v: timed([*words, v, *more], env) for v in ("up", "again", "down")))


def many_hosts(cloud: Cloud, work: Path) -> Row:
    """MANY machines that are records, beside three of them; the first login is taken as answered."""
    few, many = [], []
    for run in range(RUNS):
        few.append(stage1(cloud, work / f"few{run}", 3))
        many.append(stage1(cloud, work / f"many{run}", MANY))
    a, b = statistics.median(many), statistics.median(few)
    return Row(f"{cloud.name}: stage 1, {MANY} hosts, beside 3", a, b, f"{a / b:.2f}x", "1.3x", a / b < 1.3)


def stage1(cloud: Cloud, folder: Path, count: int) -> float:
    """Seconds of stage 1 as it measures itself."""
    with cloud.open(folder, real=False) as account:
        env = account.user(folder / "user").env
        what = [cloud.name, str(count), str(folder / "state"), account.image]
        words = [sys.executable, "-m", "benchmarks.stage1", *what]
        done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"stage 1 with {count} hosts: {done.stdout}\n{done.stderr}")
    return float(done.stdout)
