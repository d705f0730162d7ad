"""The image store: an OCI layout on the operator's disk, and the ImageSource that everything else reads images from.

    oci-layout  index.json  index.lock  blobs/sha256/<hex>  ingest/

`index.json` is changed under a lock and written whole; a blob has its name before the index names it. A kill at any
point leaves the old index or the new one; what it leaves beside them is swept by the next change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from provisioner.errors import ImageError, LockedError, UsageError
from provisioner.files import atomic_write
from provisioner.image import index, limits
from provisioner.image.archive import write_stream
from provisioner.image.blobs import Blobs, Staging
from provisioner.image.cache import Cached, ChangesetCache
from provisioner.image.changeset import Source
from provisioner.image.disk import explain, writing
from provisioner.image.index import Row
from provisioner.image.layers import Reading, read_bodies
from provisioner.image.manifest import OCI_INDEX, Descriptor, parse_index, render_index
from provisioner.image.pin import blobs_of, find_inside, pin_image
from provisioner.image.reference import parse_reference
from provisioner.model.ids import Digest
from provisioner.model.images import Archive, Changeset, Codec, Entry, EntryKind, ImageRef, PinnedImage

LOCK_SECONDS = 60.0
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One line of `image ls`. `tag` is None for an image whose tag moved on; `size` is in bytes, of the layers.

    `problem` says why an image cannot be used; its `arch` is then empty and its `size` 0.
    """

    repository: str
    tag: str | None
    digest: Digest
    arch: str
    size: int
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """As `image ls -o json` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ImageDetail:
    """One image, looked at closely: `names` are all tags of the same digest, `history` the instructions it is made of."""

    image: PinnedImage
    names: tuple[str, ...]
    history: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As `image inspect` prints it."""
        return {**asdict(self.image), "names": list(self.names), "history": list(self.history)}


@dataclass(frozen=True, slots=True)
class Removed:
    """What `remove` did: the name that went, whether the image itself went too, and the bytes freed."""

    name: str
    digest: Digest
    gone: bool
    freed: int


class ImageStore:
    """Images below one folder (`settings.images_dir`); an ImageSource.

    `cache_dir` keeps merged file lists between runs; None keeps none. `arch` chooses within multi-platform images
    (GOARCH names); None takes a list's only image.
    """

    def __init__(self, root: Path, cache_dir: Path | None = None, *, arch: str | None = None) -> None:
        self.root = root
        self.blobs = Blobs(root)
        self._arch = arch
        self._cache = ChangesetCache(cache_dir / "changesets" if cache_dir else None)
        self._memory: dict[Digest, Cached] = {}

    def resolve(self, reference: str) -> PinnedImage:
        """Pin a reference; manifest and config are verified, every layer is there with its size.

        Raises UsageError (no reference), ImageError (missing, corrupt, refused).
        """
        ref = parse_reference(reference)
        row, _ = self._find(ref)
        image, _ = pin_image(self.blobs, row, ref, self._arch)
        return image

    def changeset(self, image: PinnedImage) -> Changeset:
        """The merged file list. Raises ImageError for a corrupt layer or a hostile archive."""
        return self._cached(image).changeset

    def write_archive(
        self,
        image: PinnedImage,
        changeset: Changeset,
        codec: Codec,
        target: Path,
        progress: Callable[[int], None] | None = None,
    ) -> Archive:
        """Write the rootfs stream of `changeset` to `target` (0600); `progress` gets the file bytes done so far.

        Raises ImageError; PreconditionError when the disk is full. Nothing is left at `target` then.
        """
        sources = self._cached(image).sources
        sharers: dict[Source, list[Entry]] = {}
        for entry in changeset.entries:
            if entry.kind is EntryKind.FILE:
                sharers.setdefault(_source(sources, entry), []).append(entry)
        found = read_bodies(self.blobs, image.layers, set(sharers))
        bodies = ((sharers[source], body) for source, body in found)
        return write_stream(changeset.entries, bodies, codec, target, progress)

    def list(self) -> tuple[ImageRow, ...]:
        """Every image, sorted by name; a damaged one is listed with its problem. Raises ImageError for a bad index."""
        return tuple(self._line(row) for row in self._rows())

    def inspect(self, reference: str) -> ImageDetail:
        """One image in detail. Raises as `resolve`."""
        ref = parse_reference(reference)
        found, rows = self._find(ref)
        image, history = pin_image(self.blobs, found, ref, self._arch)
        names = tuple(row.name for row in rows if row.tag and row.digest == found.digest)
        return ImageDetail(image, names, history)

    def tag(self, reference: str, new: str) -> PinnedImage:
        """Give an image one more name. Raises UsageError, ImageError, LockedError (store in use for a minute)."""
        target = _tag_of(new)
        with self._changing() as rows:
            row = index.find(rows, parse_reference(reference))
            self._write(index.add(rows, target, row.descriptor))
        return self.resolve(new)

    def remove(self, reference: str, in_use: Mapping[Digest, str] | None = None, *, force: bool = False) -> Removed:
        """Take one name away, and the image with it if that was its last; blobs that others share stay.

        Raises UsageError when a cluster runs the image (`in_use`: its name by digest) and it would go, unless `force`.
        """
        ref = parse_reference(reference)
        with self._changing() as rows:
            row = index.find(rows, ref, wanted=False)
            left = index.drop(rows, row)
            gone = all(other.digest != row.digest for other in left)
            running = sorted({(in_use or {})[digest] for digest in self._manifests(row) & (in_use or {}).keys()})
            if gone and not force and running:
                what = f"image {row.name} runs in the cluster {', '.join(running)}"
                raise UsageError(what, hint="take the cluster down first, or use --force")
            self._write(left)
            freed = self._collect(left)
        if gone:
            self._memory.pop(row.digest, None)
            self._cache.forget(row.digest)
        return Removed(row.name, row.digest, gone, freed)

    def commit(self, staging: Staging, ref: ImageRef, descriptor: Descriptor) -> PinnedImage:
        """Publish what was staged and let `ref` name its manifest. Raises PreconditionError (no space), LockedError."""
        with self._changing() as rows:
            staging.publish()
            self._write(index.add(rows, ref, descriptor))
        return self.resolve(str(ref))

    def _cached(self, image: PinnedImage) -> Cached:
        """From memory or disk if the layers are the files that were verified then; else read and keep."""
        stamps = tuple(self.blobs.stamp(layer) for layer in image.layers)
        layers = tuple(layer.digest for layer in image.layers)
        found = self._memory.get(image.digest) or self._cache.load(image.digest)
        if found is None or found.stamps != stamps or found.layers != layers:
            reading = Reading(self.blobs)
            merged = reading.merge(image.layers)
            texts = reading.texts(image.layers, merged)
            changes = Changeset(image.digest, merged.entries, texts, merged.total, reading.dropped.lines())
            found = Cached(changes, merged.sources, layers, stamps)
            self._cache.save(found)
        self._memory[image.digest] = found
        return found

    def _collect(self, left: tuple[Row, ...]) -> int:
        """Remove what no image needs. A damaged image's needs are unknown: as long as there is one, all blobs stay."""
        try:
            keep = frozenset[Digest]().union(*(blobs_of(self.blobs, row.descriptor) for row in left))
        except ImageError:
            return 0
        return self.blobs.remove_all_but(keep)

    def _manifests(self, row: Row) -> frozenset[Digest]:
        try:
            return frozenset({row.digest}) | blobs_of(self.blobs, row.descriptor)
        except ImageError:
            return frozenset({row.digest})

    def _find(self, ref: ImageRef) -> tuple[Row, tuple[Row, ...]]:
        rows = self._rows()
        if ref.digest and (inner := find_inside(self.blobs, rows, ref)):
            return inner, rows
        return index.find(rows, ref), rows

    def _line(self, row: Row) -> ImageRow:
        try:
            image, _ = pin_image(self.blobs, row, ImageRef(row.repository, row.tag, row.digest), self._arch)
        except ImageError as error:
            return ImageRow(row.repository, row.tag, row.digest, "", 0, error.message)
        return ImageRow(row.repository, row.tag, row.digest, image.arch, image.size)

    def _rows(self) -> tuple[Row, ...]:
        path = self.root / "index.json"
        try:
            with path.open("rb") as file:
                data = file.read(limits.MANIFEST + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise explain(error, "read", path) from error
        try:
            return index.rows_of(parse_index(data, OCI_INDEX, f"the image store's index {path}"))
        except ImageError as error:
            error.hint = error.hint or f"move {self.root} away and build the images again"
            raise

    def _write(self, rows: tuple[Row, ...]) -> None:
        atomic_write(self.root / "index.json", render_index(index.entries_of(rows)), mode=0o644)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Row, ...]]:
        """The index lock; inside it nobody else writes, so stray temporary files are dead ones."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(self.root / "index.lock", timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(f"the image store {self.root} is in use by another run") from error
        except OSError as error:
            raise explain(error, "lock", self.root) from error
        try:
            self._prepare()
            yield self._rows()
        finally:
            lock.release()

    def _prepare(self) -> None:
        if not (self.root / "oci-layout").exists():
            atomic_write(self.root / "oci-layout", _LAYOUT, mode=0o644)
        for stray in self.root.glob(".*.tmp"):
            with suppress(OSError):
                stray.unlink()
        self.blobs.sweep()


def _source(sources: Mapping[str, Source], entry: Entry) -> Source:
    try:
        return sources[entry.path]
    except KeyError as error:
        raise ImageError(f"{entry.path!r} is not in the image") from error


def _tag_of(text: str) -> ImageRef:
    ref = parse_reference(text)
    if ref.digest or not ref.tag:
        raise UsageError(f"{text!r} cannot be given as a name: it holds a digest", hint="write NAME:TAG")
    return ref
