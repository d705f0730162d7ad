from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.errors import ImageError, LockedError, PreconditionError, UsageError
from provisioner.image import BuildRequest, ImageStore, blobs, build_image, store
from provisioner.image.reference import parse_reference
from provisioner.model.images import Codec, PinnedImage
from tests.fakes.tars import OCI_CONFIG, OCI_LAYER, Layout, Member, digest, pack, tar

LAYER = tar(Member(b"a", b"content of a"), Member(b"scripts/init.sh", b"#!/bin/sh\n"))
Build = Callable[..., PinnedImage]


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", tmp_path / "cache")


@pytest.fixture
def build(tmp_path: Path, images: ImageStore) -> Build:
    def build(tag: str, **files: str) -> PinnedImage:
        context = tmp_path / "context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        for name, text in files.items():
            (context / name).write_text(text)
        (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY shared .\nCOPY own .\nCMD true\n")
        return build_image(BuildRequest(tmp_path / "Kubefile", context, tag, "amd64"), images)

    return build


def blob_paths(images: ImageStore) -> list[Path]:
    return sorted((images.root / "blobs" / "sha256").iterdir())


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


# Blobs that are not what their name says


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    match how:
        case "flipped":
            rewrite(path, bytes([data[0] ^ 1]) + data[1:])
        case "flipped at the end":
            rewrite(path, data[:-1] + bytes([data[-1] ^ 1]))
        case "shorter":
            rewrite(path, data[:-1])
        case "longer":
            rewrite(path, data + b"\0")
        case "empty":
            rewrite(path, b"")
        case "missing":
            path.unlink()
        case "a link":
            path.rename(path.with_suffix(".real"))
            path.symlink_to(path.with_suffix(".real"))
        case _:
            path.unlink()
            os.mkfifo(path)


@pytest.mark.parametrize(
    "how", ["flipped", "flipped at the end", "shorter", "longer", "empty", "missing", "a link", "a fifo"]
)
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("cache", ["cache", "other"])
def test_each_blob_corrupted_in_turn(images: ImageStore, build: Build, how: str, number: int, cache: str) -> None:
    """F1: named and refused before anything is written, with a warm cache too."""
    build("app:v1", shared="s" * 100, own="o" * 100)
    path = blob_paths(images)[number]
    damaged(path, how)
    fresh = ImageStore(images.root, images.root.parent / cache)
    with pytest.raises(ImageError) as caught:
        fresh.changeset(fresh.resolve("app:v1"))
    assert caught.value.exit_code == 4
    assert path.name in caught.value.message
    assert "image build" in caught.value.hint


def test_a_blob_that_goes_bad_between_plan_and_send_leaves_no_archive(
    images: ImageStore, build: Build, tmp_path: Path
) -> None:
    image = build("app:v1", shared="s" * 100, own="o" * 100)
    changes = images.changeset(image)
    damaged(images.blobs.path(image.layers[1].digest), "flipped at the end")
    with pytest.raises(ImageError, match=image.layers[1].digest):
        images.write_archive(image, changes, Codec.ZSTD, tmp_path / "rootfs")
    assert not (tmp_path / "rootfs").exists()
    assert not list(tmp_path.glob(".rootfs*"))


def test_building_again_heals_a_corrupt_blob(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    damaged(images.blobs.path(image.layers[0].digest), "flipped")
    assert build("app:v1", shared="s", own="o") == image
    assert ImageStore(images.root).changeset(image).total == 2


@pytest.mark.parametrize("codec", ["zstd", "gzip", "plain"])
def test_layers_in_every_compression(tmp_path: Path, codec: str) -> None:
    Layout(tmp_path / "images").image("app:v1", [LAYER, LAYER], codec)
    images = ImageStore(tmp_path / "images")
    changes = images.changeset(images.resolve("app:v1"))
    assert [entry.path for entry in changes.entries] == ["scripts", "a", "scripts/init.sh"]


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
@pytest.mark.parametrize("how", ["cut", "noise behind", "another content", "not compressed"])
def test_a_layer_whose_digest_is_right_and_content_wrong(tmp_path: Path, codec: str, how: str) -> None:
    packed = pack(LAYER, codec)
    blob = {
        "cut": packed[:-3],
        "noise behind": packed + b"noise",
        "another content": pack(LAYER + bytes(512), codec),
        "not compressed": LAYER,
    }[how]
    layout = Layout(tmp_path / "images")
    config = layout.json(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(LAYER)]}}, OCI_CONFIG
    )
    layers = [layout.blob(blob, f"{OCI_LAYER}+{codec}")]
    layout.manifest("app:v1", {"schemaVersion": 2, "config": config, "layers": layers})
    images = ImageStore(tmp_path / "images")
    with pytest.raises(ImageError, match="layer sha256:"):
        images.changeset(images.resolve("app:v1"))


# Looking up


def test_missing_image_says_what_is_there(images: ImageStore, build: Build) -> None:
    build("etcd:v1", shared="s", own="o")
    with pytest.raises(ImageError) as caught:
        images.resolve("ectd:v1")
    assert "did you mean etcd:v1?" in caught.value.hint
    assert "sealer-cloud image build -t ectd:v1" in caught.value.hint
    with pytest.raises(ImageError) as caught:
        images.resolve("host.example/team/etcd:v9")
    assert "etcd:v1" in caught.value.hint


def test_an_empty_store_has_nothing_and_is_not_made_by_looking(images: ImageStore) -> None:
    assert images.list() == ()
    with pytest.raises(ImageError):
        images.resolve("etcd:v1")
    assert not images.root.exists()


def test_looking_changes_no_file(images: ImageStore, build: Build) -> None:
    build("etcd:v1", shared="s", own="o")

    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in images.root.parent.rglob("*")}

    before = state()
    fresh = ImageStore(images.root, images.root.parent / "cache")
    fresh.changeset(fresh.resolve("etcd:v1"))
    fresh.list()
    fresh.inspect("etcd:v1")
    assert state() == before


def test_a_moved_tag_leaves_the_old_image_reachable_by_digest(images: ImageStore, build: Build) -> None:
    old = build("app:v1", shared="s", own="1")
    new = build("app:v1", shared="s", own="2")
    assert images.resolve("app:v1").digest == new.digest != old.digest
    assert images.resolve(f"app@{old.digest}").digest == old.digest
    assert [(row.tag, row.digest) for row in images.list()] == [(None, old.digest), ("v1", new.digest)]
    assert images.remove(f"app@{old.digest}").gone
    assert images.changeset(new).total == 2


def test_moving_back_makes_no_second_row(images: ImageStore, build: Build) -> None:
    build("app:v1", shared="s", own="1")
    build("app:v1", shared="s", own="2")
    build("app:v1", shared="s", own="1")
    assert [row.tag for row in images.list()] == [None, "v1"]


def test_inspect_shows_names_and_history(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    images.tag("app:v1", "other/app:stable")
    detail = images.inspect("app:v1")
    assert detail.image == image
    assert detail.names == ("app:v1", "other/app:stable")
    assert detail.history == ("COPY shared /", "COPY own /", "CMD true")
    assert json.loads(json.dumps(detail.to_json()))["digest"] == image.digest


def test_a_damaged_image_is_listed_with_its_problem(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    damaged(images.blobs.path(image.digest), "flipped")
    (row,) = images.list()
    assert "corrupt" in row.problem
    assert json.dumps(row.to_json())


# Removing


def test_shared_blobs_stay(images: ImageStore, build: Build) -> None:
    one = build("one:v1", shared="same", own="1")
    two = build("two:v1", shared="same", own="2")
    assert one.layers[0] == two.layers[0]
    count = len(blob_paths(images))
    removed = images.remove("one:v1")
    assert removed.gone
    assert removed.freed > 0
    assert len(blob_paths(images)) == count - 3  # manifest, config, own layer
    assert ImageStore(images.root).changeset(two).total == 5
    images.remove("two:v1")
    assert blob_paths(images) == []
    assert list((images.root.parent / "cache" / "changesets").iterdir()) == []


def test_one_of_two_names_takes_nothing_else_away(images: ImageStore, build: Build) -> None:
    build("app:v1", shared="s", own="o")
    images.tag("app:v1", "app:v2")
    removed = images.remove("app:v1", {images.resolve("app:v2").digest: "one"})
    assert (removed.gone, removed.freed) == (False, 0)
    assert [row.tag for row in images.list()] == ["v2"]


def test_an_image_that_runs_is_protected(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    with pytest.raises(UsageError, match="runs in the cluster one") as caught:
        images.remove("app:v1", {image.digest: "one"})
    assert caught.value.exit_code == 3
    assert images.resolve("app:v1") == image
    assert images.remove("app:v1", {image.digest: "one"}, force=True).gone


def test_a_damaged_image_can_be_removed_and_endangers_no_other(images: ImageStore, build: Build) -> None:
    bad = build("bad:v1", shared="s", own="1")
    worse = build("worse:v1", shared="s", own="2")
    good = build("good:v1", shared="s", own="3")
    for image in (bad, worse):
        damaged(images.blobs.path(image.digest), "flipped")
    assert images.remove("bad:v1").freed == 0  # what `worse` needs is unknown, so everything stays
    assert images.remove("worse:v1").freed > 0
    assert ImageStore(images.root).changeset(good).total == 2


def test_removing_what_is_not_there(images: ImageStore, build: Build) -> None:
    build("app:v1", shared="s", own="o")
    with pytest.raises(ImageError) as told:
        images.remove("app:v2")
    assert told.value.hint == "did you mean app:v1? look with: sealer-cloud image ls"


# Changing


def test_a_full_disk_leaves_the_old_store(images: ImageStore, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    image = build("app:v1", shared="s", own="o")
    before = (images.root / "index.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blobs, "_sync", full)
    with pytest.raises(PreconditionError, match="No space left") as caught:
        build("app:v2", shared="s", own="new")
    assert caught.value.exit_code == 12
    assert "free some space" in caught.value.hint
    assert (images.root / "index.json").read_bytes() == before
    assert list((images.root / "ingest").iterdir()) == []
    assert ImageStore(images.root).resolve("app:v1") == image


def test_a_store_in_use_is_said_after_a_while(
    images: ImageStore, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    build("app:v1", shared="s", own="o")
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.01)
    with FileLock(images.root / "index.lock"), pytest.raises(LockedError) as caught:
        images.tag("app:v1", "app:v2")
    assert caught.value.exit_code == 10


def test_a_name_with_a_digest_cannot_be_given(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    with pytest.raises(UsageError):
        images.tag("app:v1", f"app@{image.digest}")


def test_dead_writers_leavings_are_swept_and_living_ones_kept(images: ImageStore, build: Build) -> None:
    build("app:v1", shared="s", own="o")
    (images.root / "ingest" / "dead").mkdir()
    (images.root / "ingest" / "dead" / "blob").write_bytes(b"half")
    (images.root / ".index.json.abc.tmp").write_bytes(b"{")
    with blobs.Staging(images.blobs) as living:
        living.add(b"mine")
        images.tag("app:v1", "app:v2")
        assert len(list((images.root / "ingest").iterdir())) == 1
        assert not (images.root / ".index.json.abc.tmp").exists()
    assert list((images.root / "ingest").iterdir()) == []


def test_the_layout_is_oci(images: ImageStore, build: Build) -> None:
    image = build("app:v1", shared="s", own="o")
    assert json.loads((images.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((images.root / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == image.digest
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "app:v1"}
    assert parse_reference("app:v1").tag == "v1"
