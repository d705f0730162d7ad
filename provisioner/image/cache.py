"""Merged trees kept on disk per image digest, so that a run without changes decompresses nothing.

A cache file is trusted only if its checksum, version and layers are right *and* every layer blob is still the very file
that was verified (device, inode, size, times); anything else is read anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import SealerError, UsageError
from provisioner.files import atomic_write, private_folder
from provisioner.image.blobs import Stamp
from provisioner.image.changeset import Source
from provisioner.model.ids import Digest, hex_of, parse_digest
from provisioner.model.images import Changeset, Entry, EntryKind

VERSION = 1


@dataclass(frozen=True, slots=True)
class Cached:
    """A changeset, where each file's bytes lie, and the stamps of the layers it was read from, in order."""

    changeset: Changeset
    sources: Mapping[str, Source]
    layers: tuple[Digest, ...]
    stamps: tuple[Stamp, ...]


class ChangesetCache:
    """The folder of cached changesets; None as folder keeps nothing on disk."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, digest: Digest) -> Cached | None:
        """What is kept for an image, or None: nothing there, unreadable, damaged, of another version."""
        if self._folder is None:
            return None
        try:
            checksum, _, body = self._path(digest).read_bytes().partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != checksum:
                return None
            return _decode(json.loads(body), digest)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
            return None

    def save(self, cached: Cached) -> None:
        """Keep it. A disk that is full or read-only costs only the time of reading again, so it is no error."""
        if self._folder is None:
            return
        body = json.dumps(_encode(cached), separators=(",", ":")).encode()
        with suppress(SealerError):
            private_folder(self._folder)
            atomic_write(self._path(cached.changeset.digest), hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    def forget(self, digest: Digest) -> None:
        """Drop what is kept for an image."""
        if self._folder is not None:
            with suppress(OSError):
                self._path(digest).unlink()

    def _path(self, digest: Digest) -> Path:
        return (self._folder or Path()) / f"{hex_of(digest)}.v{VERSION}.json"


def _encode(cached: Cached) -> dict[str, Any]:
    changes = cached.changeset
    return {
        "v": VERSION,
        "digest": changes.digest,
        "layers": cached.layers,
        "stamps": cached.stamps,
        "entries": [
            (e.path, e.kind, e.mode, e.size, e.digest, e.target, cached.sources.get(e.path)) for e in changes.entries
        ],
        "texts": {path: base64.b64encode(data).decode() for path, data in changes.texts.items()},
        "total": changes.total,
        "dropped": changes.dropped,
    }


def _decode(body: Any, digest: Digest) -> Cached | None:
    if body["v"] != VERSION or body["digest"] != digest:
        return None
    rows: Sequence[Sequence[Any]] = body["entries"]
    changes = Changeset(
        digest=digest,
        entries=tuple(
            Entry(path, EntryKind(kind), int(mode), int(size), parse_digest(sha) if sha else None, target)
            for path, kind, mode, size, sha, target, _ in rows
        ),
        texts={str(path): base64.b64decode(data, validate=True) for path, data in body["texts"].items()},
        total=int(body["total"]),
        dropped=tuple(str(line) for line in body["dropped"]),
    )
    stamps = tuple((int(a), int(b), int(c), int(d), int(e)) for a, b, c, d, e in body["stamps"])
    sources = {row[0]: Source(int(row[6][0]), int(row[6][1])) for row in rows if row[6] is not None}
    return Cached(changes, sources, tuple(parse_digest(layer) for layer in body["layers"]), stamps)
