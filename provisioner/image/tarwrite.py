"""Our own tar writer: the only tar that a host ever sees is made of these bytes. Pure.

GNU format, as GNU tar and busybox both read its long names (busybox skips PAX ones); owner 0:0, no user names, one
fixed time. Only directories, regular files and symlinks can be written.
"""

from __future__ import annotations

from provisioner.image.tarread import BLOCK
from provisioner.model.images import Entry, EntryKind

END = bytes(2 * BLOCK)
"""The end mark."""
RECORD = 20 * BLOCK
"""The whole archive is padded to a multiple of this, as tar programs expect."""
MTIME = 1
"""Seconds after the epoch; not 0, which some tar programs call implausible."""
_LONG = b"././@LongLink"
_NAME = 100
_OCTAL_SIZE = 8**11 - 1
_TYPES = {EntryKind.DIR: b"5", EntryKind.FILE: b"0", EntryKind.SYMLINK: b"2"}


def header(entry: Entry, mtime: int = MTIME) -> bytes:
    """The header blocks of one member; a file's body follows, padded by `padding`."""
    name = entry.path.encode() + (b"/" if entry.kind is EntryKind.DIR else b"")
    target = entry.target.encode()
    size = entry.size if entry.kind is EntryKind.FILE else 0
    out = _long(b"L", name) + _long(b"K", target)
    return out + _block(_TYPES[entry.kind], name, (entry.mode, size, mtime), target)


def padding(size: int) -> bytes:
    """The zeros after a body of `size` bytes."""
    return bytes(-size % BLOCK)


def trailer(written: int) -> bytes:
    """The end of an archive of which `written` bytes are out."""
    return END + bytes(-(written + len(END)) % RECORD)


def _long(kind: bytes, text: bytes) -> bytes:
    if len(text) <= _NAME:
        return b""
    body = text + b"\0"
    return _block(kind, _LONG, (0o644, len(body), 0), b"") + body + padding(len(body))


def _block(kind: bytes, name: bytes, numbers: tuple[int, int, int], target: bytes) -> bytes:
    mode, size, mtime = numbers
    fields = (
        name[:_NAME].ljust(_NAME, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0" * 2,
        _size(size),
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        target[:_NAME].ljust(_NAME, b"\0"),
        b"ustar  \0",
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _size(size: int) -> bytes:
    return b"%011o\0" % size if size <= _OCTAL_SIZE else b"\x80" + size.to_bytes(11, "big")
