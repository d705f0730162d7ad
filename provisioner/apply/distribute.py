"""The rootfs to every host: one archive per codec on our disk, one verified stream per host, a few at once."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioner.errors import InterruptedRunError, PreconditionError
from provisioner.model.facts import HostFacts, Unreadable
from provisioner.model.images import Archive, Changeset, Codec, EntryKind, ImageSource, PinnedImage

STREAMS = 8
"""Bulk streams at once: each holds up to 2 MiB in the transport, and eight fill any link we can feed."""


def choose_codec(facts: HostFacts | Unreadable | None) -> Codec:
    """Choose zstd where the host can decode it: fewer bytes, and cheaper to decode than anything else."""
    return Codec.ZSTD if isinstance(facts, HostFacts) and "zstd" in facts.tools else Codec.PLAIN


def count_entries(changeset: Changeset) -> tuple[int, int]:
    """Files and symlinks: what must lie on the host afterwards, no more and no less."""
    kinds = [entry.kind for entry in changeset.entries]
    return kinds.count(EntryKind.FILE), kinds.count(EntryKind.SYMLINK)


def link_lines(changeset: Changeset) -> bytes:
    """Every symlink as two lines, its path and its target: neither holds a line end, or it would not be in an image."""
    links = [entry for entry in changeset.entries if entry.kind is EntryKind.SYMLINK]
    return "".join(f"{entry.path}\n{entry.target}\n" for entry in links).encode()


class Archives:
    """The archives of one image, each written when first asked for, and gone afterwards. A context manager."""

    def __init__(
        self, source: ImageSource, image: PinnedImage, changeset: Changeset, folder: Path | None = None
    ) -> None:
        """`folder`: where the archives go while they are needed; None for the system's temporary folder."""
        self.image = image
        self.changeset = changeset
        self.gate = asyncio.Semaphore(STREAMS)
        self._source = source
        self._parent = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writing: dict[Codec, asyncio.Task[Archive]] = {}
        self._closing = False

    def begin(self, codec: Codec) -> None:
        """Write the archive from now on, while the caller does other things; what goes wrong is raised by `get`."""
        if codec not in self._writing:
            self._writing[codec] = asyncio.create_task(asyncio.to_thread(self._write, codec))

    async def get(self, codec: Codec) -> Archive:
        """The archive in that codec. Raises ImageError; PreconditionError when our disk is full."""
        self.begin(codec)
        return await asyncio.shield(self._writing[codec])  # several hosts wait for it; one giving up ends it for none

    def _write(self, codec: Codec) -> Archive:
        if self._folder is None:
            self._folder = self._make_folder()
        target = Path(self._folder.name) / f"rootfs.{codec.value}"
        return self._source.write_archive(self.image, self.changeset, codec, target, self._go_on)

    def _go_on(self, _done: int) -> None:
        """Nobody waits for an archive that was begun early and is not needed any more, least of all at a Ctrl-C."""
        if self._closing:
            raise InterruptedRunError("the archive is not needed any more")

    def _make_folder(self) -> tempfile.TemporaryDirectory[str]:
        try:
            return tempfile.TemporaryDirectory(prefix="sealer-cloud-", dir=self._parent)
        except OSError as error:
            raise PreconditionError(
                f"cannot make a folder in {self._parent or tempfile.gettempdir()}: {error.strerror}",
                hint="free some space there and run the same command again",
            ) from error

    async def close(self) -> None:
        """Remove the archives; one that is being written is given up."""
        self._closing = True
        await asyncio.gather(*self._writing.values(), return_exceptions=True)
        self._writing.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()


def share_sent(sent: int, archive: Archive) -> int:
    """Bytes of the uncompressed rootfs that `sent` bytes of the archive stand for: what progress shows."""
    return archive.total if sent >= archive.size else archive.total * sent // max(archive.size, 1)
