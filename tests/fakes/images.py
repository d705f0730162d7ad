"""An ImageSource in memory: images are dicts of paths. It keeps the real one's promises (see tests/contract/image)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.errors import ImageError
from provisioner.image.archive import write_stream
from provisioner.image.blobs import digest_of
from provisioner.image.changeset import wanted_text
from provisioner.image.reference import parse_reference
from provisioner.model.ids import Digest
from provisioner.model.images import Archive, Changeset, Codec, Entry, EntryKind, Layer, PinnedImage


class FakeImages:
    """`add` images, then use it wherever an ImageSource is wanted.

    A file is bytes, with mode 0755 where it starts with `#!`, else 0644; a `Path` value is a symlink's target.
    """

    def __init__(self) -> None:
        self._images: dict[str, PinnedImage] = {}
        self._changes: dict[Digest, Changeset] = {}
        self._bodies: dict[Digest, dict[str, bytes]] = {}

    def add(
        self,
        reference: str,
        files: Mapping[str, bytes | Path],
        *,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        cmd: Sequence[str] = (),
        arch: str = "amd64",
    ) -> PinnedImage:
        """Make an image; equal arguments give an equal digest."""
        ref = parse_reference(reference)
        bodies = {path: data for path, data in files.items() if isinstance(data, bytes)}
        entries = _entries(files)
        facts = [[str(e) for e in entries], dict(env or {}), dict(labels or {}), list(cmd), arch]
        digest = digest_of(json.dumps(facts, sort_keys=True).encode())
        total = sum(len(data) for data in bodies.values())
        layer = Layer(digest, total, digest, "application/vnd.oci.image.layer.v1.tar+zstd")
        image = PinnedImage(
            reference=str(ref),
            repository=ref.repository,
            digest=digest,
            arch=arch,
            env=dict(env or {}),
            labels=dict(labels or {}),
            cmd=tuple(cmd),
            layers=(layer,),
            size=total,
        )
        self._images[str(ref)] = self._images[f"{ref.repository}@{digest}"] = image
        texts = {path: data for path, data in bodies.items() if wanted_text(path)}
        self._changes[digest] = Changeset(digest, entries, texts, total)
        self._bodies[digest] = bodies
        return image

    def resolve(self, reference: str) -> PinnedImage:
        """As ImageSource."""
        ref = parse_reference(reference)
        found = self._images.get(str(ref))
        if found is None:
            raise ImageError(f"image {ref} is not in the store", hint="build it with: sealer-cloud image build …")
        return replace(found, reference=str(ref))

    def changeset(self, image: PinnedImage) -> Changeset:
        """As ImageSource."""
        if image.digest not in self._changes:
            raise ImageError(f"blob {image.digest} is missing")
        return self._changes[image.digest]

    def write_archive(
        self,
        image: PinnedImage,
        changeset: Changeset,
        codec: Codec,
        target: Path,
        progress: Callable[[int], None] | None = None,
    ) -> Archive:
        """As ImageSource."""
        return write_stream(changeset.entries, self._sharers(image, changeset), codec, target, progress)

    def _sharers(self, image: PinnedImage, changeset: Changeset) -> Iterator[tuple[Sequence[Entry], Iterator[bytes]]]:
        bodies = self._bodies[image.digest]
        for entry in changeset.entries:
            if entry.kind is EntryKind.FILE:
                if entry.path not in bodies:
                    raise ImageError(f"{entry.path!r} is not in the image")
                yield [entry], iter([bodies[entry.path]])


def _entries(files: Mapping[str, bytes | Path]) -> tuple[Entry, ...]:
    folders = {parent for path in files for parent in _parents(path)}
    dirs = [Entry(path, EntryKind.DIR, 0o755) for path in sorted(folders)]
    plain = [
        Entry(path, EntryKind.FILE, 0o755 if data.startswith(b"#!") else 0o644, len(data), digest_of(data))
        for path, data in sorted(files.items())
        if isinstance(data, bytes)
    ]
    links = [
        Entry(path, EntryKind.SYMLINK, 0o777, target=str(target))
        for path, target in sorted(files.items())
        if isinstance(target, Path)
    ]
    return (*dirs, *plain, *links)


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for depth in range(1, len(parts)):
        yield "/".join(parts[:depth])
