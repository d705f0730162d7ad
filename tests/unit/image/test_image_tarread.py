"""The tar reader on well-formed archives, beside the stdlib's; and all that is refused."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.tarread import TarReader
from tests.fakes.tars import END, Member, directory, hardlink, pax, pax_record, read_all, symlink, tar

KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "link"}


def stdlib_tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, body, link in (
            ("dir", tarfile.DIRTYPE, b"", ""),
            ("dir/file", tarfile.REGTYPE, b"x" * 1000, ""),
            ("dir/block", tarfile.REGTYPE, b"y" * 512, ""),
            ("dir/empty", tarfile.REGTYPE, b"", ""),
            ("n" * 90 + "/" + "m" * 90, tarfile.REGTYPE, b"long", ""),
            ("ünï/код", tarfile.REGTYPE, b"names", ""),
            ("sym", tarfile.SYMTYPE, b"", "../t" if form == tarfile.USTAR_FORMAT else "../" + "t" * 150),
            ("hard", tarfile.LNKTYPE, b"", "dir/file"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.mode = kind, len(body), link, 0o4755
            info.uid, info.gid, info.mtime = 1000, 100, 1.5
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_same_as_the_stdlib_on_well_formed_archives(form: int) -> None:
    data = stdlib_tar(form)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [
            (
                m.name.encode(),
                KINDS[m.type],
                m.mode,
                m.uid,
                m.gid,
                m.size,
                m.linkname.encode(),
                body.read() if body else b"",
            )
            for m in archive
            for body in [archive.extractfile(m) if m.isreg() else None]
        ]
    found = [(h.name.rstrip(b"/"), *h[1:7], body) for h, body in read_all(data)]
    assert found == expected


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7", "oldgnu"])
def test_gnu_tar_in_every_format(tmp_path: Path, form: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(os.urandom(3000))
    (tmp_path / "d" / ("n" * 80)).write_bytes(b"1")
    (tmp_path / "d" / "link").symlink_to("file")
    (tmp_path / "d" / "hard").hardlink_to(tmp_path / "d" / "file")
    data = subprocess.run(["tar", "-C", tmp_path, f"--format={form}", "-cf", "-", "d"], check=True, capture_output=True)
    found = read_all(data.stdout)
    assert {h.name.rstrip(b"/") for h, _ in found} == {b"d", b"d/file", b"d/" + b"n" * 80, b"d/link", b"d/hard"}
    assert sorted(h.kind for h, _ in found) == ["dir", "file", "file", "link", "symlink"]


def test_bodies_that_nobody_reads_are_skipped() -> None:
    reader = TarReader(io.BytesIO(tar(Member(b"a", b"x" * 700), Member(b"b", b"y" * 3))), "layer")
    assert [h.name for h in reader] == [b"a", b"b"]


def test_a_pax_size_counts_once_and_only_where_the_header_leaves_it_open() -> None:
    header = Member(b"a", b"12345", size=0)
    assert read_all(tar(pax({b"size": b"5"}), header))[0][1] == b"12345"
    with pytest.raises(ImageError, match="two readers"):
        read_all(tar(pax({b"size": b"5"}), Member(b"a", b"12345678", size=8)))
    twice = tar(pax({b"size": b"5"}), header, Member(b"b", b"x"))
    assert [(h.name, body) for h, body in read_all(twice)] == [(b"a", b"12345"), (b"b", b"x")]


def test_numbers_beyond_octal() -> None:
    raw = b"\x80" + (5).to_bytes(11, "big")
    assert read_all(tar(Member(b"a", b"12345", raw_size=raw)))[0][1] == b"12345"


def test_a_global_comment_is_harmless() -> None:
    data = tar(pax({b"comment": b"commit"}, kind=b"g"), Member(b"a", b"x"))
    assert [h.name for h, _ in read_all(data)] == [b"a"]


def test_attribute_names_are_kept_for_the_plan() -> None:
    data = tar(pax({b"SCHILY.xattr.security.capability": b"\x01\x00"}), Member(b"a"))
    assert read_all(data)[0][0].xattrs == (b"security.capability",)


def test_an_archive_without_an_end_mark_may_end_at_a_header() -> None:
    assert len(read_all(tar(Member(b"a", b"x"), end=b""))) == 1
    assert read_all(b"") == []


REFUSED = {
    "negative size": Member(b"a", raw_size=b"\xff" * 12),
    "size beyond any limit": Member(b"a", raw_size=b"\x80" + b"\xff" * 11),
    "size with letters": Member(b"a", raw_size=b"0000000000x\0"),
    "size with a minus": Member(b"a", raw_size=b"-0000000001\0"),
    "wrong checksum": Member(b"a", checksum=b"000001\0 "),
    "empty checksum": Member(b"a", checksum=b" " * 8),
    "character device": Member(b"a", kind=b"3"),
    "block device": Member(b"a", kind=b"4"),
    "fifo": Member(b"a", kind=b"6"),
    "old GNU sparse": Member(b"a", kind=b"S"),
    "multi-volume": Member(b"a", kind=b"M"),
    "unknown type": Member(b"a", kind=b"Z"),
    "directory with a body": Member(b"a", b"x", kind=b"5"),
    "symlink with a body": Member(b"a", b"x", kind=b"2", link=b"b"),
    "hardlink with a body": Member(b"a", b"x", kind=b"1", link=b"b"),
    "old-style directory": Member(b"a/", kind=b"\0"),
    "uid of 2^31": Member(b"a", uid=1 << 31),
    "gid of 2^31": Member(b"a", gid=1 << 31),
    "PAX uid of 2^31": pax({b"uid": b"2147483648"}) + Member(b"a").to_bytes(),
    "PAX uid with letters": pax({b"uid": b"-1"}) + Member(b"a").to_bytes(),
    "PAX size with a minus": pax({b"size": b"-5"}) + Member(b"a").to_bytes(),
    "PAX size of a million digits": pax({b"size": b"9" * 1_000_000}) + Member(b"a").to_bytes(),
    "PAX sparse": pax({b"GNU.sparse.major": b"1"}) + Member(b"a").to_bytes(),
    "PAX sparse name": pax({b"GNU.sparse.name": b"b"}) + Member(b"a").to_bytes(),
    "unknown PAX record": pax({b"EVIL.key": b"1"}) + Member(b"a").to_bytes(),
    "PAX key twice": pax(pax_record(b"path", b"b") + pax_record(b"path", b"c")) + Member(b"a").to_bytes(),
    "two PAX headers": pax({b"path": b"b"}) + pax({b"uid": b"1"}) + Member(b"a").to_bytes(),
    "two empty PAX headers": pax({}) + pax({}) + Member(b"a").to_bytes(),
    "PAX and GNU name": pax({b"path": b"b"}) + Member(b"L", b"c\0", kind=b"L").to_bytes() + Member(b"a").to_bytes(),
    "two GNU names": Member(b"L", b"c\0", kind=b"L").to_bytes() * 2 + Member(b"a").to_bytes(),
    "PAX record too long": pax(b"99 path=b\n") + Member(b"a").to_bytes(),
    "PAX record too short": pax(b"3 path=b\n") + Member(b"a").to_bytes(),
    "PAX record without =": pax(b"8 path2\n") + Member(b"a").to_bytes(),
    "PAX record without a key": pax(b"5 =b\n") + Member(b"a").to_bytes(),
    "PAX without length": pax(b"path=b\n") + Member(b"a").to_bytes(),
    "PAX without line end": pax(b"9 path=bb") + Member(b"a").to_bytes(),
    "global path": pax({b"path": b"b"}, kind=b"g") + Member(b"a").to_bytes(),
    "global size": pax({b"size": b"1"}, kind=b"g") + Member(b"a").to_bytes(),
    "extension at the end": pax({b"path": b"b"}),
    "cut in a header": Member(b"a").to_bytes()[:300],
    "cut in a body": Member(b"a", b"x" * 2000).to_bytes()[:1024],
    "cut in the padding": Member(b"a", b"x").to_bytes()[:513],
    "bytes after the end mark": END + Member(b"b").to_bytes(),
    "size behind a NUL": Member(b"a", b"body", raw_size=b"\0%010o\0" % 4),
    "noise": b"\x01" * 512,
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    part = REFUSED[case]
    with pytest.raises(ImageError) as caught:
        read_all(tar(part) if isinstance(part, Member) else part + (b"" if "cut" in case else END))
    assert caught.value.exit_code == 4
    assert "layer" in caught.value.message


def test_header_claims_allocate_nothing() -> None:
    """A 1.5 kB archive whose extension header claims 2 GiB (the stdlib asks for all of it at once)."""
    for kind in (b"x", b"L", b"K", b"g"):
        data = tar(Member(b"x", b"", kind=kind, size=(1 << 31) - 512))
        tracemalloc.start()
        with pytest.raises(ImageError, match="limit"):
            read_all(data)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
        tracemalloc.stop()


def test_extension_limit_on_both_sides() -> None:
    def named(size: int) -> bytes:
        return tar(Member(b"L", b"n" * size, kind=b"L"), Member(b"a"))

    assert len(read_all(named(limits.HEADER))[0][0].name) == limits.HEADER
    with pytest.raises(ImageError, match="limit"):
        read_all(named(limits.HEADER + 1))


def test_owner_limit_on_both_sides() -> None:
    assert read_all(tar(Member(b"a", uid=limits.OWNER)))[0][0].uid == limits.OWNER
    with pytest.raises(ImageError, match="limit"):
        read_all(tar(Member(b"a", uid=limits.OWNER + 1)))


def test_links_and_directories_are_read() -> None:
    found = read_all(tar(directory(b"d/"), symlink(b"s", b"t"), hardlink(b"h", b"d/x")))
    assert [(h.name, h.kind, h.link) for h, _ in found] == [
        (b"d/", "dir", b""),
        (b"s", "symlink", b"t"),
        (b"h", "link", b"d/x"),
    ]
