"""The cached file list: used when nothing changed, never trusted when something did."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.errors import ImageError
from provisioner.image import ImageStore, layers
from provisioner.image.cache import ChangesetCache
from provisioner.model.images import Changeset, PinnedImage
from tests.fakes.tars import Layout, Member, symlink, tar

LAYER = tar(
    Member(b"bin/tool", b"\x7fELF" * 100, mode=0o4755, uid=7),
    Member(b"etc/a.tmpl", b"{{ .X }}\n"),
    Member(b"scripts/init.sh", b"#!/bin/sh\n", mode=0o755),
    symlink(b"lib", b"usr/lib"),
)


@pytest.fixture
def image(tmp_path: Path) -> PinnedImage:
    Layout(tmp_path / "images").image("app:v1", [LAYER])
    return ImageStore(tmp_path / "images").resolve("app:v1")


def read(tmp_path: Path, image: PinnedImage) -> Changeset:
    return ImageStore(tmp_path / "images", tmp_path / "cache").changeset(image)


def cache_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache" / "changesets").iterdir()
    return path


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a layer was decompressed")

    monkeypatch.setattr(layers, "_decoder", refuse)


def test_a_second_look_decompresses_nothing_and_says_the_same(
    tmp_path: Path, image: PinnedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(tmp_path, image)
    forbid_reading(monkeypatch)
    assert read(tmp_path, image) == first
    assert first.dropped == ("setuid of bin/tool", "owner 7:0 of 1 entry")


def test_the_cache_is_private(tmp_path: Path, image: PinnedImage) -> None:
    read(tmp_path, image)
    assert cache_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert cache_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["empty", "cut", "flipped", "noise", "other version", "another image", "a folder"])
def test_a_bad_cache_is_read_anew(tmp_path: Path, image: PinnedImage, how: str) -> None:
    first = read(tmp_path, image)
    path = cache_file(tmp_path)
    data = path.read_bytes()
    cached = ChangesetCache(path.parent)
    loaded = cached.load(image.digest)
    assert loaded
    match how:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[:-10])
        case "flipped":
            path.write_bytes(data.replace(b"init.sh", b"evil.sh"))
        case "noise":
            path.write_bytes(os.urandom(500))
        case "other version":
            rewritten(path, data.split(b"\n", 1)[1].replace(b'{"v":1', b'{"v":2'))
        case "another image":
            rewritten(path, data.split(b"\n", 1)[1].replace(image.digest.encode(), b"sha256:" + b"0" * 64))
        case _:
            path.unlink()
            path.mkdir()
    assert read(tmp_path, image) == first


def rewritten(path: Path, body: bytes) -> None:
    import hashlib

    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"v":1}', b'{"v":1,"digest":null}', b"[" * 100_000])
def test_a_cache_with_a_right_checksum_and_wrong_shape(tmp_path: Path, image: PinnedImage, body: bytes) -> None:
    first = read(tmp_path, image)
    rewritten(cache_file(tmp_path), body)
    assert read(tmp_path, image) == first


def test_a_touched_layer_is_verified_again(tmp_path: Path, image: PinnedImage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(tmp_path, image)
    blob = tmp_path / "images" / "blobs" / "sha256" / image.layers[0].digest.removeprefix("sha256:")
    os.utime(blob)
    assert read(tmp_path, image) == first
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # same size
    with pytest.raises(ImageError, match="corrupt"):
        read(tmp_path, image)
    forbid_reading(monkeypatch)
    with pytest.raises(ImageError, match="corrupt"):
        read(tmp_path, image)


def test_no_cache_folder_is_no_trouble(tmp_path: Path, image: PinnedImage) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert read(tmp_path, image).total > 0
    store = ImageStore(tmp_path / "images")
    assert store.changeset(image) == store.changeset(image)
