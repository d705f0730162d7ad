"""`make bench`: each figure beside its peer, measured in turn in the same run; a table, and JSON in benchmarks/out/.

Times are wall seconds of whole processes, medians of RUNS interleaved pairs. Goals are the ones of the first order.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PEER = [sys.executable, str(ROOT / "benchmarks" / "peer.py")]
RUNS = 3


@dataclass
class Row:
    """One figure: ours and the peer's median in seconds, what is compared, and whether the goal holds."""

    figure: str
    ours: float
    peer: float | None
    verdict: str
    goal: str
    met: bool


def timed(words: list[str], env: dict[str, str] | None = None) -> float:
    """Wall seconds of one process that must succeed."""
    begun = time.monotonic()
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def engine_root() -> str:
    """The folder that holds `bin/pulumi`, as the program finds it."""
    done = subprocess.run(
        [str(BIN / "sealer-cloud"), "engine", "status", "-o", "json"], capture_output=True, check=True
    )
    return str(Path(json.loads(done.stdout)["engine"]["path"]).parent.parent)


def peer_env(work: Path) -> dict[str, str]:
    """The peer finds our plugin on PATH, in a folder that holds nothing else."""
    plugin = work / "plugin"
    plugin.mkdir(parents=True, exist_ok=True)
    script = plugin / "pulumi-resource-sealer"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m provisioner.plugin "$@"\n')
    script.chmod(0o755)
    (work / "project").mkdir(exist_ok=True)
    return {**os.environ, "PATH": f"{plugin}:{os.environ['PATH']}"}


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


def main() -> int:
    """Measure, print, write; exit 1 when a goal is missed."""
    work = Path(tempfile.mkdtemp(prefix="sealer-bench-"))
    try:
        rows = [*starts(work), hosts_to_ssh(), *whole_up(work)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{'figure':32}{'ours':>9}{'peer':>9}  {'result':18}{'goal':14}")
    for row in rows:
        peer = f"{row.peer:8.2f}s" if row.peer is not None else f"{'-':>9}"
        print(f"{row.figure:32}{row.ours:8.2f}s{peer}  {row.verdict:18}{row.goal:14}{'met' if row.met else 'MISSED'}")
    out = ROOT / "benchmarks" / "out"
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(
        json.dumps({"schemaVersion": 1, "rows": [asdict(r) for r in rows]}, indent=2) + "\n"
    )
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
