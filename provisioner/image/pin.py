"""From an index entry to a pinned image: manifest and config read, verified and matched with each other."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.blobs import REBUILD, Blobs
from provisioner.image.env import env_complaint
from provisioner.image.extension import read_cmds
from provisioner.image.index import Row
from provisioner.image.manifest import (
    INDEXES,
    MANIFESTS,
    Config,
    Descriptor,
    Manifest,
    parse_config,
    parse_index,
    parse_manifest,
)
from provisioner.model.ids import Digest
from provisioner.model.images import ImageRef, Layer, PinnedImage


def pin_image(blobs: Blobs, row: Row, ref: ImageRef, arch: str | None) -> tuple[PinnedImage, tuple[str, ...]]:
    """The image that an index row names, for `arch`, and its history. Raises ImageError naming the blob at fault."""
    what = f"image {row.name}"
    descriptor = _choose(blobs, row.descriptor, arch, what)
    manifest = _manifest(blobs, descriptor)
    config = parse_config(blobs.read(manifest.config, limits.CONFIG, "config"), f"config {manifest.config.digest}")
    if config.os != "linux":
        raise ImageError(f"{what} is for {config.os}, not for linux", hint="build it for linux")
    _check_env(config, what)
    layers = _layers(manifest, config, what)
    for layer in layers:
        _check_there(blobs, layer)
    image = PinnedImage(
        reference=str(ref),
        repository=row.repository,
        digest=descriptor.digest,
        arch=config.arch,
        env=config.env,
        labels=config.labels,
        cmd=read_cmds(manifest.annotations, what),
        layers=layers,
        size=sum(layer.size for layer in layers),
    )
    return image, config.history


def blobs_of(blobs: Blobs, descriptor: Descriptor) -> frozenset[Digest]:
    """Every blob that an image needs. Raises ImageError when that cannot be known: then nothing may be removed."""
    if descriptor.media_type in INDEXES:
        inner = parse_index(_read(blobs, descriptor), descriptor.media_type, f"index {descriptor.digest}")
        return frozenset({descriptor.digest}).union(*(blobs_of(blobs, entry) for entry in inner.manifests))
    manifest = _manifest(blobs, descriptor)
    return frozenset({descriptor.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)})


def find_inside(blobs: Blobs, rows: Sequence[Row], ref: ImageRef) -> Row | None:
    """The row for one platform of a multi-platform image, meant by that platform's own digest. Raises ImageError."""
    for row in rows:
        if row.repository == ref.repository and row.descriptor.media_type in INDEXES and row.digest != ref.digest:
            inner = parse_index(_read(blobs, row.descriptor), row.descriptor.media_type, f"index {row.digest}")
            for entry in inner.manifests:
                if entry.digest == ref.digest:
                    return Row(row.repository, None, entry)
    return None


def _choose(blobs: Blobs, descriptor: Descriptor, arch: str | None, what: str) -> Descriptor:
    if descriptor.media_type not in INDEXES:
        return descriptor
    inner = parse_index(_read(blobs, descriptor), descriptor.media_type, f"index {descriptor.digest}")
    fitting = [m for m in inner.manifests if m.os in {"", "linux"} and (arch is None or m.arch in {"", arch})]
    if len(fitting) != 1 or fitting[0].media_type in INDEXES:
        have = ", ".join(sorted(f"{m.os}/{m.arch}" for m in inner.manifests)) or "nothing"
        raise ImageError(f"{what} is for {have}: there is not exactly one for linux/{arch or 'any'}")
    return fitting[0]


def _manifest(blobs: Blobs, descriptor: Descriptor) -> Manifest:
    what = f"manifest {descriptor.digest}"
    if descriptor.media_type not in MANIFESTS:
        raise ImageError(f"{what}: media type {descriptor.media_type!r} is not one we read")
    return parse_manifest(_read(blobs, descriptor), descriptor.media_type, what)


def _read(blobs: Blobs, descriptor: Descriptor) -> bytes:
    return blobs.read(descriptor, limits.MANIFEST, "manifest")


def _check_env(config: Config, what: str) -> None:
    """Other people's builders check nothing, and what no host could take must not be found after machines were made."""
    for key, value in config.env.items():
        if complaint := env_complaint(key, value):
            raise ImageError(f"{what}: ENV {key[:80]!r}: {complaint}", hint="build the image anew without it")


def _layers(manifest: Manifest, config: Config, what: str) -> tuple[Layer, ...]:
    if len(manifest.layers) != len(config.diff_ids):
        raise ImageError(f"{what}: the manifest names {len(manifest.layers)} layers, the config {len(config.diff_ids)}")
    pairs = zip(manifest.layers, config.diff_ids, strict=True)
    return tuple(Layer(layer.digest, layer.size, diff_id, layer.media_type) for layer, diff_id in pairs)


def _check_there(blobs: Blobs, layer: Layer) -> None:
    size = blobs.stamp(layer)[2]
    if size != layer.size:
        raise ImageError(f"blob {layer.digest} is corrupt: {size} bytes instead of {layer.size}", hint=REBUILD)
