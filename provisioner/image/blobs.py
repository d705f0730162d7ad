"""Blobs on disk by digest: verified before they are used, staged before they have their name.

`blobs/sha256/<hex>`: whole, never changed, only added by rename or removed under the index lock.
`ingest/<random>/`: being written; its owner holds a kernel lock on the folder, so that a dead one is known.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.disk import explain, writing
from provisioner.model.ids import Digest, hex_of

CHUNK = 1 << 20
REBUILD = "build the image again: sealer-cloud image build …"
Stamp = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime of a blob: unchanged, the bytes are those that were verified."""


class Blob(Protocol):
    """What names a blob: its digest and exact size."""

    @property
    def digest(self) -> Digest:
        """sha256 of its bytes."""

    @property
    def size(self) -> int:
        """Bytes."""


class Blobs:
    """The blob folder of one store."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "blobs" / "sha256"
        self.ingest = root / "ingest"

    def path(self, digest: Digest) -> Path:
        """Where a blob lies. The digest was parsed, so it is 64 hex characters and no path."""
        return self.folder / hex_of(digest)

    def stamp(self, blob: Blob) -> Stamp:
        """What tells cheaply that a verified blob is still the same file. Raises ImageError when it is missing."""
        with self._reading(blob):
            info = self.path(blob.digest).stat(follow_symlinks=False)
        return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)

    def read(self, blob: Blob, limit: int, what: str) -> bytes:
        """A small blob's bytes, verified. Raises ImageError: missing, too large, corrupt."""
        limits.check(blob.size, limit, f"{what}: bytes")
        with self.open(blob) as file:
            return file.read(blob.size)

    @contextmanager
    def open(self, blob: Blob) -> Iterator[BinaryIO]:
        """A blob's file, at its start, after *all* its bytes matched size and digest. Raises ImageError."""
        with self._reading(blob):
            descriptor = os.open(self.path(blob.digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            with self._reading(blob):
                self._verify(file, blob)
                file.seek(0)
            yield file

    def _verify(self, file: BinaryIO, blob: Blob) -> None:
        size = os.fstat(file.fileno()).st_size
        if size != blob.size:
            raise ImageError(f"blob {blob.digest} is corrupt: {size} bytes instead of {blob.size}", hint=REBUILD)
        hasher = hashlib.sha256()
        while piece := file.read(CHUNK):
            hasher.update(piece)
        if hasher.hexdigest() != hex_of(blob.digest):
            raise ImageError(f"blob {blob.digest} is corrupt: its bytes have another digest", hint=REBUILD)

    @contextmanager
    def _reading(self, blob: Blob) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ImageError(f"blob {blob.digest} is missing from the image store", hint=REBUILD) from error
        except OSError as error:
            raise ImageError(f"blob {blob.digest} cannot be read: {error.strerror}", hint=REBUILD) from error

    def remove_all_but(self, keep: frozenset[Digest]) -> int:
        """Remove every blob that is not in `keep`; returns the bytes freed. Call it under the index lock only."""
        names = {hex_of(digest) for digest in keep}
        freed = 0
        with writing(self.folder):
            for file in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
                if file.name not in names:
                    freed += file.stat(follow_symlinks=False).st_size
                    file.unlink()
        return freed

    def sweep(self) -> None:
        """Remove what dead writers left in `ingest/`: folders whose kernel lock is free."""
        for folder in sorted(self.ingest.iterdir()) if self.ingest.is_dir() else []:
            with suppress(OSError), _locked_folder(folder):
                shutil.rmtree(folder)


class Staging:
    """Blobs being written, out of everyone's sight until `publish`. A context manager: what is left goes at the end."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._folder = blobs.ingest / secrets.token_hex(8)
        self._staged: dict[Digest, Path] = {}
        self._lock = -1

    def __enter__(self) -> Self:
        with writing(self._folder):
            self._folder.mkdir(parents=True, mode=0o700)
            self._lock = _lock_folder(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def new_file(self) -> Path:
        """A fresh path in the staging folder, for `stage`."""
        return self._folder / secrets.token_hex(8)

    def stage(self, path: Path, digest: Digest) -> None:
        """Take a file that its writer has hashed while writing; it is synced here."""
        with writing(path):
            _sync(path)
        self._staged[digest] = path

    def add(self, data: bytes) -> Digest:
        """Stage a small blob."""
        digest = digest_of(data)
        path = self.new_file()
        with writing(path):
            path.write_bytes(data)
        self.stage(path, digest)
        return digest

    def publish(self) -> None:
        """Give every staged blob its name. Call it under the index lock only, before the index names them."""
        folder = self._blobs.folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for digest, path in self._staged.items():
                path.chmod(0o444)
                path.replace(self._blobs.path(digest))  # over an existing one too: that one may be corrupt
            _sync(folder)
        self._staged.clear()


def digest_of(data: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def open_new(path: Path) -> BinaryIO:
    """A new file (0600) that must not exist yet. Raises PreconditionError or AccessError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain(error, "write", path) from error
    return os.fdopen(descriptor, "w+b")


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    descriptor = _lock_folder(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_folder(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
