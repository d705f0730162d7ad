"""The stream that hosts get: read by GNU tar, busybox and the stdlib alike; whole or not there."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import ImageError, PreconditionError
from provisioner.image import archive, tarwrite
from provisioner.image.archive import manifest_of, write_stream
from provisioner.model.ids import Digest
from provisioner.model.images import Codec, Entry, EntryKind

NAMES = [
    "a",
    "d/b",
    "d/" + "n" * 97,
    "d/" + "n" * 98,
    "d/" + "n" * 99,
    "é/ж/" + "я" * 100,
    "b\\x2d.slice",
    " lead",
    "--x",
]


def entry_of(path: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, EntryKind.FILE, mode, len(data), Digest("sha256:" + hashlib.sha256(data).hexdigest()))


def tree() -> tuple[list[Entry], dict[str, bytes]]:
    bodies = {name: name.encode() * (7 * n + 1) for n, name in enumerate(NAMES)} | {"empty": b"", "block": b"x" * 512}
    dirs = sorted({path.rsplit("/", 1)[0] for path in bodies if "/" in path} | {"é", "m" * 120})
    entries = [Entry(path, EntryKind.DIR, 0o755) for path in dirs]
    entries += [entry_of(path, data, 0o755) for path, data in sorted(bodies.items())]
    entries += [Entry(f"l{n}", EntryKind.SYMLINK, 0o777, target="t" * n) for n in (1, 99, 100, 101, 300)]
    return entries, bodies


def write(target: Path, codec: Codec = Codec.PLAIN) -> tuple[list[Entry], dict[str, bytes], bytes]:
    entries, bodies = tree()
    files = [entry for entry in entries if entry.kind is EntryKind.FILE]
    done = write_stream(entries, (([e], iter([bodies[e.path]])) for e in files), codec, target)
    assert done.total == sum(map(len, bodies.values()))
    return entries, bodies, done.manifest


@pytest.mark.parametrize("tool", ["tar", "busybox tar"])
def test_every_tar_reads_it_and_every_sha256sum_agrees(
    tmp_path: Path, tool: str, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{busybox}")
    entries, bodies, manifest = write(tmp_path / "a.tar")
    root = tmp_path / "root"
    root.mkdir()
    done = subprocess.run([*tool.split(), "-x", "-f", tmp_path / "a.tar", "-C", root], check=True, capture_output=True)
    assert done.stderr == b""
    checker = ["busybox", "sha256sum"] if tool.startswith("busybox") else ["sha256sum", "--strict"]
    (tmp_path / "manifest").write_bytes(manifest)
    subprocess.run([*checker, "-c", tmp_path / "manifest"], cwd=root, check=True, capture_output=True)
    assert {str(p.relative_to(root)) for p in root.rglob("*")} == {entry.path for entry in entries}
    for name, data in bodies.items():
        assert (root / name).read_bytes() == data
        assert (root / name).stat().st_mode & 0o7777 == 0o755


def test_the_stdlib_sees_nothing_but_what_is_allowed(tmp_path: Path) -> None:
    entries, _, _ = write(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as found:
        members = found.getmembers()
    assert [m.name for m in members] == [e.path for e in entries]
    assert {m.type for m in members} == {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", tarwrite.MTIME)}
    assert [m.linkname for m in members if m.issym()] == [e.target for e in entries if e.target]
    assert (tmp_path / "a.tar").stat().st_size % tarwrite.RECORD == 0


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for codec in Codec:
        write(tmp_path / "a", codec)
        write(tmp_path / "b", codec)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sizes_beyond_octal_are_readable() -> None:
    entry = Entry("big", EntryKind.FILE, 0o644, 9 << 30)
    assert tarfile.TarInfo.frombuf(tarwrite.header(entry), "utf-8", "strict").size == 9 << 30


def test_a_backslash_is_written_as_it_is() -> None:
    assert manifest_of([entry_of("b\\x", b"")]).endswith(b"  b\\x\n")


@pytest.mark.parametrize("body", [b"othr", b"longer", b"sho", b""])
def test_bytes_that_are_not_what_the_list_says(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ImageError, match="file list"):
        write_stream([entry_of("f", b"true")], [([entry_of("f", b"true")], iter([body]))], Codec.ZSTD, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_failure_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ImageError):
        write_stream([entry_of("f", b"x")], [], Codec.PLAIN, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_a_precondition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive._Coded, "close", full)
    with pytest.raises(PreconditionError, match="No space left") as caught:
        write_stream([], [], Codec.PLAIN, tmp_path / "a")
    assert (caught.value.exit_code, list(tmp_path.iterdir())) == (12, [])


def test_no_folder_is_a_precondition(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError):
        write_stream([], [], Codec.PLAIN, tmp_path / "none" / "a")


def test_memory_stays_bounded(tmp_path: Path) -> None:
    piece = bytes(1 << 20)
    hasher = hashlib.sha256()
    for _ in range(64):
        hasher.update(piece)
    big = Entry("big", EntryKind.FILE, 0o644, 64 << 20, Digest("sha256:" + hasher.hexdigest()))

    def body() -> Iterator[bytes]:
        for _ in range(64):
            yield piece

    tracemalloc.start()
    copies = [big, Entry("copy", EntryKind.FILE, 0o644, big.size, big.digest)]
    done = write_stream(copies, [(copies, body())], Codec.ZSTD, tmp_path / "a")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert done.total == 128 << 20


def test_no_entries_is_an_empty_archive(tmp_path: Path) -> None:
    done = write_stream([], [], Codec.PLAIN, tmp_path / "a")
    assert (done.manifest, done.total) == (b"", 0)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "a").read_bytes())) as found:
        assert found.getmembers() == []
