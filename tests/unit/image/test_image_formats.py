"""Manifests, configs and indexes that the store refuses, and the one it chooses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from provisioner.errors import ImageError, UsageError
from provisioner.image import ImageStore
from provisioner.model.grammar import MAX_VALUE
from tests.fakes.tars import OCI_CONFIG, Layout, Member, digest, tar

LAYER = tar(Member(b"a", b"content of a"))
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


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
