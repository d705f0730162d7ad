"""Layers read as verified streams: blob digest first, then size, ratio and diff id while the bytes are used.

Nothing of a blob is decompressed or parsed before all its bytes matched its digest; what comes out is matched with the
diff id once more at the end, so a reader that did not raise has read exactly what the manifest named.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import zstandard

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.blobs import REBUILD, Blobs
from provisioner.image.changeset import Merged, Merger, Source, wanted_text
from provisioner.image.items import Dropped, Item, Verb, read_item
from provisioner.image.manifest import LAYERS
from provisioner.image.tarread import Stream, TarReader
from provisioner.model.ids import Digest
from provisioner.model.images import Layer

Bodies = Iterator[tuple[Source, Iterator[bytes]]]


class LayerStream:
    """A layer's tar, decompressed and counted. `finish` must be called at the end: it matches the diff id."""

    def __init__(self, stream: Stream, layer: Layer) -> None:
        self._stream = stream
        self._layer = layer
        self._hash = hashlib.sha256()
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, fewer only at the end. Raises ImageError for a broken or over-large layer."""
        what = f"layer {self._layer.digest}"
        try:
            piece = self._stream.read(size)
        except (zstandard.ZstdError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise ImageError(f"{what} cannot be decompressed: {error}", hint=REBUILD) from error
        except OSError as error:
            raise ImageError(f"{what} cannot be read: {error.strerror or error}", hint=REBUILD) from error
        self._read += len(piece)
        limits.check(self._read, limits.TOTAL, f"{what}: uncompressed bytes")
        limits.check_ratio(self._read, self._layer.size, what)
        self._hash.update(piece)
        return piece

    def finish(self) -> None:
        """Read to the end and match the diff id. Raises ImageError."""
        while self.read(limits.HEADER):
            pass
        if f"sha256:{self._hash.hexdigest()}" != self._layer.diff_id:
            raise ImageError(
                f"layer {self._layer.digest} is corrupt: its content is not {self._layer.diff_id}", hint=REBUILD
            )


@contextmanager
def open_layer(blobs: Blobs, layer: Layer) -> Iterator[LayerStream]:
    """A layer's tar stream; leaving the block without an error matches its diff id. Raises ImageError."""
    with blobs.open(layer) as file:
        stream = LayerStream(_decoder(file, layer), layer)
        yield stream
        stream.finish()


def _decoder(file: BinaryIO, layer: Layer) -> Stream:
    match LAYERS[layer.media_type]:
        case "zstd":
            decoder = zstandard.ZstdDecompressor(max_window_size=limits.WINDOW)
            return decoder.stream_reader(file, read_across_frames=True, closefd=False)
        case "gzip":
            return gzip.GzipFile(fileobj=file, mode="rb")
        case _:
            return file


class Reading:
    """One pass over all layers: the merged tree, and the texts that planning reads, by digest."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._texts_size = 0
        self._names_size = 0
        self._kept: dict[Digest, bytes] = {}
        self.dropped = Dropped()

    def merge(self, layers: tuple[Layer, ...]) -> Merged:
        """Read, hash and merge every layer, lowest first. Raises ImageError."""
        merger = Merger()
        for layer in layers:
            with open_layer(self._blobs, layer) as stream:
                merger.add_layer(self._items(TarReader(stream, f"layer {layer.digest}")))
        return merger.merged()

    def texts(self, layers: tuple[Layer, ...], merged: Merged) -> dict[str, bytes]:
        """The wanted files' bytes by path. Raises ImageError when they are too large for planning."""
        wanted = {e.path: e for e in merged.entries if e.digest and _is_text(e.path, e.size)}
        missing = {merged.sources[path] for path, e in wanted.items() if e.digest not in self._kept}
        for source, body in read_bodies(self._blobs, layers, missing):  # hardlinked from a path that is no text
            data = b"".join(body)
            self._kept.update({e.digest: data for p, e in wanted.items() if e.digest and merged.sources[p] == source})
        return {path: self._kept[entry.digest] for path, entry in wanted.items() if entry.digest}

    def _items(self, reader: TarReader) -> list[Item]:
        items: list[Item] = []
        for header in reader:
            item = read_item(header, len(items), self.dropped)
            if item.verb is Verb.FILE:
                item = item._replace(digest=self._hash_body(item, reader))
            items.append(item)
            limits.check(len(items), limits.ENTRIES, "number of archive members")
            self._names_size += len(item.path) + len(item.target)
            limits.check(self._names_size, limits.NAMES, "characters of all paths and link targets")
        return items

    def _hash_body(self, item: Item, reader: TarReader) -> Digest:
        keep = _is_text(item.path, item.size)
        hasher = hashlib.sha256()
        pieces: list[bytes] = []
        for piece in reader.body():
            hasher.update(piece)
            if keep:
                pieces.append(piece)
        digest = Digest("sha256:" + hasher.hexdigest())
        if keep and digest not in self._kept:
            self._texts_size += item.size
            limits.check(self._texts_size, limits.TEXTS, "bytes of all templates and scripts")
            self._kept[digest] = b"".join(pieces)
        return digest


def read_bodies(blobs: Blobs, layers: tuple[Layer, ...], wanted: set[Source]) -> Bodies:
    """The bodies of some files in the order in which they lie in the layers. Raises ImageError.

    A layer of which nothing is wanted is not read. Take each body before going on to the next.
    """
    for number, layer in enumerate(layers):
        members = {source.member for source in wanted if source.layer == number}
        if not members:
            continue
        with open_layer(blobs, layer) as stream:
            reader = TarReader(stream, f"layer {layer.digest}")
            for member, _ in enumerate(reader):
                if member in members:
                    yield Source(number, member), reader.body()


def _is_text(path: str, size: int) -> bool:
    """A template must be small enough to be read; anything else in `scripts/` may be a large program."""
    if not wanted_text(path):
        return False
    if path.endswith((".tmpl", ".sh")):
        limits.check(size, limits.TEXT, f"{path}: bytes of a template or script")
    return size <= limits.TEXT
