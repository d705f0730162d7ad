"""Cluster images as data: references, pinned images, merged file lists, and the seam they are read through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from provisioner.model.ids import Digest


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A parsed reference. `repository` has no registry host when none was written; `tag` or `digest` is set."""

    repository: str
    tag: str | None
    digest: Digest | None

    def __str__(self) -> str:
        tail = f"@{self.digest}" if self.digest else f":{self.tag}"
        return self.repository + tail

    @property
    def short_name(self) -> str:
        """The last part of the repository: the default cluster name."""
        return self.repository.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its blob's digest and size in bytes, the digest of its uncompressed tar, its media type."""

    digest: Digest
    size: int
    diff_id: Digest
    media_type: str


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """An image by manifest digest, verified; nothing later looks at the tag again.

    `env` and `labels` are those of the image config; `cmd` is the list of commands to run on the first master.
    `size` is the sum of the layer blobs in bytes.
    """

    reference: str
    repository: str
    digest: Digest
    arch: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    cmd: tuple[str, ...]
    layers: tuple[Layer, ...]
    size: int


class EntryKind(StrEnum):
    """The kinds that may be laid; everything else is refused while reading."""

    DIR = "dir"
    FILE = "file"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the merged rootfs. `path` is relative, normalised, without `..`. `mode` is 0o777-masked."""

    path: str
    kind: EntryKind
    mode: int
    size: int = 0
    digest: Digest | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Changeset:
    """The merged rootfs: directories first, then files, then symlinks, each sorted by path.

    `texts` holds the bytes of the files that planning reads: `*.tmpl` and `scripts/*` (each at most 1 MiB).
    `total` is the sum of the file sizes in bytes, uncompressed: what `bytesToSend` counts.
    """

    digest: Digest
    entries: tuple[Entry, ...]
    texts: Mapping[str, bytes]
    total: int
    dropped: tuple[str, ...] = ()
    """What was dropped by stated policy (setuid bits, owners), one line each, for the plan."""


class Codec(StrEnum):
    """How the rootfs stream is coded on the wire: what the host can decode decides."""

    ZSTD = "zstd"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Archive:
    """A rootfs stream on the operator's disk, written by us from verified bytes, ready to send to every host.

    `manifest` is `sha256sum -c` lines for all files, in path order.
    """

    path: Path
    codec: Codec
    size: int
    total: int
    manifest: bytes


class ImageSource(Protocol):
    """Where cluster images come from. Every byte is verified against a digest we trust before it is used."""

    def resolve(self, reference: str) -> PinnedImage:
        """Pin a reference. Raises ImageError (missing, corrupt, refused), UsageError (no reference)."""

    def changeset(self, image: PinnedImage) -> Changeset:
        """The merged file list. Raises ImageError for a corrupt blob or a hostile archive."""

    def write_archive(
        self,
        image: PinnedImage,
        changeset: Changeset,
        codec: Codec,
        target: Path,
        progress: Callable[[int], None] | None = None,
    ) -> Archive:
        """Write the rootfs stream to `target` (0600). Raises ImageError; PreconditionError when the disk is full.

        `progress` gets the file bytes done so far; what it raises ends the writing, and nothing is left at `target`.
        """
