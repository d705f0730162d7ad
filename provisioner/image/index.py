"""The store's index.json as a value: which references name which manifests. Pure.

An entry without a tag is an image whose tag moved on: a cluster may still run it by digest.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from provisioner.errors import ImageError
from provisioner.image.manifest import Descriptor, Index
from provisioner.model.ids import Digest
from provisioner.model.images import ImageRef

REF_NAME = "org.opencontainers.image.ref.name"
REPOSITORY = "io.sealer-cloud.repository"
"""Annotation of an entry without a tag: so that `NAME@sha256:…` still finds it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One index entry, read. `tag` is None for an image that lost its tag."""

    repository: str
    tag: str | None
    descriptor: Descriptor

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return self.descriptor.digest

    @property
    def name(self) -> str:
        """What a person types to mean it."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"


def rows_of(index: Index) -> tuple[Row, ...]:
    """The rows, sorted by name."""
    return tuple(sorted((_row(entry) for entry in index.manifests), key=lambda row: (row.repository, row.tag or "")))


def find(rows: Sequence[Row], ref: ImageRef, *, wanted: bool = True) -> Row:
    """The row that a reference means. Raises ImageError with a hint: similar names, and how to build one that is `wanted`."""
    for row in rows:
        if row.repository == ref.repository and _means(row, ref):
            return row
    names = [row.name for row in rows]
    close = difflib.get_close_matches(str(ref), names, n=3, cutoff=0.5)
    close = close or [row.name for row in rows if row.repository.rsplit("/", 1)[-1] == ref.short_name][:3]
    known = f"did you mean {' or '.join(close)}? " if close else ""
    raise ImageError(
        f"image {ref} is not in the store",
        hint=f"{known}build it with: sealer-cloud image build -t {ref} -f Kubefile CONTEXT"
        if wanted and not ref.digest
        else f"{known}look with: sealer-cloud image ls",
    )


def add(rows: Sequence[Row], ref: ImageRef, descriptor: Descriptor) -> tuple[Row, ...]:
    """The rows with `ref` naming `descriptor`; what had that name stays, without a tag."""
    new = Row(ref.repository, ref.tag, descriptor)
    kept = [replace(row, tag=None) if (row.repository, row.tag) == (new.repository, new.tag) else row for row in rows]
    return _unique([*(row for row in kept if row.tag or row.digest != new.digest), new])


def drop(rows: Sequence[Row], row: Row) -> tuple[Row, ...]:
    """The rows without one."""
    return tuple(other for other in rows if other != row)


def entries_of(rows: Sequence[Row]) -> tuple[Descriptor, ...]:
    """The rows as index entries."""
    return tuple(_entry(row) for row in sorted(rows, key=lambda row: (row.repository, row.tag or "", row.digest)))


def _row(entry: Descriptor) -> Row:
    name = entry.annotations.get(REF_NAME, "")
    bare = replace(entry, annotations={})
    head, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return Row(head, tag, bare)
    return Row(entry.annotations.get(REPOSITORY, name), None, bare)


def _entry(row: Row) -> Descriptor:
    notes = {REF_NAME: row.name} if row.tag else {REPOSITORY: row.repository}
    return replace(row.descriptor, annotations=notes)


def _means(row: Row, ref: ImageRef) -> bool:
    return row.digest == ref.digest if ref.digest else row.tag == ref.tag


def _unique(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Without untagged rows whose image still has a name in that repository, or that stand twice."""
    tagged = {(row.repository, row.digest) for row in rows if row.tag}
    out: dict[tuple[str, str | None, Digest], Row] = {}
    for row in rows:
        if row.tag or (row.repository, row.digest) not in tagged:
            out[row.repository, row.tag, row.digest] = row
    return tuple(out.values())
