"""Each limit on both sides: where one needs a whole image, in the attack tables, else here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import ImageError
from provisioner.image import ImageStore, limits
from provisioner.image.manifest import OCI_MANIFEST, parse_config, parse_manifest
from tests.fakes.tars import OCI_CONFIG, OCI_LAYER, Layout, Member, digest, tar


def test_the_table() -> None:
    """The figures that the design names; a change here is a change of the design."""
    assert (limits.MANIFEST, limits.CONFIG, limits.HEADER) == (4 << 20, 8 << 20, 1 << 20)
    assert (limits.ENTRIES, limits.NAME, limits.COMPONENT, limits.RATIO) == (1_000_000, 4096, 255, 200)


def test_check_takes_the_limit_itself() -> None:
    limits.check(5, 5, "thing")
    with pytest.raises(ImageError, match="thing: 6 is above the limit of 5"):
        limits.check(6, 5, "thing")


@pytest.mark.parametrize(
    ("uncompressed", "compressed", "fine"),
    [
        (limits.RATIO_FLOOR, 1, True),
        (limits.RATIO_FLOOR + 1, 1, False),
        (limits.RATIO * (1 << 20), 1 << 20, True),
        (limits.RATIO * (1 << 20) + 1, 1 << 20, False),
    ],
)
def test_ratio(uncompressed: int, compressed: int, fine: bool) -> None:
    if fine:
        limits.check_ratio(uncompressed, compressed, "layer")
        return
    with pytest.raises(ImageError, match="bomb"):
        limits.check_ratio(uncompressed, compressed, "layer")


def manifest_of(size: int) -> bytes:
    layer = {"mediaType": OCI_LAYER, "digest": digest(b""), "size": 0}
    config = {"mediaType": OCI_CONFIG, "digest": digest(b""), "size": 0}
    body = json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode()
    return body + b" " * (size - len(body))


def test_manifest_size() -> None:
    assert parse_manifest(manifest_of(limits.MANIFEST), OCI_MANIFEST, "m").layers
    with pytest.raises(ImageError, match="limit"):
        parse_manifest(manifest_of(limits.MANIFEST + 1), OCI_MANIFEST, "m")


def test_config_size() -> None:
    body = json.dumps({"os": "linux", "architecture": "a", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    assert parse_config(body + b" " * (limits.CONFIG - len(body)), "c").os == "linux"
    with pytest.raises(ImageError, match="limit"):
        parse_config(body + b" " * (limits.CONFIG + 1 - len(body)), "c")


def test_a_large_manifest_is_not_even_read(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.add("app:v1", layout.blob(manifest_of(limits.MANIFEST + 1), OCI_MANIFEST))
    with pytest.raises(ImageError, match="manifest: bytes: 4194305"):
        ImageStore(tmp_path).resolve("app:v1")


def test_number_of_layers(tmp_path: Path) -> None:
    layer = tar(Member(b"a"))
    Layout(tmp_path / "a").image("app:v1", [layer] * limits.LAYERS, "plain")
    assert len(ImageStore(tmp_path / "a").resolve("app:v1").layers) == limits.LAYERS
    Layout(tmp_path / "b").image("app:v1", [layer] * (limits.LAYERS + 1), "plain")
    with pytest.raises(ImageError, match="number of layers"):
        ImageStore(tmp_path / "b").resolve("app:v1")


def test_total_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Layout(tmp_path).image("app:v1", [tar(Member(b"a", b"x" * 600)), tar(Member(b"b", b"x" * 600))], "gzip")
    monkeypatch.setattr(limits, "TOTAL", 2560)  # one layer's tar: two headers' worth, a body, an end mark
    images = ImageStore(tmp_path)
    assert images.changeset(images.resolve("app:v1")).total == 1200
    for smaller in (2559, 1199):
        monkeypatch.setattr(limits, "TOTAL", smaller)
        with pytest.raises(ImageError, match="limit"):
            ImageStore(tmp_path).changeset(images.resolve("app:v1"))


def test_texts_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Layout(tmp_path).image("app:v1", [tar(Member(b"a.tmpl", b"x" * 60), Member(b"b.tmpl", b"y" * 40))])
    images = ImageStore(tmp_path)
    monkeypatch.setattr(limits, "TEXTS", 100)
    assert len(images.changeset(images.resolve("app:v1")).texts) == 2
    monkeypatch.setattr(limits, "TEXTS", 99)
    with pytest.raises(ImageError, match="templates and scripts"):
        ImageStore(tmp_path).changeset(images.resolve("app:v1"))
