"""The rootfs stream: a tar that we write ourselves from verified bytes, with a manifest for `sha256sum -c`.

Directories come first, then files in the order in which their bytes are read, then symlinks: nothing can be written
through a link. A file's bytes are matched with its digest while they pass; the target has its name only when all did.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import zstandard

from provisioner.errors import ImageError
from provisioner.image import tarwrite
from provisioner.image.blobs import CHUNK, REBUILD, open_new
from provisioner.image.disk import writing
from provisioner.model.images import Archive, Codec, Entry, EntryKind

LEVEL = 3
MAX_THREADS = 4
Bodies = Iterable[tuple[Sequence[Entry], Iterator[bytes]]]
"""Files that share content, and that content, in reading order. Every file of the archive stands in exactly one."""
Progress = Callable[[int], None]
"""Called with the number of file bytes done so far."""


@dataclass(slots=True)
class _Output:
    """Where tar bytes go: counted, and coded on the way."""

    sink: _Coded
    progress: Progress
    written: int = 0
    done: int = 0
    seen: set[str] = field(default_factory=set)

    def write(self, data: bytes) -> None:
        self.sink.write(data)
        self.written += len(data)

    def write_body(self, data: bytes) -> None:
        self.write(data)
        self.done += len(data)
        self.progress(self.done)


def write_stream(
    entries: Sequence[Entry], bodies: Bodies, codec: Codec, target: Path, progress: Progress | None = None
) -> Archive:
    """Write `entries` as a rootfs stream to `target` (0600), whole or not at all; memory stays bounded.

    The file is not synced: it is a thing to send, made anew by each run. Raises ImageError for bytes that are not what
    their entry says, PreconditionError when the disk is full.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with writing(target), open_new(temporary) as file:  # closing writes too, so it must be inside
            _write_tar(entries, bodies, _Coded(file, codec), progress or _ignore)
            size = os.fstat(file.fileno()).st_size
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    files = [entry for entry in entries if entry.kind is EntryKind.FILE]
    return Archive(target, codec, size, sum(entry.size for entry in files), manifest_of(files))


def manifest_of(entries: Iterable[Entry]) -> bytes:
    """`sha256sum -c` lines for the files among `entries`, in path order.

    Names are written as they are: they hold no line end, and an unescaped backslash is read literally.
    """
    files = sorted((e for e in entries if e.digest is not None), key=lambda entry: entry.path)
    return "".join(f"{str(e.digest).removeprefix('sha256:')}  {e.path}\n" for e in files).encode()


class _Coded:
    """The target file behind its codec; `close` ends the frame."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file = file
        self._coder = zstandard.ZstdCompressor(level=LEVEL, threads=_threads(), write_checksum=True).compressobj()
        self._zstd = codec is Codec.ZSTD

    def write(self, data: bytes) -> None:
        self._file.write(self._coder.compress(data) if self._zstd else data)

    def close(self) -> None:
        if self._zstd:
            self._file.write(self._coder.flush())
        self._file.flush()


def _write_tar(entries: Sequence[Entry], bodies: Bodies, sink: _Coded, progress: Progress) -> None:
    out = _Output(sink, progress)
    for entry in entries:
        if entry.kind is EntryKind.DIR:
            out.write(tarwrite.header(entry))
    for sharers, body in bodies:
        _write_shared(out, sharers, body)
    for entry in entries:
        if entry.kind is EntryKind.SYMLINK:
            out.write(tarwrite.header(entry))
    out.write(tarwrite.trailer(out.written))
    left = [entry.path for entry in entries if entry.kind is EntryKind.FILE and entry.path not in out.seen]
    if left:
        raise ImageError(f"the image's layers do not hold {left[0]!r}", hint=REBUILD)
    sink.close()


def _write_shared(out: _Output, sharers: Sequence[Entry], body: Iterator[bytes]) -> None:
    first, *others = sharers
    if not others:
        _write_file(out, first, body)
        return
    with TemporaryFile() as spool:  # hardlinks become copies; their content passes only once
        _write_file(out, first, _tee(body, spool))
        for entry in others:
            spool.seek(0)
            _write_file(out, entry, iter(lambda: spool.read(CHUNK), b""))


def _write_file(out: _Output, entry: Entry, body: Iterator[bytes]) -> None:
    out.write(tarwrite.header(entry))
    hasher = hashlib.sha256()
    size = 0
    for piece in body:
        hasher.update(piece)
        size += len(piece)
        out.write_body(piece)
    if size != entry.size or f"sha256:{hasher.hexdigest()}" != entry.digest:
        raise ImageError(f"{entry.path!r} is not what the image's file list says", hint=REBUILD)
    out.write(tarwrite.padding(size))
    out.seen.add(entry.path)


def _tee(body: Iterator[bytes], spool: BinaryIO) -> Iterator[bytes]:
    for piece in body:
        spool.write(piece)
        yield piece


def _threads() -> int:
    return min(MAX_THREADS, os.cpu_count() or 1)


def _ignore(_done: int) -> None:
    """Show no progress."""
