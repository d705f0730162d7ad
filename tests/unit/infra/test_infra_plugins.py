"""Plugins that are built from source: what is taken as built, and what is refused before anything is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import PreconditionError, UsageError
from provisioner.infra import plugins
from provisioner.infra.gobuild import Machine, check_machine
from provisioner.infra.plugins import PLUGIN_NEED, find_plugin, install_plugin, plugin_folder
from provisioner.settings import Settings, load_settings

GO = """#!/bin/sh
echo "$@" >>"$GO_CALLS"
case $1 in
  env) echo go1.99.0 ;;
  list) echo one; echo two ;;
  build)
    [ ! -e "$GO_FAILS" ] || { echo "no room on the moon"; exit 1; }
    while [ "$1" != -o ]; do shift; done
    echo plugin >"$2"; chmod 755 "$2" ;;
esac
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Folders of our own, and a Go that notes what it is asked."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    return load_settings(
        {
            "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{go.parent}:/usr/bin:/bin",
            "GO_CALLS": str(tmp_path / "calls"), "GO_FAILS": str(tmp_path / "fails"),
        }
    )  # fmt: skip


@pytest.fixture(autouse=True)
def big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "read_machine", lambda _folder: Machine(10**12, 10**12, 2))


def builds(tmp_path: Path) -> int:
    return sum(line.startswith("build") for line in (tmp_path / "calls").read_text().splitlines())


def test_built_once_and_again_when_the_recipe_or_the_go_is_another(settings: Settings, tmp_path: Path) -> None:
    assert find_plugin(settings.cache_dir, "alicloud") is None
    info = install_plugin(settings, lambda _event: None, "alicloud")
    assert info == find_plugin(settings.cache_dir, "alicloud")
    assert info.folder == plugin_folder(settings.cache_dir, "alicloud")
    assert (info.folder / "pulumi-resource-alicloud").read_text() == "plugin\n"
    install_plugin(settings, lambda _event: None, "alicloud")
    assert builds(tmp_path) == 1
    note = info.folder / "recipe.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "go": "go1.26"}))
    install_plugin(settings, lambda _event: None, "alicloud")
    assert builds(tmp_path) == 2


def test_a_build_that_fails_leaves_what_was_there(settings: Settings, tmp_path: Path) -> None:
    info = install_plugin(settings, lambda _event: None, "alicloud")
    (info.folder / "recipe.json").unlink()
    (tmp_path / "fails").touch()
    with pytest.raises(PreconditionError, match="no room on the moon"):
        install_plugin(settings, lambda _event: None, "alicloud")
    assert find_plugin(settings.cache_dir, "alicloud")
    assert not list(info.folder.parent.glob(".new-*"))


def test_a_small_machine_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"13 GB of disk .* and 6.6 GB of memory"):
        check_machine(Machine(PLUGIN_NEED.disk - 1, PLUGIN_NEED.memory - 1, 2), tmp_path, PLUGIN_NEED)
    check_machine(Machine(PLUGIN_NEED.disk, PLUGIN_NEED.memory, 1), tmp_path, PLUGIN_NEED)


def test_a_plugin_without_a_recipe_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(UsageError, match="aws"):
        install_plugin(settings, lambda _event: None, "aws")
