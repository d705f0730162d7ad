"""OCI manifests, indexes and configs as frozen values: parsed strictly from bytes, rendered canonically. Pure.

Whoever calls has already matched the bytes with a digest. Every digest in them is parsed before it is used for
anything, a blob that looks like a manifest and an index at once is refused (CVE-2021-41190), unknown schema versions
are refused, and a media type is required wherever one blob names another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.errors import ImageError, UsageError
from provisioner.image import limits
from provisioner.model.ids import Digest, parse_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
LAYERS: Mapping[str, str] = {
    OCI_LAYER: "plain",
    f"{OCI_LAYER}+gzip": "gzip",
    f"{OCI_LAYER}+zstd": "zstd",
    DOCKER_LAYER: "plain",
    f"{DOCKER_LAYER}.gzip": "gzip",
}
"""Layer media types that we read, and how each is compressed."""

ZSTD_LAYER = f"{OCI_LAYER}+zstd"
SCHEMA = 2
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How one blob names another: type, digest, exact size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    os: str = ""
    arch: str = ""

    def to_json(self) -> dict[str, object]:
        """The descriptor as OCI writes it."""
        out: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.os or self.arch:
            out["platform"] = {"architecture": self.arch, "os": self.os}
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        return out


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests: an image for several platforms, or the store's own table."""

    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """What we use of an image config. `diff_ids` are the digests of the uncompressed layers, in order."""

    os: str
    arch: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    diff_ids: tuple[Digest, ...]
    history: tuple[str, ...] = ()


def parse_manifest(data: bytes, media_type: str, what: str) -> Manifest:
    """A manifest. `what` names the blob in errors. Raises ImageError."""
    body = _versioned(data, media_type, what)
    if "manifests" in body:
        raise ImageError(f"{what} is a manifest and an index at once: refused")
    config = _descriptor(body.get("config"), f"{what}: config")
    if config.media_type not in CONFIGS:
        raise ImageError(f"{what}: the config's media type {config.media_type!r} is not one we read")
    layers = tuple(_layer(item, f"{what}: layer {n}") for n, item in enumerate(_list(body.get("layers"), what), 1))
    if not layers:
        raise ImageError(f"{what} has no layers: there is nothing to lay on a host")
    limits.check(len(layers), limits.LAYERS, f"{what}: number of layers")
    return Manifest(config, layers, _texts(body.get("annotations"), what))


def parse_index(data: bytes, media_type: str, what: str) -> Index:
    """An index. Raises ImageError."""
    body = _versioned(data, media_type, what)
    if "layers" in body or "config" in body:
        raise ImageError(f"{what} is a manifest and an index at once: refused")
    return Index(tuple(_descriptor(item, what) for item in _list(body.get("manifests"), what)))


def parse_config(data: bytes, what: str) -> Config:
    """An image config. Raises ImageError, also for a rootfs that is not made of layers."""
    body = _object(load_json(data, limits.CONFIG, what), what)
    rootfs = _object(body.get("rootfs"), f"{what}: rootfs")
    if rootfs.get("type") != "layers":
        raise ImageError(f"{what}: a rootfs of type {rootfs.get('type')!r} is not one we read")
    inner = _object(body.get("config") or {}, f"{what}: config")
    return Config(
        os=_text(body.get("os"), f"{what}: os"),
        arch=_text(body.get("architecture"), f"{what}: architecture"),
        env=_env(inner.get("Env"), what),
        labels=_texts(inner.get("Labels"), what),
        diff_ids=tuple(_digest(item, what) for item in _list(rootfs.get("diff_ids"), what)),
        history=tuple(_created_by(item, what) for item in _list(body.get("history") or [], what)),
    )


def render_manifest(config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    """A manifest's bytes; the same values give the same bytes."""
    body: dict[str, object] = {
        "schemaVersion": SCHEMA,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    return canonical(body)


def render_index(manifests: Sequence[Descriptor]) -> bytes:
    """An index's bytes."""
    rows = [row.to_json() for row in manifests]
    return canonical({"schemaVersion": SCHEMA, "mediaType": OCI_INDEX, "manifests": rows})


def render_config(config: Config, created: str) -> bytes:
    """A config's bytes. `created` is RFC 3339; each line of history names the instruction it came from."""
    return canonical(
        {
            "created": created,
            "architecture": config.arch,
            "os": config.os,
            "config": {"Env": [f"{k}={v}" for k, v in config.env.items()], "Labels": dict(config.labels)},
            "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
            "history": [
                {"created": created, "created_by": line} | ({} if line.startswith("COPY ") else {"empty_layer": True})
                for line in config.history
            ],
        }
    )


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no spaces: equal values, equal bytes, equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load_json(data: bytes, limit: int, what: str) -> object:
    """Parse bounded JSON; a repeated key is refused, as two readers would see two values. Raises ImageError."""
    limits.check(len(data), limit, f"{what}: bytes")
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"{what} is not readable as JSON: {error}", hint="the image is damaged; build it anew"
        ) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return out


def _versioned(data: bytes, media_type: str, what: str) -> dict[str, object]:
    body = _object(load_json(data, limits.MANIFEST, what), what)
    version = body.get("schemaVersion")
    if version != SCHEMA or isinstance(version, bool):
        raise ImageError(f"{what}: schema version {version!r} is not one we read (2 is)")
    stated = body.get("mediaType", media_type)
    if stated != media_type:
        raise ImageError(f"{what} calls itself {stated!r} but was named as {media_type!r}: refused")
    return body


def _layer(value: object, what: str) -> Descriptor:
    layer = _descriptor(value, what)
    if layer.media_type not in LAYERS:
        raise ImageError(
            f"{what}: media type {layer.media_type!r} is not one we read", hint="plain, gzip and zstd layers are read"
        )
    return layer


def _descriptor(value: object, what: str) -> Descriptor:
    body = _object(value, what)
    size = body.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= limits.TOTAL:
        raise ImageError(f"{what}: size {size!r} is not possible")
    platform = _object(body.get("platform") or {}, f"{what}: platform")
    return Descriptor(
        media_type=_text(body.get("mediaType"), f"{what}: mediaType"),
        digest=_digest(body.get("digest"), what),
        size=size,
        annotations=_texts(body.get("annotations"), what),
        os=_text(platform["os"], what) if "os" in platform else "",
        arch=_text(platform["architecture"], what) if "architecture" in platform else "",
    )


def _digest(value: object, what: str) -> Digest:
    try:
        return parse_digest(_text(value, f"{what}: digest"))
    except UsageError as error:
        raise ImageError(f"{what}: {error.message}", hint="only sha256 digests are read") from error


def _env(value: object, what: str) -> dict[str, str]:
    pairs = (_text(item, f"{what}: Env").partition("=") for item in _list(value or [], what))
    return {key: text for key, _, text in pairs}


def _created_by(value: object, what: str) -> str:
    return str(_object(value, what).get("created_by", ""))


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ImageError(f"{what}: an object is missing")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ImageError(f"{what}: a list is missing")
    return value


def _text(value: object, what: str) -> str:
    text = _any_text(value, what)
    if not text:
        raise ImageError(f"{what}: a text is empty")
    return text


def _texts(value: object, what: str) -> dict[str, str]:
    out = _object({} if value is None else value, what)
    return {key: _any_text(item, f"{what}: {key}") for key, item in out.items()}


def _any_text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ImageError(f"{what}: a text is missing")
    if _HALF.search(value):  # JSON can spell half characters; nothing can write them
        raise ImageError(f"{what}: the text is not Unicode")
    return value
