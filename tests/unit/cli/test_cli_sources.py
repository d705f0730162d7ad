"""What `-f` may name, and what is refused before anything is parsed."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

import pytest

from provisioner.cli.sources import LIMIT, read_sources
from provisioner.errors import UsageError


def test_files_keep_their_order_and_folders_are_unfolded_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("b.yml", "a.yaml", "Clusterfile", "notes.txt"):
        (folder / name).write_text(name)
    (tmp_path / "first").write_text("1")
    names = [Path(n).name for n, _ in read_sources([str(tmp_path / "first"), str(folder)])]
    assert names == ["first", "Clusterfile", "a.yaml", "b.yml"]


def test_standard_input_is_read_once() -> None:
    with mock.patch("sys.stdin", mock.Mock(buffer=io.BytesIO(b"kind: Cluster"))):
        assert read_sources(["-"]) == (("<stdin>", b"kind: Cluster"),)
    with pytest.raises(UsageError, match="once"):
        read_sources(["-", "-"])


@pytest.mark.parametrize("make", ["missing", "empty-folder", "large", "secret"])
def test_what_cannot_be_read_is_named(make: str, tmp_path: Path) -> None:
    path = tmp_path / make
    if make == "empty-folder":
        path.mkdir()
    elif make == "large":
        path.write_bytes(b"x" * (LIMIT + 1))
    elif make == "secret":
        path.symlink_to(path)
    with pytest.raises(UsageError, match=make):
        read_sources([str(path)])


def test_nothing_named_is_nothing_read() -> None:
    assert read_sources([]) == ()
