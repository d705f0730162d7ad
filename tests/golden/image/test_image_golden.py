"""Formats that others rely on, letter by letter. A change here changes digests or what a person reads."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from provisioner.errors import InvalidFileError
from provisioner.image import BuildRequest, ImageStore, build_image, parse_kubefile
from provisioner.model.images import Codec

HERE = Path(__file__).parent


def golden(name: str, found: str) -> None:
    path = HERE / name
    if not path.exists():
        path.write_text(found)
        pytest.fail(f"{name} was missing and is written: read it, then commit it")
    assert found == path.read_text()


def test_problems_of_a_kubefile() -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_kubefile((HERE / "bad.Kubefile").read_bytes(), "Kubefile")
    golden("bad.problems.txt", caught.value.message + "\n")


def test_an_image_and_its_stream(tmp_path: Path) -> None:
    """Everything but the zstd bytes, which belong to the library's version."""
    context = tmp_path / "context"
    for name, text in {
        "bin/tool": "#!/bin/sh\n",
        "etc/app.conf.tmpl": "a {{ .A }}\n",
        "x/" + "n" * 120: "long\n",
    }.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(text)
    (context / "bin/tool").chmod(0o755)
    (context / "lib").symlink_to("usr/lib")
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY . .\nENV A=1\nLABEL l=m\nCMD echo hi\n")
    store = ImageStore(tmp_path / "images")
    image = build_image(BuildRequest(tmp_path / "Kubefile", context, "app:v1", "amd64"), store)
    manifest = json.loads(store.blobs.path(image.digest).read_bytes())
    config = store.blobs.path(manifest["config"]["digest"]).read_text()
    archive = store.write_archive(image, store.changeset(image), Codec.PLAIN, tmp_path / "a.tar")
    found = {
        "config": json.loads(config),
        "configDigest": manifest["config"]["digest"],
        "manifest": json.loads(re.sub(image.layers[0].digest, "LAYER", json.dumps(manifest))),
        "archive": hashlib.sha256(archive.path.read_bytes()).hexdigest(),
        "sums": archive.manifest.decode().splitlines(),
    }
    found["manifest"]["layers"][0].pop("size")
    golden("image.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
