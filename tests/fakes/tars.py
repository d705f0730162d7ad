"""Tar headers by hand, honest and hostile: every field can be set to anything."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from provisioner.image.tarread import Header, TarReader

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
END = bytes(1024)


@dataclass
class Member:
    """One header with its body. `size` None: the body's; `raw_size` replaces the 12 bytes of the field."""

    name: bytes
    body: bytes = b""
    kind: bytes = b"0"
    link: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int | None = None
    raw_size: bytes = b""
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""
    checksum: bytes = b""

    def to_bytes(self) -> bytes:
        size = len(self.body) if self.size is None else self.size
        block = (
            self.name.ljust(100, b"\0")[:100]
            + b"%07o\0" % self.mode
            + _owner(self.uid)
            + _owner(self.gid)
            + (self.raw_size or b"%011o\0" % size)
            + b"%011o\0" % 0
            + b" " * 8
            + self.kind
            + self.link.ljust(100, b"\0")[:100]
            + self.magic
        ).ljust(345, b"\0") + self.prefix.ljust(155, b"\0")
        block = block.ljust(512, b"\0")
        block = block[:148] + (self.checksum or b"%06o\0 " % sum(block)) + block[156:]
        return block + self.body + bytes(-len(self.body) % 512)


def _owner(value: int) -> bytes:
    return b"%07o\0" % value if value < 8**7 else b"\x80" + value.to_bytes(7, "big")


def pax(records: dict[bytes, bytes] | bytes, kind: bytes = b"x") -> bytes:
    body = records if isinstance(records, bytes) else b"".join(pax_record(k, v) for k, v in records.items())
    return Member(b"PaxHeaders/x", body, kind).to_bytes()


def pax_record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def tar(*parts: Member | bytes, end: bytes = END) -> bytes:
    return b"".join(part if isinstance(part, bytes) else part.to_bytes() for part in parts) + end


def directory(name: bytes, mode: int = 0o755) -> Member:
    return Member(name, kind=b"5", mode=mode)


def symlink(name: bytes, target: bytes) -> Member:
    return Member(name, kind=b"2", link=target, mode=0o777)


def hardlink(name: bytes, target: bytes) -> Member:
    return Member(name, kind=b"1", link=target)


def read_all(data: bytes) -> list[tuple[Header, bytes]]:
    reader = TarReader(io.BytesIO(data), "layer")
    return [(header, b"".join(reader.body())) for header in reader]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(data: bytes, codec: str) -> bytes:
    match codec:
        case "zstd":
            return zstandard.ZstdCompressor().compress(data)
        case "gzip":
            return gzip.compress(data, mtime=0)
        case _:
            return data


class Layout:
    """An OCI layout written by hand: any bytes anywhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.entries: list[dict[str, object]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, object]:
        name = digest(data)
        (self.root / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    def json(self, value: object, media_type: str) -> dict[str, object]:
        return self.blob(json.dumps(value).encode(), media_type)

    def image(self, name: str, layers: Sequence[bytes], codec: str = "zstd", **config: object) -> dict[str, object]:
        suffix = "" if codec == "plain" else f"+{codec}"
        body = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        } | config
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.json(body, OCI_CONFIG),
            "layers": [self.blob(pack(layer, codec), OCI_LAYER + suffix) for layer in layers],
        }
        return self.manifest(name, manifest)

    def manifest(self, name: str, manifest: object, media_type: str = OCI_MANIFEST) -> dict[str, object]:
        entry = self.json(manifest, media_type)
        self.add(name, entry)
        return entry

    def add(self, name: str, entry: dict[str, object]) -> None:
        self.entries.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
        self.write()

    def write(self) -> None:
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.entries}
        (self.root / "index.json").write_text(json.dumps(index))
