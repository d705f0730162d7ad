"""Undoing on a host: only what we made goes, in an order that can be cut anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.apply.wire import parse_reply
from tests.contract.wrapper.rig import Rig
from tests.fakes.hosts import PATHS

FILES = {"scripts/clean.sh": b"#!/bin/sh\n", "scripts/start.sh": b"#!/bin/sh\n", "etc/a": b"1"}


@pytest.fixture(autouse=True)
def _folders_of_every_machine(rig: Rig) -> None:
    for path in ("/run", "/var/lib"):
        rig.host.at(path).mkdir(parents=True)


def tree(rig: Rig) -> dict[str, bytes]:
    """Every folder and file of the host, with its content."""
    found = {}
    for path in sorted(rig.host.folder.rglob("*")):
        name = str(path.relative_to(rig.host.folder))
        found[name] = path.read_bytes() if path.is_file() else b""
    return found


def mount(*words: str, tool: str = "mount") -> None:
    subprocess.run([tool, *words], check=True)


async def remains(rig: Rig) -> Mapping[str, bytes]:
    result = await rig.call("remains")
    assert result.ok, result
    return parse_reply(result.stdout, "m1")


async def test_what_was_laid_goes_whole_and_the_machine_is_as_before(rig: Rig) -> None:
    before = tree(rig)
    await rig.lay(FILES)
    await rig.script("exit 0")
    assert (await rig.call("erase", "no")).ok
    assert tree(rig) == before


async def test_data_stays_unless_it_is_named(rig: Rig) -> None:
    await rig.lay(FILES)
    kept = rig.host.at(PATHS.data) / "kept"
    kept.write_text("x")
    assert (await rig.call("erase", "no")).ok
    files = [name for name in tree(rig) if rig.host.at(f"/{name}").is_file()]
    assert files == ["boot_id", "var/lib/sealer/data/app/data/kept"]


async def test_data_goes_where_it_is_named(rig: Rig) -> None:
    before = tree(rig)
    await rig.lay(FILES)
    (rig.host.at(PATHS.data) / "gone").write_text("x")
    assert (await rig.call("erase", "yes")).ok
    assert tree(rig) == before


async def test_folders_that_were_there_before_stay_though_they_are_empty(rig: Rig) -> None:
    rig.host.at("/var/lib/sealer").mkdir()
    before = tree(rig)
    await rig.lay(FILES)
    assert (await rig.call("erase", "no")).ok
    assert tree(rig) == before


async def test_what_others_put_beside_ours_stays(rig: Rig) -> None:
    await rig.lay(FILES)
    for path in ("/var/lib/sealer/data/theirs", "/var/lib/sealer/data/app/note", "/var/lib/sealer-cloud/app-zzzzzz/x"):
        rig.host.at(path).parent.mkdir(exist_ok=True)
        rig.host.at(path).write_text("theirs")
    assert (await rig.call("erase", "yes")).ok
    left = {name for name, body in tree(rig).items() if body == b"theirs"}
    assert left == {"var/lib/sealer/data/theirs", "var/lib/sealer/data/app/note", "var/lib/sealer-cloud/app-zzzzzz/x"}


async def test_a_folder_of_the_name_without_our_state_is_somebody_elses(rig: Rig) -> None:
    for name in ("rootfs.d/x", "data/x"):
        path = rig.host.at(PATHS.base) / name
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
    before = tree(rig)
    said = await remains(rig)
    assert (said["ours"], said["data"]) == (b"no", b"")
    assert (await rig.call("erase", "yes")).ok
    assert tree(rig) == before


async def test_it_may_be_repeated_and_cut_before_the_state_is_gone(rig: Rig) -> None:
    before = tree(rig)
    await rig.lay(FILES)
    shutil.rmtree(rig.host.at(PATHS.base) / "rootfs.d")  # as far as a killed one came
    assert (await remains(rig))["ours"] == b"yes"
    assert (await rig.call("erase", "no")).ok
    assert (await rig.call("erase", "no")).ok
    assert tree(rig) == before


async def test_a_look_tells_scripts_size_and_what_runs_and_changes_nothing(rig: Rig) -> None:
    await rig.lay(FILES)
    data = rig.host.at(PATHS.data)
    assert (await remains(rig))["data"] == b""
    (data / "big").write_bytes(b"x" * 300_000)
    before = tree(rig)
    said = await remains(rig)
    assert (said["ours"], said["clean"], said["starts"], said["open_runs"]) == (b"yes", b"yes", b"yes", b"")
    assert 290 <= int(said["data"]) <= 400
    assert tree(rig) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(("where", "delete"), [("rootfs", "no"), ("data", "yes")])
async def test_what_others_mounted_in_ours_is_never_removed(rig: Rig, tmp_path: Path, where: str, delete: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("precious")
    await rig.lay(FILES)
    point = rig.host.at(PATHS.base) / where / "mnt"
    point.mkdir()
    mount("--bind", str(theirs), str(point))
    try:
        result = await rig.call("erase", delete)
        assert (result.rc, b"still mounted" in result.stderr) == (80, True)
        assert (theirs / "file").read_text() == "precious"
        assert (await remains(rig))["ours"] == b"yes"
    finally:
        mount(str(point), tool="umount")
    assert (await rig.call("erase", "yes")).ok


async def test_data_that_is_a_link_is_measured_behind_it_and_goes_as_a_link_alone(rig: Rig) -> None:
    await rig.lay(FILES)
    disk = rig.host.at("/mnt")
    disk.mkdir()
    (disk / "big").write_bytes(b"x" * 300_000)
    rig.host.at(PATHS.data).rmdir()
    rig.host.at(PATHS.data).symlink_to(disk)
    (disk / "out").symlink_to(rig.folder)  # nor is a link in the data followed
    said = await remains(rig)
    assert 290 <= int(said["data"]) <= 400
    assert said["link"] == str(disk).encode()
    assert (await rig.call("erase", "yes")).ok
    assert not rig.host.at(PATHS.base).exists()
    assert sorted(p.name for p in disk.iterdir()) == ["big", "out"]
    assert (rig.folder / "archive").exists()


async def test_a_link_that_leads_nowhere_is_no_data_and_goes_too(rig: Rig) -> None:
    await rig.lay(FILES)
    rig.host.at(PATHS.data).rmdir()
    rig.host.at(PATHS.data).symlink_to("/nosuch")
    said = await remains(rig)
    assert (said["data"], said["link"]) == (b"", b"")
    assert (await rig.call("erase", "yes")).ok
    assert not rig.host.at(PATHS.base).exists()
