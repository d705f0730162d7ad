"""SIGKILL at every step of a change to the store: afterwards the old index or the new one, and all it names is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from provisioner.image import BuildRequest, ImageStore, build_image

CHILD = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from provisioner.image import BuildRequest, ImageStore, build_image

    root, act, stop = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = ImageStore(root / "images", root / "cache")
    count = 0

    def counting(real):
        def call(*args, **kwargs):
            global count
            count += 1
            if count == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return call

    for name in ("open", "fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "chmod"):
        setattr(os, name, counting(getattr(os, name)))
    if act == "build":
        build_image(BuildRequest(root / "Kubefile", root / "context", "app:v1", "amd64"), store)
    elif act == "tag":
        store.tag("app:v1", "app:v2")
    else:
        store.remove("app:v1")
    print(count)
""")


def run(root: Path, act: str, stop: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(root), act, str(stop)], capture_output=True, text=True, check=False
    )


def prepare(root: Path, text: str) -> BuildRequest:
    (root / "context").mkdir(exist_ok=True)
    (root / "context" / "file").write_text(text)
    (root / "Kubefile").write_text("FROM scratch\nCOPY file .\n")
    return BuildRequest(root / "Kubefile", root / "context", "app:v1", "amd64")


@pytest.mark.slow
@pytest.mark.parametrize("act", ["build", "tag", "rm"])
def test_killed_at_every_step(tmp_path: Path, act: str) -> None:
    request = prepare(tmp_path, "old")
    store = ImageStore(tmp_path / "images", tmp_path / "cache")
    build_image(request, store)
    prepare(tmp_path, "new")
    stop, ended = 1, False
    while not ended:
        done = run(tmp_path, act, stop)
        ended = done.returncode == 0
        assert ended or done.returncode == -signal.SIGKILL, done.stderr
        fresh = ImageStore(tmp_path / "images", tmp_path / "cache")
        for row in fresh.list():
            assert not row.problem, (stop, row)
            fresh.changeset(fresh.resolve(f"{row.repository}@{row.digest}"))
            ImageStore(tmp_path / "images").changeset(fresh.resolve(f"{row.repository}@{row.digest}"))
        if act == "rm" and not fresh.list():
            build_image(prepare(tmp_path, "old"), store)
            prepare(tmp_path, "new")
        stop += 1
    assert stop > 5
    build_image(request, store)
    while rows := store.list():
        store.remove(f"{rows[0].repository}:{rows[0].tag}" if rows[0].tag else f"app@{rows[0].digest}")
    assert sorted(p.name for p in (tmp_path / "images").rglob("*") if p.is_file()) == [
        "index.json",
        "index.lock",
        "oci-layout",
    ]
    assert list((tmp_path / "images" / "ingest").iterdir()) == []
