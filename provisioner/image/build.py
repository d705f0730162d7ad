"""`image build`: a Kubefile and a context become an image in the store; the same input gives the same digest.

One zstd layer per COPY: sorted, owned by root, modes 0755 or 0644 by the x bit, one fixed time for everything.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import zstandard

from provisioner.errors import ImageError, InvalidFileError, Problem, UsageError
from provisioner.image import limits, tarwrite
from provisioner.image.blobs import CHUNK, Staging, open_new
from provisioner.image.changeset import Merger
from provisioner.image.context import Context, CopyError, Picked
from provisioner.image.disk import explain, writing
from provisioner.image.extension import KEY, render_extension
from provisioner.image.items import Item, Verb
from provisioner.image.kubefile import Kubefile, parse_kubefile
from provisioner.image.manifest import (
    OCI_CONFIG,
    OCI_MANIFEST,
    ZSTD_LAYER,
    Config,
    Descriptor,
    render_config,
    render_manifest,
)
from provisioner.image.reference import parse_reference
from provisioner.image.store import ImageStore
from provisioner.model.ids import Digest
from provisioner.model.images import EntryKind, PinnedImage

LEVEL = 3
DEFAULT_KUBEFILE = "Kubefile"
Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes to read."""
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCH = re.compile(r"[a-z0-9]{1,20}")
_VERBS = {EntryKind.DIR: Verb.DIR, EntryKind.FILE: Verb.FILE, EntryKind.SYMLINK: Verb.SYMLINK}


def machine_arch() -> str:
    """The architecture of the machine we run on, as images name it."""
    machine = platform.machine()
    return _ARCHES.get(machine, machine)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build. `epoch` (seconds, SOURCE_DATE_EPOCH) is the time of every file; `arch` is a GOARCH name."""

    kubefile: Path
    context: Path
    tag: str
    arch: str = field(default_factory=machine_arch)
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class _Written:
    descriptor: Descriptor
    diff_id: Digest
    items: tuple[Item, ...]


def build_image(request: BuildRequest, store: ImageStore, progress: Progress | None = None) -> PinnedImage:
    """Build and store an image, and prove that it reads back.

    Raises UsageError (InvalidFileError with all problems of the Kubefile and its sources), AccessError for a file that
    may not be read, ImageError for a tree that no host could hold, PreconditionError when the disk is full.
    """
    ref = parse_reference(request.tag)
    if ref.digest:
        raise UsageError(f"{request.tag!r} holds a digest, which is the result of a build", hint="write NAME:TAG")
    if not _ARCH.fullmatch(request.arch):
        raise UsageError(f"{request.arch!r} is no architecture", hint="amd64 and arm64 are")
    if not 0 <= request.epoch < 8**11:
        raise UsageError(f"the time {request.epoch} (SOURCE_DATE_EPOCH) is not possible")
    kubefile = parse_kubefile(_read_kubefile(request.kubefile), str(request.kubefile))
    layers = _plan(request, kubefile)
    with Staging(store.blobs) as staging:
        written = _write_layers(staging, layers, request.epoch, progress)
        descriptor = _write_manifest(staging, request, kubefile, written)
        image = store.commit(staging, ref, descriptor)
    store.changeset(image)
    return image


def _read_kubefile(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limits.KUBEFILE + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"there is no Kubefile at {path.absolute()}", hint="name it with -f") from error
    except OSError as error:
        raise explain(error, "read", path) from error


def _plan(request: BuildRequest, kubefile: Kubefile) -> list[dict[str, Picked]]:
    """What each COPY brings. Raises InvalidFileError with the problems of all of them."""
    name = str(request.kubefile)
    if not kubefile.copies:
        raise InvalidFileError([Problem(name, 1, 1, "COPY", "nothing is copied, so there is nothing to lay on a host")])
    context = Context(request.context)
    tree: dict[str, EntryKind] = {}
    layers: list[dict[str, Picked]] = []
    problems: list[Problem] = []
    for step in kubefile.copies:
        try:
            picked = context.pick(step, request.arch, tree)
        except CopyError as error:
            problems.append(error.at(step, name))
            continue
        tree |= {path: one.entry.kind for path, one in picked.items()}
        layers.append(picked)
    if problems:
        raise InvalidFileError(problems)
    return layers


def _write_layers(
    staging: Staging, layers: list[dict[str, Picked]], epoch: int, progress: Progress | None
) -> list[_Written]:
    """Write every layer; then merge them as a reader will, so that what cannot be read is never published."""
    total = sum(one.entry.size for layer in layers for one in layer.values())
    limits.check(total, limits.TOTAL, "bytes of all files")
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress(done, total)

    written = [_write_layer(staging, layer, epoch, count) for layer in layers]
    merger = Merger()
    for layer in written:
        merger.add_layer(layer.items)
    merger.merged()
    return written


def _write_layer(staging: Staging, picked: Mapping[str, Picked], epoch: int, count: Callable[[int], None]) -> _Written:
    path = staging.new_file()
    with writing(path), open_new(path) as file:  # closing writes too, so it must be inside
        sink = _Sink(file)
        items = tuple(_write_member(sink, picked[name], epoch, count) for name in sorted(picked))
        sink.write(tarwrite.trailer(sink.written))
        sink.close()
    limits.check_ratio(sink.written, sink.stored, "this layer")
    staging.stage(path, sink.digest)
    return _Written(Descriptor(ZSTD_LAYER, sink.digest, sink.stored), sink.diff_id, items)


def _write_member(sink: _Sink, picked: Picked, epoch: int, count: Callable[[int], None]) -> Item:
    entry = picked.entry
    item = Item(entry.path, _VERBS[entry.kind], entry.mode, entry.size, target=entry.target)
    sink.write(tarwrite.header(entry, epoch))
    if entry.kind is not EntryKind.FILE:
        return item
    hasher = hashlib.sha256()
    for piece in _read_exactly(picked.real, entry.size):
        hasher.update(piece)
        sink.write(piece)
        count(len(piece))
    sink.write(tarwrite.padding(entry.size))
    return item._replace(digest=Digest("sha256:" + hasher.hexdigest()))


def _read_exactly(path: Path, size: int) -> Iterator[bytes]:
    """A context file's bytes: a regular file, of the size that its header has said."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            left = size if stat.S_ISREG(os.fstat(descriptor).st_mode) else -1
            while left > 0 and (piece := file.read(min(left, CHUNK))):
                left -= len(piece)
                yield piece
            same = left == 0 and not file.read(1)
    except OSError as error:
        raise explain(error, "read", path) from error
    if not same:
        raise UsageError(f"{path} changed while it was read", hint="build again when nothing writes to the context")


def _write_manifest(staging: Staging, request: BuildRequest, kubefile: Kubefile, written: list[_Written]) -> Descriptor:
    config = Config(
        os="linux",
        arch=request.arch,
        env=kubefile.env,
        labels=kubefile.labels,
        diff_ids=tuple(layer.diff_id for layer in written),
        history=_history(kubefile),
    )
    data = render_config(config, datetime.fromtimestamp(request.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    named = Descriptor(OCI_CONFIG, staging.add(data), len(data))
    notes = {KEY: render_extension(kubefile.env, kubefile.labels, kubefile.cmds)}
    manifest = render_manifest(named, [layer.descriptor for layer in written], notes)
    if len(data) > limits.CONFIG or len(manifest) > limits.MANIFEST:
        raise ImageError("the Kubefile's env, labels and commands are too large for an image")
    return Descriptor(OCI_MANIFEST, staging.add(manifest), len(manifest), os="linux", arch=request.arch)


def _history(kubefile: Kubefile) -> tuple[str, ...]:
    env = (f"ENV {key}={value}" for key, value in kubefile.env.items())
    labels = (f"LABEL {key}={value}" for key, value in kubefile.labels.items())
    return (*(step.text for step in kubefile.copies), *env, *labels, *(f"CMD {cmd}" for cmd in kubefile.cmds))


class _Sink:
    """A layer file: tar bytes in, zstd out, both hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._coder = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
        self._tar = hashlib.sha256()
        self._zstd = hashlib.sha256()
        self.written = 0
        self.stored = 0

    def write(self, data: bytes) -> None:
        self._tar.update(data)
        self.written += len(data)
        self._store(self._coder.compress(data))

    def close(self) -> None:
        self._store(self._coder.flush())
        self._file.flush()

    def _store(self, data: bytes) -> None:
        self._zstd.update(data)
        self.stored += len(data)
        self._file.write(data)

    @property
    def diff_id(self) -> Digest:
        return Digest("sha256:" + self._tar.hexdigest())

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._zstd.hexdigest())
