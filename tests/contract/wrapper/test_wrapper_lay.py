"""The rootfs and files on a host: whole or absent, verified before they have their name, never outside the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.apply.wire import ledger_fields
from provisioner.model.ids import HostName, StepId
from provisioner.model.steps import StepKind
from tests.contract.wrapper.rig import DIGEST, FIELDS, RUN, Rig
from tests.fakes.connection import FakeHost
from tests.fakes.hosts import PATHS

OTHER = "cd" * 32
THIRD = "ef" * 32
FILES = {"bin/tool": b"#!/bin/sh\necho hi\n", "etc/a.conf": b"a=1\n" * 1000, "empty": b""}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


async def test_rootfs_is_laid_whole_with_its_modes(rig: Rig) -> None:
    result = await rig.lay(FILES)
    assert result.ok, result
    assert {n: (rig.rootfs / n).read_bytes() for n in FILES} == FILES
    assert (rig.rootfs / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert rig.rootfs.stat().st_mode & 0o777 == 0o755
    facts = await rig.facts()
    assert facts.current == f"sha256:{DIGEST}"
    assert facts.digests == {f"sha256:{DIGEST}"}
    assert [(e.step, e.event, e.rc) for e in rig.ledger().entries] == [
        ("m1/rootfs/image", "intent", None),
        ("m1/rootfs/image", "result", 0),
    ]


async def test_previous_rootfs_stays_and_older_ones_go(rig: Rig) -> None:
    for digest in (DIGEST, OTHER, THIRD):
        assert (await rig.lay(FILES, digest)).ok
    assert names(rig.rootfs.parent / "rootfs.d") == [OTHER, THIRD]
    fields = ledger_fields_of_rootfs()
    assert (await rig.call("switch", OTHER, RUN, fields)).ok
    assert (await rig.facts()).current == f"sha256:{OTHER}"
    assert (await rig.call("switch", DIGEST, RUN, fields)).rc == 77


def ledger_fields_of_rootfs() -> str:
    return FIELDS.replace("m1/init/init.sh", "m1/rootfs/image").replace('"init"', '"rootfs"')


async def test_wrong_digest_lays_nothing(rig: Rig) -> None:
    from tests.contract.wrapper.rig import tar_of

    bad = {**FILES, "etc/a.conf": b"a=2\n" * 1000}
    result = await rig.lay(FILES, data=packed(rig, tar_of(bad)))
    assert result.rc == 72
    assert b"etc/a.conf" in result.stderr
    assert names(rig.rootfs.parent / "rootfs.d") == []
    assert rig.ledger().entries[-1].rc == 72


def packed(rig: Rig, data: bytes) -> bytes:
    import zstandard

    return zstandard.compress(data) if rig.host.path.endswith("/bin") else data


async def test_extra_file_is_refused(rig: Rig) -> None:
    from tests.contract.wrapper.rig import tar_of

    assert (await rig.lay(FILES, data=packed(rig, tar_of({**FILES, "more": b"x"})))).rc == 72


async def test_link_to_another_target_is_refused(rig: Rig) -> None:
    from tests.contract.wrapper.rig import tar_of

    rig.links = {"bin/sh": "tool", "etc/a b": "../no such"}
    result = await rig.lay(FILES, data=packed(rig, tar_of(FILES, {**rig.links, "etc/a b": "/etc/passwd"})))
    assert (result.rc, result.stderr) == (72, b"etc/a b: targets differ\n")
    assert (await rig.lay(FILES)).ok
    assert (rig.rootfs / "etc/a b").readlink() == Path("../no such")


@pytest.mark.parametrize("harm", ["cut", "link", "gone"])
async def test_rootfs_that_is_not_as_it_was_is_not_switched_to_but_laid_anew(rig: Rig, harm: str) -> None:
    rig.links = {"bin/sh": "tool"}
    for digest in (DIGEST, OTHER):
        assert (await rig.lay(FILES, digest)).ok
    broken = rig.rootfs.parent / "rootfs.d" / DIGEST
    if harm == "cut":
        (broken / "etc/a.conf").write_bytes(b"a=1")
    else:
        (broken / "bin/sh").unlink()
        if harm == "link":
            (broken / "bin/sh").symlink_to("/bin/sh")
    assert (await rig.call("switch", DIGEST, RUN, ledger_fields_of_rootfs())).rc == 72
    assert (await rig.facts()).current == f"sha256:{OTHER}"
    assert (await rig.lay(FILES)).ok
    assert (await rig.facts()).current == f"sha256:{DIGEST}"
    assert {n: (rig.rootfs / n).read_bytes() for n in FILES} == FILES
    assert (rig.rootfs / "bin/sh").readlink() == Path("tool")
    assert names(rig.rootfs.parent / "rootfs.d") == sorted([DIGEST, OTHER])
    lists = [n for n in names(rig.host.state(PATHS)) if n.startswith(("manifest", "links"))]
    assert lists == sorted(f"{what}.{digest}" for what in ("manifest", "links") for digest in (DIGEST, OTHER))
    assert (await rig.call("switch", OTHER, RUN, ledger_fields_of_rootfs())).ok


async def test_our_state_is_there_before_anything_has_the_clusters_name(tmp_path: Path) -> None:
    rig = Rig(FakeHost(HostName("m1"), tmp_path / "m1"), tmp_path)
    tools = tmp_path / "killed"
    tools.mkdir()
    (tools / "mkdir").write_text('#!/bin/sh\ncase $* in */rootfs.d*) kill -9 $PPID ;; esac\nexec /bin/mkdir "$@"\n')
    (tools / "mkdir").chmod(0o755)
    path = rig.host.path
    rig.host.path = f"{tools}:{path}"
    assert not (await rig.lay(FILES)).ok
    rig.host.path = path
    assert rig.host.at(PATHS.base).exists()
    assert not (await rig.facts()).name_taken
    assert (await rig.lay(FILES)).ok


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
async def test_cut_stream_lays_nothing_and_the_next_one_does(rig: Rig, share: float) -> None:
    from tests.contract.wrapper.rig import tar_of

    whole = packed(rig, tar_of(FILES))
    assert (await rig.lay(FILES, data=whole[: int(len(whole) * share)])).rc in {72, 73}
    assert not rig.rootfs.exists()
    assert (await rig.facts()).digests == frozenset()
    assert (await rig.lay(FILES)).ok


async def test_leftovers_of_a_dead_run_go(rig: Rig) -> None:
    dead = rig.rootfs.parent / "rootfs.d" / f"{DIGEST}.new-dead"
    (dead / "rootfs").mkdir(parents=True)
    assert (await rig.facts()).digests == frozenset()
    assert (await rig.lay(FILES)).ok
    assert names(rig.rootfs.parent / "rootfs.d") == [DIGEST]


async def test_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    rig = Rig(FakeHost(HostName("m1"), tmp_path / "m1"), tmp_path)
    rig.host.full_disk(full=True)
    result = await rig.lay(FILES)
    assert result.rc == 71
    assert names(rig.rootfs.parent / "rootfs.d") == []
    rig.host.full_disk(full=False)
    assert (await rig.lay(FILES)).ok


async def test_a_folder_in_place_of_the_link_is_left_alone(rig: Rig) -> None:
    rig.rootfs.mkdir(parents=True)
    (rig.rootfs / "theirs").touch()
    assert (await rig.lay(FILES)).rc == 76
    assert names(rig.rootfs) == ["theirs"]


async def put(rig: Rig, path: str, content: bytes, mode: str = "0644", length: int | None = None) -> int | None:
    fields = ledger_fields_of_file()
    size = len(content) if length is None else length
    return (await rig.call("put", path, mode, size, RUN, fields, stdin=content)).rc


def ledger_fields_of_file() -> str:
    from tests.fakes.hosts import author

    return ledger_fields(author(), StepId("m1/file/etc/app.conf"), StepKind.FILE, "33" * 32)


async def test_file_is_put_whole_with_its_mode(rig: Rig) -> None:
    await rig.lay(FILES)
    content = bytes(range(256)) * 300
    assert await put(rig, "etc/app.conf", content, "0600") == 0
    assert await put(rig, "new/folder/x", b"1") == 0
    target = rig.rootfs / "etc/app.conf"
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o600
    assert (rig.rootfs / "new/folder").stat().st_mode & 0o777 == 0o755
    assert names(rig.rootfs / "etc") == ["a.conf", "app.conf"]


async def test_cut_content_leaves_the_old_file(rig: Rig) -> None:
    await rig.lay(FILES)
    assert await put(rig, "etc/a.conf", b"a=", length=5) == 71
    assert (rig.rootfs / "etc/a.conf").read_bytes() == FILES["etc/a.conf"]
    assert names(rig.rootfs / "etc") == ["a.conf"]


async def test_what_killed_calls_left_of_a_file_goes(rig: Rig) -> None:
    await rig.lay(FILES)
    for left in (".app.conf.20261123T101010Z-bbbbbb.tmp", f".app.conf.{RUN}.tmp"):
        (rig.rootfs / "etc" / left).write_text("canary")
    (rig.rootfs / "etc/.app.conf.theirs.tmp").touch()
    assert await put(rig, "etc/app.conf", b"1", "0600") == 0
    assert names(rig.rootfs / "etc") == [".app.conf.theirs.tmp", "a.conf", "app.conf"]


@pytest.mark.parametrize("path", ["../x", "etc/../../x", "out/x", "out/deep/x", "etc/..", "", "/etc/x", "./x"])
async def test_path_out_of_the_rootfs_is_refused(rig: Rig, path: str) -> None:
    await rig.lay(FILES)
    outside = rig.folder / "outside"
    (outside / "deep").mkdir(parents=True)
    (rig.rootfs / "out").symlink_to(outside)
    before = sorted(str(p) for p in rig.host.at(PATHS.base).rglob("*"))
    assert await put(rig, path, b"x") == 78
    assert names(outside) == ["deep"]
    assert names(outside / "deep") == []
    assert sorted(str(p) for p in rig.host.at(PATHS.base).rglob("*")) == before


async def test_link_at_the_path_is_replaced_not_followed(rig: Rig) -> None:
    await rig.lay(FILES)
    outside = rig.folder / "outside"
    outside.write_bytes(b"theirs")
    (rig.rootfs / "etc/link").symlink_to(outside)
    assert await put(rig, "etc/link", b"ours") == 0
    assert outside.read_bytes() == b"theirs"
    assert not (rig.rootfs / "etc/link").is_symlink()


async def test_link_inside_the_rootfs_may_be_walked(rig: Rig) -> None:
    await rig.lay(FILES)
    (rig.rootfs / "conf").symlink_to("etc")
    assert await put(rig, "conf/x", b"1") == 0
    assert (rig.rootfs / "etc/x").read_bytes() == b"1"


async def test_nothing_is_put_before_a_rootfs_is_laid(rig: Rig) -> None:
    assert await put(rig, "etc/x", b"1") == 77
    assert not rig.host.state(PATHS).exists()
