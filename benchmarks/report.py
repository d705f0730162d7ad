"""What all benchmarks share: timed processes, rows, the table and the JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass
class Row:
    """One figure: ours and the peer's median in seconds (or what `unit` says), what is compared, whether the goal holds."""

    figure: str
    ours: float
    peer: float | None
    verdict: str
    goal: str
    met: bool
    unit: str = "s"


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


def sealer_plugin(work: Path) -> Path:
    """A folder that holds our plugin and nothing else: a peer finds it on PATH."""
    plugin = work / "plugin"
    plugin.mkdir(parents=True, exist_ok=True)
    script = plugin / "pulumi-resource-sealer"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m provisioner.plugin "$@"\n')
    script.chmod(0o755)
    (work / "project").mkdir(exist_ok=True)
    return plugin


def publish(rows: Sequence[Row], name: str) -> int:
    """Print the table, write it as JSON; 1 when a goal is missed."""
    print(f"{'figure':36}{'ours':>9}{'peer':>9}  {'result':18}{'goal':14}")
    for row in rows:
        ours, peer = _shown(row.ours, row.unit), _shown(row.peer, row.unit)
        print(f"{row.figure:36}{ours}{peer}  {row.verdict:18}{row.goal:14}{'met' if row.met else 'MISSED'}")
    out = ROOT / "benchmarks" / "out"
    out.mkdir(exist_ok=True)
    (out / f"{name}.json").write_text(
        json.dumps({"schemaVersion": 1, "rows": [asdict(r) for r in rows]}, indent=2) + "\n"
    )
    return 0 if all(row.met for row in rows) else 1


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return f"{'-':>9}"
    return f"{value:8.2f}s" if unit == "s" else f"{value:9.0f}"
