"""`ssh`: the system's own client understands what we hand it, wherever the state lies."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from provisioner import pipeline
from provisioner.model.ids import ClusterName

from .conftest import Stage


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh on this machine")
def test_ssh_finds_key_and_pinned_hosts_below_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.access.known_hosts_text", lambda _: "")  # the fakes' keys are none
    stage = Stage(tmp_path, environ={"XDG_STATE_HOME": str(tmp_path / 'a b%d "c')})
    try:
        asyncio.run(stage.up())
        argv = pipeline.ssh_argv(stage.world, ClusterName("app"), "m1")
    finally:
        for host in stage.hosts.values():
            host.end_processes()
    done = subprocess.run([*argv[:1], "-G", *argv[1:]], capture_output=True, text=True, timeout=30, check=True)
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    folder = stage.world.settings.state_dir / "clusters" / "app" / "ssh"
    assert told["userknownhostsfile"] == str(folder / "known_hosts")
    identity = told["identityfile"].replace("%%", "%")  # shown before its tokens are read
    assert identity == str(folder / "id_ed25519")
    assert told["stricthostkeychecking"] in {"true", "yes"}
