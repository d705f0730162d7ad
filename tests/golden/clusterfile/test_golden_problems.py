"""What a person reads about a broken file, word for word. `GOLDEN_UPDATE=1` writes the expected texts anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.model.clusterfile import validate_files

HERE = Path(__file__).parent
INPUTS = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.stem)
def test_problems_read_as_written(path: Path) -> None:
    problems, warnings = validate_files([(path.name, path.read_bytes())])
    found = "".join(f"{p}\n" for p in problems) + "".join(f"warning {w}\n" for w in warnings)
    golden = path.with_suffix(".txt")
    if os.environ.get("GOLDEN_UPDATE"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_there_are_goldens() -> None:
    assert len(INPUTS) >= 5
