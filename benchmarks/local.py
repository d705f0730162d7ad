"""The first order's figures: everything on this machine, each beside its peer in the same run."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import BIN, ROOT, Row, engine_root, sealer_plugin, timed

PEER = [sys.executable, str(ROOT / "benchmarks" / "peer.py")]
RUNS = 3


def figures() -> list[Row]:
    """Measure everything; medians of RUNS interleaved pairs."""
    work = Path(tempfile.mkdtemp(prefix="sealer-bench-"))
    try:
        return [*starts(work), hosts_to_ssh(), *whole_up(work)]
    finally:
        shutil.rmtree(work, ignore_errors=True)


def peer_env(work: Path) -> dict[str, str]:
    """The peer finds our plugin on PATH."""
    return {**os.environ, "PATH": f"{sealer_plugin(work)}:{os.environ['PATH']}"}


def whole_up(work: Path) -> tuple[Row, Row]:
    """`up etcd:v1` and the no-change `up`, each beside the same 30 lines of Automation API."""
    program, root = str(BIN / "sealer-cloud"), engine_root()
    up = [program, "up", "etcd:v1", "-n", "bench-ours", "--provider", "local", "--masters", "3", "--yes"]
    ours, peers, ours_again, peers_again = [], [], [], []
    for run in range(RUNS):
        folder = work / f"peer{run}"
        words, env = [*PEER, "{}", str(folder), root, "bench-" + "abcdef"[run] * 6], peer_env(folder)
        peer = lambda verb, words=words, env=env: timed([w.replace("{}", verb) for w in words], env)  # noqa: E731
        peers.append(peer("up"))
        ours.append(timed(up))
        for _ in range(RUNS):
            peers_again.append(peer("again"))
            ours_again.append(timed(up))
        timed([program, "down", "bench-ours", "--provider", "local", "--yes"])
        peer("down")
    a, b = statistics.median(ours), statistics.median(peers)
    c, d = statistics.median(ours_again), statistics.median(peers_again)
    return (
        Row("up etcd:v1, 3 hosts", a, b, f"peer + {a - b:.1f} s", "peer + 4 s", a - b <= 4),
        Row("up, no change", c, d, f"{c / d:.2f}x", "1.3x", c / d <= 1.3),
    )


def hosts_to_ssh() -> Row:
    """Three hosts from nothing to a verified SSH login, without the engine."""
    done = [
        subprocess.run([sys.executable, "-m", "benchmarks.hosts"], capture_output=True, text=True, check=True, cwd=ROOT)
        for _ in range(RUNS)
    ]
    seconds = statistics.median(float(d.stdout) for d in done)
    return Row("3 hosts from nothing to SSH", seconds, None, f"{seconds:.2f} s", "< 1 s", seconds < 1)


def starts(work: Path) -> list[Row]:
    """`--help` and `validate` beside a Python that does nothing."""
    clusterfile = work / "Clusterfile"
    clusterfile.write_text((ROOT / "examples/etcd/Clusterfile").read_text())
    rows = []
    for figure, words, extra in (("--help", ["--help"], 0.15), ("validate", ["validate", str(clusterfile)], 0.3)):
        pairs = [(timed([str(BIN / "sealer-cloud"), *words]), timed([sys.executable, "-c", "pass"])) for _ in range(9)]
        ours, peer = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        rows.append(Row(figure, ours, peer, f"python + {ours - peer:.2f} s", f"+ {extra} s", ours - peer <= extra))
    return rows
