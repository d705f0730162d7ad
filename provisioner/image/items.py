"""Tar headers read as what they mean in a layer: a path with a verb. Pure.

Setuid, setgid and sticky bits, owners and extended attributes are dropped by policy; `Dropped` lists them for the plan.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from typing import NamedTuple

from provisioner.errors import ImageError
from provisioner.image.names import link_target, normal_name
from provisioner.image.tarread import Header
from provisioner.model.ids import Digest

WHITEOUT_PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"
_SPECIAL_BITS = ((0o4000, "setuid"), (0o2000, "setgid"), (0o1000, "sticky"))
_LISTED = 200
_MODE = 0o777


class Verb(IntEnum):
    """What an item does to the tree."""

    DIR = 0
    FILE = 1
    SYMLINK = 2
    LINK = 3
    WHITEOUT = 4
    OPAQUE = 5


class Item(NamedTuple):
    """One layer member. `path` of a whiteout is the path it hides, of an opaque mark its directory ("" is the root).

    `target` is a symlink's text, or the normalised path a hardlink shares its content with. `member` counts the
    members of the layer: with the layer's number it says where a file's bytes are.
    """

    path: str
    verb: Verb
    mode: int
    size: int = 0
    digest: Digest | None = None
    target: str = ""
    member: int = 0


def read_item(header: Header, member: int, dropped: Dropped) -> Item:
    """What a header means. A file's digest is filled in by whoever reads its body. Raises ImageError."""
    path = _path(header)
    parent, _, name = path.rpartition("/")
    if WHITEOUT_PREFIX in path and (hidden := _hidden(path, parent, name, header)) is not None:
        return hidden._replace(member=member)
    dropped.note(header, path)
    mode = header.mode & _MODE
    match header.kind:
        case "dir":
            return Item(path, Verb.DIR, mode, member=member)
        case "symlink":
            return Item(path, Verb.SYMLINK, _MODE, target=link_target(header.link), member=member)
        case "link":
            return Item(path, Verb.LINK, mode, target=_shared(header, path), member=member)
        case _:
            return Item(path, Verb.FILE, mode, size=header.size, member=member)


def _path(header: Header) -> str:
    path = normal_name(header.name)
    if header.kind == "dir":
        return path
    if not path:
        raise ImageError(
            f"the image makes its root a {header.kind}: refused", hint="the root of an image is always a directory"
        )
    if header.name.endswith(b"/"):
        raise ImageError(f"name {path + '/'!r} ends in a slash but is no directory: the image is refused")
    return path


def _hidden(path: str, parent: str, name: str, header: Header) -> Item | None:
    if any(part.startswith(WHITEOUT_PREFIX) for part in parent.split("/")):
        raise _malformed(path, "a directory cannot be a whiteout")
    if not name.startswith(WHITEOUT_PREFIX):
        return None
    if header.kind != "file" or header.size:
        raise _malformed(path, "a whiteout is an empty file")
    if name == OPAQUE_NAME:
        return Item(parent, Verb.OPAQUE, 0)
    hidden = name.removeprefix(WHITEOUT_PREFIX)
    if hidden in {"", ".", ".."} or hidden.startswith(WHITEOUT_PREFIX):
        raise _malformed(path, "it hides nothing that could have that name")
    return Item(f"{parent}/{hidden}" if parent else hidden, Verb.WHITEOUT, 0)


def _shared(header: Header, path: str) -> str:
    target = normal_name(header.link, f"hardlink {path!r} to")
    if not target or any(part.startswith(WHITEOUT_PREFIX) for part in target.split("/")):
        raise ImageError(
            f"hardlink {path!r} leads to {target or '/'!r}, which can share no content: the image is refused"
        )
    return target


def _malformed(path: str, why: str) -> ImageError:
    return ImageError(f"malformed whiteout {path!r}: {why}; the image is refused", hint="build the image anew")


class Dropped:
    """Collects what policy drops, a bounded number of lines: each mode bit by file, owners and attributes as sums."""

    def __init__(self) -> None:
        self._bits: list[str] = []
        self._more = 0
        self._owners: Counter[tuple[int, int]] = Counter()
        self._attributes: Counter[bytes] = Counter()

    def note(self, header: Header, path: str) -> None:
        """Take note of one header's owner, special mode bits and extended attributes."""
        if header.uid or header.gid:
            self._owners[header.uid, header.gid] += 1
        if header.xattrs:
            self._attributes.update(header.xattrs)
        if header.mode & ~_MODE and header.kind in {"file", "dir"}:
            self._note_bits(header.mode, path)

    def _note_bits(self, mode: int, path: str) -> None:
        if len(self._bits) >= _LISTED:
            self._more += 1
            return
        names = " and ".join(name for bit, name in _SPECIAL_BITS if mode & bit)
        self._bits.append(f"{names} of {path or '/'}")

    def lines(self) -> tuple[str, ...]:
        """What was dropped, one line each, in a fixed order."""
        more = [f"special mode bits of {self._more} more"] if self._more else []
        owners = [f"owner {uid}:{gid} of {_entries(n)}" for (uid, gid), n in sorted(self._owners.items())[:_LISTED]]
        names = [
            f"attribute {key.decode(errors='replace')} of {_entries(n)}"
            for key, n in sorted(self._attributes.items())[:_LISTED]
        ]
        return (*sorted(self._bits), *more, *owners, *names)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"
