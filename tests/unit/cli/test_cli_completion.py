"""Completion in real shells and from files alone: no engine, no error in anybody's prompt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli.complete import cluster_names, host_names, image_references
from provisioner.cli.main import main
from provisioner.model.grammar import BUILT_PROVIDERS
from provisioner.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings({"HOME": str(tmp_path)})
    for name in ("etcd", "shop"):
        (settings.state_dir / "clusters" / name).mkdir(parents=True)
    stacks = settings.state_dir / "backend" / ".pulumi" / "stacks" / "sealer-cloud"
    stacks.mkdir(parents=True)
    resources = [
        {"urn": f"urn:pulumi:etcd::sealer-cloud::sealer:local:Host::{h}", "type": "sealer:local:Host"}
        for h in ("m2", "m1")
    ]
    resources.append(
        {"urn": "urn:pulumi:etcd::sealer-cloud::sealer:index:Intent::intent", "type": "sealer:index:Intent"}
    )
    state = {"version": 3, "checkpoint": {"stack": "etcd", "latest": {"resources": resources}}}
    (stacks / "etcd.json").write_text(json.dumps(state))
    settings.images_dir.mkdir(parents=True)
    note = {"org.opencontainers.image.ref.name": "etcd:v1"}
    (settings.images_dir / "index.json").write_text(json.dumps({"manifests": [{"annotations": note}, {}]}))
    return settings


def test_names_come_from_files(settings: Settings) -> None:
    assert cluster_names(settings) == ["etcd", "shop"]
    assert host_names(settings, "etcd") == ["m1", "m2"]
    assert host_names(settings, "shop") == []
    assert host_names(settings, "../etcd") == []
    assert image_references(settings) == ["etcd:v1"]


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[]", b"\xff", b'{"checkpoint": 3}', b'{"checkpoint": {"latest": {"resources": [1]}}}']
)
def test_broken_files_offer_nothing_and_say_nothing(broken: bytes, settings: Settings) -> None:
    (settings.state_dir / "backend" / ".pulumi" / "stacks" / "sealer-cloud" / "etcd.json").write_bytes(broken)
    (settings.images_dir / "index.json").write_bytes(broken)
    assert host_names(settings, "etcd") == []
    assert image_references(settings) == []
    assert cluster_names(None) == []


def complete(settings: Settings, words: list[str]) -> list[str]:
    """What bash would offer for the last of `words`."""
    program = Path(sys.executable).with_name("sealer-cloud")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state_dir.parents[2]),
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_SEALER_CLOUD_COMPLETE": "complete_bash",
    }
    run = subprocess.run([str(program)], env=env, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    return run.stdout.split()


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["sealer-cloud", "sta"], ["status"]),
        (["sealer-cloud", "status", ""], ["etcd", "shop"]),
        (["sealer-cloud", "ssh", "etcd", "m"], ["m1", "m2"]),
        (["sealer-cloud", "exec", "etcd", "--host", ""], ["m1", "m2"]),
        (["sealer-cloud", "up", "e"], ["etcd:v1"]),
        (["sealer-cloud", "up", "-n", "s"], ["shop"]),
        (["sealer-cloud", "up", "--provider", ""], sorted(BUILT_PROVIDERS)),
        (["sealer-cloud", "plan", "-o", "m"], ["markdown"]),
        (["sealer-cloud", "image", "r"], ["rm"]),
        (["sealer-cloud", "down", "--allow"], []),
    ],
)
def test_bash_is_offered_commands_names_hosts_and_images(
    words: list[str], offers: list[str], settings: Settings
) -> None:
    assert complete(settings, words) == offers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_read_by_their_shells(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "sealer-cloud" in script
    assert "_SEALER_CLOUD_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
