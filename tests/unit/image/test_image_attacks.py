"""Hostile archives, named by attack (reference cases F2 to F8): refused, or kept inside, as the tables say."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from provisioner.errors import ImageError
from provisioner.image import ImageStore, limits
from provisioner.image.layers import LayerStream
from provisioner.model.images import Changeset, Codec
from tests.fakes.tars import Layout, Member, directory, hardlink, pax, symlink, tar


def changes_of(tmp_path: Path, *layers: bytes, codec: str = "plain") -> Changeset:
    Layout(tmp_path / "images").image("bad:v1", layers, codec)
    store = ImageStore(tmp_path / "images")
    return store.changeset(store.resolve("bad:v1"))


def paths(changes: Changeset) -> list[str]:
    return sorted(entry.path for entry in changes.entries)


def with_name(name: bytes) -> bytes:
    return tar(pax({b"path": name}), Member(b"x", b"body"))


# F2: names

REFUSED_NAMES = {
    "upwards": b"../x",
    "upwards in the middle": b"a/../../x",
    "upwards that stays inside": b"a/../x",
    "upwards at the end": b"a/..",
    "absolute": b"/etc/passwd",
    "absolute twice": b"//etc/passwd",
    "empty": b"",
    "the root as a file": b"./",
    "the root as a file, bare": b".",
    "NUL": b"a\0b",
    "newline": b"a\nb",
    "escape character": b"a\x1b[2J",
    "delete character": b"a\x7f",
    "not UTF-8": b"a\xff",
    "half a surrogate": b"\xed\xa0\x80",
    "trailing slash on a file": b"a/",
    "a single dash": b"-",
    "a part too long": b"n" * (limits.COMPONENT + 1),
    "too long": b"/".join([b"n" * 200] * 21),
    "too many parts": b"/".join([b"n"] * (limits.DEPTH + 1)),
}


@pytest.mark.parametrize("case", REFUSED_NAMES)
def test_name_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        changes_of(tmp_path, with_name(REFUSED_NAMES[case]))
    assert caught.value.exit_code == 4
    assert caught.value.message.isprintable()


NORMALISED = {
    b"./a": "a",
    b"a//b": "a/b",
    b"a/./b": "a/b",
    b".//./a": "a",
    b"a\\b": "a\\b",
    b" ": " ",
    b"...": "...",
    b"--x": "--x",
    b"n" * limits.COMPONENT: "n" * limits.COMPONENT,
    "é/ж".encode(): "é/ж",
}


@pytest.mark.parametrize("name", NORMALISED)
def test_name_normalised(name: bytes, tmp_path: Path) -> None:
    assert NORMALISED[name] in paths(changes_of(tmp_path, with_name(name)))


def test_name_length_on_both_sides(tmp_path: Path) -> None:
    longest = b"/".join([b"n" * 255] * 16)
    assert len(longest) == limits.NAME - 1
    assert longest.decode() in paths(changes_of(tmp_path / "a", with_name(longest)))
    with pytest.raises(ImageError, match="longer"):
        changes_of(tmp_path / "b", with_name(longest + b"/n"))


# F3: through a symlink

THROUGH = {
    "same layer": [tar(symlink(b"a", b"/etc"), Member(b"a/passwd", b"x"))],
    "later layer": [tar(symlink(b"a", b"/etc")), tar(Member(b"a/passwd", b"x"))],
    "a directory below it": [tar(symlink(b"a", b".")), tar(directory(b"a/b/"))],
    "two steps": [tar(symlink(b"a", b"b"), symlink(b"b", b"/"), Member(b"a/x", b"x"))],
    "a symlink below a symlink": [tar(symlink(b"a", b"/tmp"), symlink(b"a/b", b"/etc"))],
    "a hardlink below a symlink": [tar(Member(b"f", b"x"), symlink(b"a", b"/tmp"), hardlink(b"a/b", b"f"))],
    "below a file": [tar(Member(b"a", b"x"), Member(b"a/b", b"x"))],
    "below a file of a lower layer": [tar(Member(b"a", b"x")), tar(Member(b"a/b", b"x"))],
    "root replaced by a symlink": [tar(symlink(b".", b"/")), tar(Member(b"x", b"x"))],
    "root replaced by a symlink, ./": [tar(symlink(b"./", b"/"))],
    "root replaced by a hardlink": [tar(Member(b"f", b"x"), hardlink(b".", b"f"))],
    "root replaced by a file": [tar(Member(b".", b"x"))],
}


@pytest.mark.parametrize("case", THROUGH)
def test_symlinks_are_never_followed(case: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refused"):
        changes_of(tmp_path, *THROUGH[case])


def test_symlinks_are_kept_as_data(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, tar(symlink(b"a", b"/etc/../../x"), symlink(b"b", b"b")))
    assert {e.path: e.target for e in changes.entries} == {"a": "/etc/../../x", "b": "b"}


@pytest.mark.parametrize("target", [b"", b"a\0b", b"a\nb", b"\xff", b"n" * (limits.NAME + 1)])
def test_symlink_target_refused(target: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        changes_of(tmp_path, tar(pax({b"linkpath": target}), symlink(b"a", b"")))


def test_a_link_replaced_by_a_directory_is_a_directory(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, tar(symlink(b"a", b"/etc")), tar(directory(b"a/"), Member(b"a/x", b"x")))
    assert paths(changes) == ["a", "a/x"]


def test_a_directory_replaced_by_a_link_takes_its_children_along(tmp_path: Path) -> None:
    changes = changes_of(tmp_path, tar(directory(b"a/"), Member(b"a/x", b"x")), tar(symlink(b"a", b"/etc")))
    assert paths(changes) == ["a"]


# F4: hardlinks

HARDLINKS = {
    "outside, upwards": [tar(hardlink(b"a", b"../../etc/passwd"))],
    "outside, absolute": [tar(hardlink(b"a", b"/etc/passwd"))],
    "to nothing": [tar(hardlink(b"a", b"b"))],
    "to the root": [tar(hardlink(b"a", b"."))],
    "to an empty name": [tar(hardlink(b"a", b""))],
    "to a symlink": [tar(symlink(b"s", b"/etc/passwd"), hardlink(b"a", b"s"))],
    "through a symlink": [tar(Member(b"d/f", b"x"), symlink(b"s", b"d"), hardlink(b"a", b"s/f"))],
    "to a directory": [tar(directory(b"d/"), hardlink(b"a", b"d"))],
    "to something later": [tar(hardlink(b"a", b"f"), Member(b"f", b"x"))],
    "to a whiteout": [tar(Member(b"f", b"x")), tar(Member(b".wh.f"), hardlink(b"a", b".wh.f"))],
    "to a file that the layer hides": [tar(Member(b"f", b"x")), tar(hardlink(b"a", b"f"), Member(b".wh.f"))],
}


@pytest.mark.parametrize("case", HARDLINKS)
def test_hardlink_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refused"):
        changes_of(tmp_path, *HARDLINKS[case])


def test_hardlinks_become_copies_with_content_from_inside(tmp_path: Path) -> None:
    layers = [
        tar(Member(b"f", b"content", mode=0o750), hardlink(b"g", b"./f")),
        tar(hardlink(b"scripts/h.sh", b"g"), Member(b"f", b"new")),
    ]
    Layout(tmp_path / "images").image("ok:v1", layers, "gzip")
    store = ImageStore(tmp_path / "images")
    image = store.resolve("ok:v1")
    changes = store.changeset(image)
    by_path = {entry.path: entry for entry in changes.entries}
    assert by_path["g"].digest == by_path["scripts/h.sh"].digest != by_path["f"].digest
    assert (by_path["scripts/h.sh"].mode, changes.total) == (0o750, 7 + 7 + 3)
    assert changes.texts == {"scripts/h.sh": b"content"}
    archive = store.write_archive(image, changes, Codec.PLAIN, tmp_path / "a.tar")
    assert archive.total == changes.total
    assert archive.path.read_bytes().count(b"content") == 2


# F5: whiteouts

WHITEOUTS = {
    "bare": b".wh.",
    "of the root": b".wh..",
    "of the parent": b".wh...",
    "of the parent, deeper": b"a/.wh...",
    "of a whiteout": b".wh..wh.a",
    "aufs metadata": b".wh..wh.plnk",
    "as a folder": b".wh.a/b",
    "as a folder, deeper": b"a/.wh.b/c",
}


@pytest.mark.parametrize("case", WHITEOUTS)
def test_malformed_whiteout_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="malformed whiteout"):
        changes_of(tmp_path, tar(Member(b"a/b/c", b"x")), tar(Member(WHITEOUTS[case])))


@pytest.mark.parametrize("member", [directory(b".wh.a/"), symlink(b".wh.a", b"b"), Member(b".wh.a", b"body")])
def test_a_whiteout_is_an_empty_file(member: Member, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="malformed whiteout"):
        changes_of(tmp_path, tar(Member(b"a", b"x")), tar(member))


@pytest.mark.parametrize("name", [b"s/.wh.x", b"s/.wh..wh..opq", b"s/t/.wh.x"])
def test_whiteout_through_a_symlink_refused(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no directory"):
        changes_of(tmp_path, tar(symlink(b"s", b"/etc"), Member(b"x", b"x")), tar(Member(name)))


@pytest.mark.parametrize("first", [True, False])
def test_whiteouts_hide_lower_layers_only_wherever_they_stand(first: bool, tmp_path: Path) -> None:
    lower = tar(Member(b"d/a", b"1"), Member(b"d/b", b"2"), Member(b"e", b"3"))
    own = [Member(b"d/b", b"new"), Member(b"d/c", b"4")]
    marks = [Member(b"d/.wh..wh..opq"), Member(b".wh.e"), Member(b".wh.nothing"), Member(b"no/.wh.thing")]
    upper = tar(*marks, *own) if first else tar(*own, *marks)
    changes = changes_of(tmp_path, lower, upper)
    assert paths(changes) == ["d", "d/b", "d/c"]
    assert changes.total == 4


def test_an_opaque_root_hides_everything_lower(tmp_path: Path) -> None:
    assert paths(changes_of(tmp_path, tar(Member(b"a/b", b"x")), tar(Member(b".wh..wh..opq"), Member(b"c")))) == ["c"]


def test_a_whiteout_in_the_lowest_layer_hides_nothing(tmp_path: Path) -> None:
    assert paths(changes_of(tmp_path, tar(Member(b"a", b"x"), Member(b".wh.a")))) == ["a"]


# F6: devices, bits, owners, attributes


@pytest.mark.parametrize("kind", [b"3", b"4", b"6"])
def test_devices_and_fifos_refused(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="only directories"):
        changes_of(tmp_path, tar(Member(b"dev/x", kind=kind)))


def test_what_policy_drops_is_listed(tmp_path: Path) -> None:
    capability = pax({b"SCHILY.xattr.security.capability": b"\1", b"SCHILY.xattr.trusted.overlay.opaque": b"y"})
    changes = changes_of(
        tmp_path,
        tar(
            Member(b"su", b"x", mode=0o4755),
            Member(b"sg", b"x", mode=0o6711),
            Member(b"tmp", kind=b"5", mode=0o1777),
            Member(b"mine", b"x", uid=1000, gid=limits.OWNER),
            capability,
            Member(b"cap", b"x"),
        ),
    )
    assert {entry.path: entry.mode for entry in changes.entries} == {
        "su": 0o755, "sg": 0o711, "tmp": 0o777, "mine": 0o644, "cap": 0o644
    }  # fmt: skip
    assert changes.dropped == (
        "setuid and setgid of sg",
        "setuid of su",
        "sticky of tmp",
        f"owner 1000:{limits.OWNER} of 1 entry",
        "attribute security.capability of 1 entry",
        "attribute trusted.overlay.opaque of 1 entry",
    )


def test_what_is_dropped_is_told_in_a_bounded_number_of_lines(tmp_path: Path) -> None:
    members = [Member(b"f%d" % n, mode=0o4755, uid=n + 1) for n in range(1000)]
    dropped = changes_of(tmp_path, tar(*members)).dropped
    assert "special mode bits of 800 more" in dropped
    assert len(dropped) <= 401


# F7: bombs


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all pieces that leave the decompressor from here on; one that is refused does not leave it."""
    taken: list[int] = []
    read = LayerStream.read

    def count(self: LayerStream, size: int, /) -> bytes:
        piece = read(self, size)
        taken.append(len(piece))
        return piece

    monkeypatch.setattr(LayerStream, "read", count)
    return taken


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_decompression_bomb_refused_early(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = tar(Member(b"zeros", bytes(200 << 20)))
    Layout(tmp_path / "images").image("bomb:v1", [layer], codec)
    del layer
    store = ImageStore(tmp_path / "images")
    image = store.resolve("bomb:v1")
    taken = counting(monkeypatch)
    tracemalloc.start()
    with pytest.raises(ImageError, match="decompression bomb"):
        store.changeset(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(taken) <= max(limits.RATIO_FLOOR, limits.RATIO * image.layers[0].size) < 100 << 20
    assert peak < 64 << 20


def test_small_trees_of_zeros_are_honest(tmp_path: Path) -> None:
    body = bytes(limits.RATIO_FLOOR - 4096)
    assert changes_of(tmp_path, tar(Member(b"zeros", body)), codec="zstd").total == len(body)


def test_too_many_entries_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENTRIES", 10)
    layers = [tar(*(Member(b"f%d" % n) for n in range(5)))] * 2
    assert len(changes_of(tmp_path / "a", *layers).entries) == 5
    with pytest.raises(ImageError, match="limit of 10"):
        changes_of(tmp_path / "b", *layers, tar(Member(b"g")))
    with pytest.raises(ImageError, match="limit of 10"):
        changes_of(tmp_path / "c", tar(*(Member(b"f%d" % n) for n in range(11))))


def test_directories_that_names_imply_count_as_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENTRIES", 10)
    deep = [Member(b"%d/a/b/c/f" % n) for n in range(2)]
    assert len(changes_of(tmp_path / "a", tar(*deep)).entries) == 10
    with pytest.raises(ImageError, match="and their folders: 11 is above the limit of 10"):
        changes_of(tmp_path / "b", tar(*deep, Member(b"x")), tar(Member(b"y/f")))


def test_long_names_have_a_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NAMES", 40)
    layers = [tar(Member(b"n" * 20)), tar(symlink(b"s" * 10, b"t" * 10))]
    assert len(changes_of(tmp_path / "a", *layers).entries) == 2
    with pytest.raises(ImageError, match="link targets: 41 is above the limit of 40"):
        changes_of(tmp_path / "b", *layers, tar(Member(b"x")))
    with pytest.raises(ImageError, match="characters of all paths: 49 is above the limit of 40"):
        changes_of(tmp_path / "c", tar(Member(b"/".join([b"n"] * 7))))  # 13 characters, and its folders' 36


def test_many_empty_headers_are_a_bomb_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATIO_FLOOR", 1 << 20)
    header = Member(b"f").to_bytes()
    taken = counting(monkeypatch)
    with pytest.raises(ImageError, match="decompression bomb"):
        changes_of(tmp_path, header * 10_000, codec="zstd")
    assert 0 < sum(taken) <= limits.RATIO_FLOOR


def test_nested_compression_is_just_a_file(tmp_path: Path) -> None:
    import gzip

    inner = gzip.compress(bytes(1 << 20))
    assert changes_of(tmp_path, tar(Member(b"inner.gz", inner)), codec="gzip").total == len(inner)


def test_texts_have_a_limit_on_both_sides(tmp_path: Path) -> None:
    import os

    body = os.urandom(limits.TEXT)
    ok = changes_of(tmp_path / "a", tar(Member(b"a.tmpl", body), Member(b"scripts/tool", body + b"x")))
    assert list(ok.texts) == ["a.tmpl"]
    for name in (b"a.tmpl", b"scripts/init.sh"):
        with pytest.raises(ImageError, match="limit"):
            changes_of(tmp_path / name.decode(), tar(Member(name, body + b"x")))


# F8: two readers, two archives


def test_pax_size_against_header_size_refused(tmp_path: Path) -> None:
    hidden = Member(b"hidden", b"x").to_bytes()
    smuggled = tar(pax({b"size": b"0"}), Member(b"outer", hidden))
    with pytest.raises(ImageError, match="two readers"):
        changes_of(tmp_path, smuggled)
