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
from provisioner.model.grammar import MAX_VALUE
from provisioner.model.images import Codec, PinnedImage
from tests.fakes.tars import OCI_CONFIG, OCI_LAYER, Layout, Member, digest, pack, tar

LAYER = tar(Member(b"a", b"content of a"), Member(b"scripts/init.sh", b"#!/bin/sh\n"))
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
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
    with pytest.raises(ImageError):
        images.remove("app:v2")


# Formats that we refuse


def refused(tmp_path: Path, manifest: object, match: str, **entry: object) -> None:
    layout = Layout(tmp_path / "images")
    layout.add("app:v1", layout.json(manifest, "application/vnd.oci.image.manifest.v1+json") | entry)
    with pytest.raises(ImageError, match=match):
        ImageStore(tmp_path / "images").resolve("app:v1")


@pytest.fixture
def manifest(tmp_path: Path) -> dict[str, object]:
    layout = Layout(tmp_path / "images")
    entry = layout.image("app:v1", [LAYER])
    data: dict[str, object] = json.loads((layout.root / "blobs/sha256" / str(entry["digest"])[7:]).read_bytes())
    return data


def test_the_fixture_itself_is_fine(tmp_path: Path, manifest: dict[str, object]) -> None:
    assert ImageStore(tmp_path / "images").resolve("app:v1").arch == "amd64"
    assert manifest["schemaVersion"] == 2


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "manifest and index": ({"manifests": []}, "at once"),
    "schema version 1": ({"schemaVersion": 1}, "schema version"),
    "schema version true": ({"schemaVersion": True}, "schema version"),
    "no schema version": ({"schemaVersion": None}, "schema version"),
    "calls itself an index": ({"mediaType": OCI_INDEX}, "calls itself"),
    "no layers": ({"layers": []}, "no layers"),
    "layers are no list": ({"layers": {}}, "list is missing"),
    "no config": ({"config": None}, "object is missing"),
    "a layer without type": ({"layers": [{"digest": digest(b""), "size": 0}]}, "mediaType"),
    "a layer of another type": (
        {"layers": [{"mediaType": "application/x-xz", "digest": digest(b""), "size": 0}]},
        "not one we read",
    ),
    "digest as a path": (
        {"config": {"mediaType": OCI_CONFIG, "digest": "sha256:../../../../etc/passwd", "size": 1}},
        "no sha256 digest",
    ),
    "another algorithm": ({"config": {"mediaType": OCI_CONFIG, "digest": "md5:" + "0" * 32, "size": 1}}, "digest"),
    "negative size": ({"config": {"mediaType": OCI_CONFIG, "digest": digest(b""), "size": -1}}, "size"),
    "size as text": ({"config": {"mediaType": OCI_CONFIG, "digest": digest(b""), "size": "1"}}, "size"),
    "annotations are a list": ({"annotations": []}, "object is missing"),
    "annotation is a number": ({"annotations": {"a": 1}}, "text is missing"),
    "half a character": ({"annotations": {"a": "\ud800"}}, "Unicode"),
    "applications": (
        {"annotations": {"sealer.image.extension": '{"schemaVersion":"v1alpha1","launch":{"app_names":["nginx"]}}'}},
        "nginx.*not built yet",
    ),
    "extension of another version": ({"annotations": {"sealer.image.extension": '{"schemaVersion":"v2"}'}}, "v1alpha1"),
    "extension that is no JSON": ({"annotations": {"sealer.image.extension": "{"}}, "JSON"),
    "commands that are no texts": (
        {"annotations": {"sealer.image.extension": '{"schemaVersion":"v1alpha1","launch":{"cmds":[1]}}'}},
        "no texts",
    ),
    "a command with half a character": (
        {"annotations": {"sealer.image.extension": '{"schemaVersion":"v1alpha1","launch":{"cmds":["a\\ud800"]}}'}},
        "commands that are no texts",
    ),
    "applications are a number": (
        {"annotations": {"sealer.image.extension": '{"schemaVersion":"v1alpha1","launch":{"app_names":5}}'}},
        "applications that are no texts",
    ),
    "a launch that is a list": (
        {"annotations": {"sealer.image.extension": '{"schemaVersion":"v1alpha1","launch":["cmds"]}'}},
        "no object",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_manifest_refused(case: str, tmp_path: Path, manifest: dict[str, object]) -> None:
    change, match = CHANGES[case]
    shutil.rmtree(tmp_path / "images" / "index.json", ignore_errors=True)
    refused(tmp_path, manifest | change, match)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"os": "windows"}, "for windows"),
        ({"architecture": ""}, "architecture"),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "names 1 layers, the config 0"),
        ({"rootfs": {"type": "nydus", "diff_ids": []}}, "nydus"),
        ({"rootfs": None}, "object is missing"),
        ({"config": {"Env": "A=1"}}, "list is missing"),
        ({"config": {"Env": ["A=1", "my.var=1"]}}, "image app:v1: ENV 'my.var'.*not built yet"),
        ({"config": {"Env": ["SEALER_HOST=evil"]}}, "set by sealer-cloud itself"),
        ({"config": {"Env": ["A=" + "x" * (MAX_VALUE + 1)]}}, "A is longer than"),
        ({"config": {"Env": ["A=\0"]}}, "no environment can"),
        ({"config": {"Labels": {"a": None}}}, "text is missing"),
    ],
)
def test_config_refused(tmp_path: Path, config: dict[str, object], match: str) -> None:
    Layout(tmp_path / "images").image("app:v1", [LAYER], **config)
    with pytest.raises(ImageError, match=match):
        ImageStore(tmp_path / "images").resolve("app:v1")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000, b'{"schemaVersion":' + b"9" * 5000 + b"}"],
)
def test_unreadable_json_is_an_image_error(tmp_path: Path, data: bytes) -> None:
    layout = Layout(tmp_path / "images")
    layout.add("app:v1", layout.blob(data, "application/vnd.oci.image.manifest.v1+json"))
    with pytest.raises(ImageError):
        ImageStore(tmp_path / "images").resolve("app:v1")
    (tmp_path / "images" / "index.json").write_bytes(data)
    with pytest.raises(ImageError, match="index"):
        ImageStore(tmp_path / "images").list()


def test_several_platforms_are_chosen_by_architecture(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    entries = []
    for arch in ("amd64", "arm64"):
        entry = layout.image(f"{arch}:v1", [LAYER], architecture=arch)
        entries.append({**entry, "platform": {"os": "linux", "architecture": arch}})
    layout.manifest("app:v1", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX)
    for entry, arch in zip(entries, ("amd64", "arm64"), strict=True):
        images = ImageStore(tmp_path / "images", arch=arch)
        image = images.resolve("app:v1")
        assert (image.arch, image.digest) == (arch, entry["digest"])
        assert images.resolve(f"app@{image.digest}").digest == image.digest
    with pytest.raises(ImageError, match=r"linux/amd64, linux/arm64.*riscv64"):
        ImageStore(tmp_path / "images", arch="riscv64").resolve("app:v1")
    with pytest.raises(ImageError, match="exactly one"):
        ImageStore(tmp_path / "images").resolve("app:v1")
    with pytest.raises(UsageError, match="runs in the cluster one"):
        images.remove("app:v1", {image.digest: "one"})


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
