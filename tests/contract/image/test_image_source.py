"""What every ImageSource promises, asked of the real store and of the fake."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from provisioner.errors import ImageError, UsageError
from provisioner.image import BuildRequest, ImageStore, build_image
from provisioner.model.images import Codec, EntryKind, ImageSource, PinnedImage
from tests.fakes.images import FakeImages

FILES: dict[str, bytes | Path] = {
    "bin/tool": b"#!/bin/sh\necho tool\n",
    "etc/app/app.conf.tmpl": b"name {{ .SEALER_HOST }}\n",
    "etc/plain": b"",
    "scripts/init.sh": b"#!/bin/sh\nexit 0\n",
    "lib": Path("usr/lib"),
    "usr/lib/big": bytes(range(256)) * 9000,
    "usr/lib/" + "n" * 150 + "/" + "m" * 150: b"deep",
}
KUBEFILE = "FROM scratch\nCOPY . .\nENV A=1\nLABEL l=m\nCMD echo one\nCMD echo two\n"
Make = Callable[[str], tuple[ImageSource, PinnedImage]]


def write_tree(root: Path, files: Mapping[str, bytes | Path]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            path.write_bytes(data)
            path.chmod(0o755 if data.startswith(b"#!") else 0o600)
        else:
            path.symlink_to(data)


@pytest.fixture(params=["store", "fake"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def fake(reference: str) -> tuple[ImageSource, PinnedImage]:
        images = FakeImages()
        pinned = images.add(
            reference, FILES, env={"A": "1"}, labels={"l": "m"}, cmd=["echo one", "echo two"], arch="amd64"
        )
        return images, pinned

    def store(reference: str) -> tuple[ImageSource, PinnedImage]:
        write_tree(tmp_path / "context", FILES)
        (tmp_path / "Kubefile").write_text(KUBEFILE)
        images = ImageStore(tmp_path / "images", tmp_path / "cache")
        request = BuildRequest(tmp_path / "Kubefile", tmp_path / "context", reference, "amd64")
        return images, build_image(request, images)

    return fake if request.param == "fake" else store


def test_resolve_pins_by_tag_and_by_digest(make: Make) -> None:
    images, pinned = make("app:v1")
    assert images.resolve("app:v1") == pinned
    assert images.resolve(f"app@{pinned.digest}").digest == pinned.digest
    assert (pinned.repository, pinned.arch, pinned.cmd) == ("app", "amd64", ("echo one", "echo two"))
    assert (pinned.env, pinned.labels) == ({"A": "1"}, {"l": "m"})
    assert pinned.size == sum(layer.size for layer in pinned.layers) > 0


@pytest.mark.parametrize("reference", ["app:v2", "other:v1", "host.example/app:v1", "app@sha256:" + "0" * 64])
def test_missing_image_names_it_and_says_what_to_do(make: Make, reference: str) -> None:
    images, _ = make("app:v1")
    with pytest.raises(ImageError, match="not in the store") as caught:
        images.resolve(reference)
    assert caught.value.exit_code == 4
    assert "sealer-cloud image" in caught.value.hint


@pytest.mark.parametrize("reference", ["-x", "", "A:v1", "app:", "app\n:v1"])
def test_no_reference_is_wrong_use(make: Make, reference: str) -> None:
    images, _ = make("app:v1")
    with pytest.raises(UsageError):
        images.resolve(reference)


def test_changeset_lists_directories_files_links_each_sorted(make: Make) -> None:
    images, pinned = make("app:v1")
    changes = images.changeset(pinned)
    kinds = [entry.kind for entry in changes.entries]
    assert kinds == sorted(kinds, key=[EntryKind.DIR, EntryKind.FILE, EntryKind.SYMLINK].index)
    for kind in EntryKind:
        paths = [entry.path for entry in changes.entries if entry.kind is kind]
        assert paths == sorted(set(paths))
    modes = {entry.path: entry.mode for entry in changes.entries}
    assert (modes["bin/tool"], modes["etc/plain"], modes["etc"]) == (0o755, 0o644, 0o755)
    assert {e.path: e.target for e in changes.entries if e.target} == {"lib": "usr/lib"}
    assert changes.total == sum(len(data) for data in FILES.values() if isinstance(data, bytes))
    assert changes.digest == pinned.digest
    assert images.changeset(pinned) == changes


def test_texts_are_templates_and_scripts(make: Make) -> None:
    images, pinned = make("app:v1")
    texts = images.changeset(pinned).texts
    assert texts == {name: FILES[name] for name in ("etc/app/app.conf.tmpl", "scripts/init.sh")}


@pytest.mark.parametrize("codec", list(Codec))
def test_archive_unpacks_with_tar_to_the_tree_and_matches_its_manifest(
    make: Make, codec: Codec, tmp_path: Path
) -> None:
    images, pinned = make("app:v1")
    changes = images.changeset(pinned)
    seen: list[int] = []
    archive = images.write_archive(pinned, changes, codec, tmp_path / "rootfs", seen.append)
    assert stat.S_IMODE(archive.path.stat().st_mode) == 0o600
    assert (archive.size, archive.codec) == (archive.path.stat().st_size, codec)
    assert archive.total == changes.total == seen[-1]
    assert seen == sorted(seen)
    root = tmp_path / "root"
    root.mkdir()
    unpack = "zstd -dc" if codec is Codec.ZSTD else "cat"
    subprocess.run(["sh", "-c", f"{unpack} {archive.path} | tar -x -C {root}"], check=True)
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet"], input=archive.manifest, cwd=root, check=True)
    for name, data in FILES.items():
        if isinstance(data, bytes):
            assert (root / name).read_bytes() == data
        else:
            assert (root / name).readlink() == data
    assert len(archive.manifest.splitlines()) == sum(isinstance(data, bytes) for data in FILES.values())
    assert not list(tmp_path.glob(".*tmp*"))


def test_archive_of_a_part_holds_that_part(make: Make, tmp_path: Path) -> None:
    images, pinned = make("app:v1")
    changes = images.changeset(pinned)
    part = type(changes)(
        changes.digest, tuple(e for e in changes.entries if e.path in {"etc", "etc/plain"}), changes.texts, 0
    )
    archive = images.write_archive(pinned, part, Codec.PLAIN, tmp_path / "part")
    names = subprocess.run(["tar", "-tf", archive.path], check=True, capture_output=True, text=True).stdout
    assert names.split() == ["etc/", "etc/plain"]


def test_archive_of_files_that_the_image_does_not_hold_is_refused(make: Make, tmp_path: Path) -> None:
    images, pinned = make("app:v1")
    changes = images.changeset(pinned)
    entry = next(entry for entry in changes.entries if entry.kind is EntryKind.FILE)
    strange = type(changes)(changes.digest, (type(entry)("nowhere", EntryKind.FILE, 0o644, 1, entry.digest),), {}, 1)
    with pytest.raises(ImageError):
        images.write_archive(pinned, strange, Codec.PLAIN, tmp_path / "strange")
    assert not (tmp_path / "strange").exists()
