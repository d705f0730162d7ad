"""Our own strict tar reader: ustar, PAX and GNU long names over a byte stream. Pure: it computes on bytes it is given.

Two readers must never see two archives in one stream, so whatever tar programs read differently is refused: a PAX size
beside another ustar size, repeated or stacked extension headers, bodies on links and directories, negative numbers,
sparse files, bytes after the end mark. Nothing is allocated by a header's claim: extension bodies are capped, file
bodies are streamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

from provisioner.errors import ImageError
from provisioner.image import limits

BLOCK = 512
CHUNK = 1 << 20
_ZERO = bytes(BLOCK)
_SIGN = 0x80
_DIGITS = 20
_NUMBERS = tuple(slice(a, b) for a, b in ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345)))
"""Mode, owner, group, time and device: other readers stumble over them even where we need none."""
_CHECKSUM = slice(148, 156)
_EXTENSIONS = frozenset(b"xgLK")
_KINDS = {0: "file", ord("0"): "file", ord("7"): "file", ord("1"): "link", ord("2"): "symlink", ord("5"): "dir"}
_SPECIAL = {ord("3"): "character device", ord("4"): "block device", ord("6"): "fifo", ord("S"): "sparse file"}
_HARMLESS = frozenset({b"mtime", b"atime", b"ctime", b"uname", b"gname", b"comment", b"charset", b"hdrcharset"})
_MEANT = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid"})
_XATTRS = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.", b"SCHILY.acl.", b"RHT.security.")
_HARMLESS_PREFIXES = (b"LIBARCHIVE.", b"SCHILY.dev", b"SCHILY.ino", b"SCHILY.nlink", b"SCHILY.fflags", b"DOCKER.")


class Header(NamedTuple):
    """One member. `name` and `link` are raw bytes, nothing checked but their length; `xattrs` are names only."""

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    link: bytes
    xattrs: tuple[bytes, ...]


class Stream(Protocol):
    """Where the bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end; empty at the end. May raise ImageError."""


class TarReader:
    """Iterates headers; between two of them `body()` gives the member's bytes. What is not read is skipped."""

    def __init__(self, stream: Stream, what: str) -> None:
        self._stream = stream
        self._what = what
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Header]:
        """Every member to the end of the stream. Raises ImageError for anything that is not strict tar."""
        extra: dict[bytes, bytes] = {}
        while (block := self._next_block()) is not None:
            self._check_sum(block)
            if any(not block[part][0] & _SIGN and _octal(block[part]) is None for part in _NUMBERS):
                raise self._wrong("a number in a header is malformed")
            flag = block[156]
            if flag in _EXTENSIONS:
                self._extend(extra, block, flag)
                continue
            header = self._member(block, extra)
            self._left, self._padding = header.size, -header.size % BLOCK
            extra = {}
            yield header
        if extra:
            raise self._wrong("an extension header stands at the end, with no member after it")
        self._check_tail()

    def body(self) -> Iterator[bytes]:
        """The current member's bytes in chunks of at most 1 MiB. Raises ImageError when the stream ends too early."""
        while self._left:
            piece = self._some(min(self._left, CHUNK))
            self._left -= len(piece)
            yield piece

    def _next_block(self) -> bytes | None:
        for _ in self.body():
            pass
        if self._padding:
            self._exactly(self._padding)
            self._padding = 0
        block = self._up_to(BLOCK)
        if not block or block == _ZERO:
            return None
        if len(block) < BLOCK:
            raise self._wrong("it ends inside a header")
        return block

    def _check_sum(self, block: bytes) -> None:
        stated = _octal(block[_CHECKSUM])
        found = sum(block) - sum(block[_CHECKSUM]) + 8 * 32
        if stated == found:
            return
        signed = found - 256 * sum(byte >= _SIGN for byte in block[:148] + block[156:])  # what some old writers sum
        if stated != signed:
            raise self._wrong("a header's checksum is wrong")

    def _extend(self, extra: dict[bytes, bytes], block: bytes, flag: int) -> None:
        size = self._number(block[124:136], "extension size")
        limits.check(size, limits.HEADER, f"{self._what}: bytes of an extension header")
        body = self._exactly(size)
        self._exactly(-size % BLOCK)
        if flag in b"LK":
            found = {b"path" if flag == ord("L") else b"linkpath": body.split(b"\0", 1)[0]}
        else:
            found = self._pax(body)
        if flag == ord("g"):
            self._check_global(found)
            return
        if extra.keys() & found.keys() or (flag == ord("x") and b"" in extra):
            raise self._wrong("two extension headers say the same thing about one member")
        extra.update(found)
        if flag == ord("x"):
            extra[b""] = b""  # marks that a PAX header was seen, even an empty one

    def _check_global(self, found: dict[bytes, bytes]) -> None:
        meant = sorted(key for key in found if key not in _HARMLESS)
        if meant:
            raise self._wrong(f"a global header sets {meant[0].decode(errors='replace')!r} for all members")

    def _pax(self, body: bytes) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        while body:
            record, body = self._pax_record(body)
            key, equals, value = record.partition(b"=")
            if not equals or not key or key in found:
                raise self._wrong("a PAX header holds a malformed or repeated record")
            found[key] = value
        return found

    def _pax_record(self, body: bytes) -> tuple[bytes, bytes]:
        digits, space, _ = body[:12].partition(b" ")
        if not space or not digits.isdigit():
            raise self._wrong("a PAX header holds a malformed record")
        length = int(digits)
        if not len(digits) + 2 <= length <= len(body) or body[length - 1] != ord("\n"):
            raise self._wrong("a PAX record's length is wrong")
        return body[len(digits) + 1 : length - 1], body[length:]

    def _member(self, block: bytes, extra: dict[bytes, bytes]) -> Header:
        name = _name(block)
        kind = self._kind(block[156], extra.get(b"path", name))
        size = self._size(block, extra)
        if kind != "file" and size:
            raise self._wrong(f"a {kind} has a body: tar programs disagree on that")
        self._check_keys(extra)
        return Header(
            name=extra.get(b"path", name),
            kind=kind,
            mode=self._number(block[100:108], "mode") & 0o7777,
            uid=self._owner(block[108:116], extra.get(b"uid")),
            gid=self._owner(block[116:124], extra.get(b"gid")),
            size=size,
            link=extra.get(b"linkpath", block[157:257].split(b"\0", 1)[0]),
            xattrs=tuple(key.split(b".xattr.", 1)[-1] for key in extra if key.startswith(_XATTRS)),
        )

    def _kind(self, flag: int, name: bytes) -> str:
        kind = _KINDS.get(flag)
        if kind is None:
            special = _SPECIAL.get(flag, f"member of type {chr(flag)!r}")
            shown = name[:120].decode(errors="replace")
            raise self._wrong(f"{shown!r} is a {special}: only directories, files and links can be laid")
        if flag == 0 and name.endswith(b"/"):
            raise self._wrong("an old-style directory (a file whose name ends in a slash): tar programs disagree on it")
        return kind

    def _size(self, block: bytes, extra: dict[bytes, bytes]) -> int:
        plain = self._number(block[124:136], "size")
        if b"size" not in extra:
            return plain
        digits = extra[b"size"]
        if not digits.isdigit() or len(digits) > _DIGITS:
            raise self._wrong("a PAX size is no number")
        size = int(digits)
        if plain not in {0, size}:
            raise self._wrong("a PAX size differs from the header's size: two readers would see two archives")
        limits.check(size, limits.TOTAL, f"{self._what}: bytes of one file")
        return size

    def _owner(self, raw: bytes, pax: bytes | None) -> int:
        if pax is not None and (not pax.isdigit() or len(pax) > _DIGITS):
            raise self._wrong("a PAX owner is no number")
        owner = self._number(raw, "owner") if pax is None else int(pax)
        limits.check(owner, limits.OWNER, f"{self._what}: uid or gid")
        return owner

    def _check_keys(self, extra: dict[bytes, bytes]) -> None:
        for key in extra:
            if key.startswith(b"GNU.sparse."):
                raise self._wrong("a sparse file: only plain ones are read")
            known = not key or key in _MEANT or key in _HARMLESS or key.startswith(_XATTRS + _HARMLESS_PREFIXES)
            if not known:
                raise self._wrong(f"an unknown PAX record {key[:60].decode(errors='replace')!r}")

    def _number(self, field: bytes, what: str) -> int:
        value = _base256(field) if field[0] & 0x80 else _octal(field)
        if value is None or not 0 <= value <= limits.TOTAL:
            raise self._wrong(f"a header's {what} is no possible number")
        return value

    def _check_tail(self) -> None:
        while piece := self._up_to(CHUNK):
            if piece.count(0) != len(piece):
                raise self._wrong("there are bytes after the end mark")

    def _up_to(self, size: int) -> bytes:
        if len(self._buffer) - self._at < size:
            self._buffer = self._buffer[self._at :] + self._stream.read(CHUNK)
            self._at = 0
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _some(self, size: int) -> bytes:
        if self._at < len(self._buffer):
            return self._up_to(min(size, len(self._buffer) - self._at))
        piece = self._stream.read(size)
        if not piece:
            raise self._wrong("it ends inside a file")
        return piece

    def _exactly(self, size: int) -> bytes:
        piece = self._up_to(size)
        if len(piece) < size:
            raise self._wrong("it ends too early")
        return piece

    def _wrong(self, why: str) -> ImageError:
        return ImageError(f"{self._what}: {why}: the image is refused", hint="build the image with a current tool")


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:265] == b"ustar\x0000":  # only POSIX headers have a prefix; GNU keeps times there
        prefix = block[345:500].split(b"\0", 1)[0]
        return prefix + b"/" + name if prefix else name
    return name


@lru_cache(maxsize=4096)  # modes and owners are the same few fields over and over
def _octal(field: bytes) -> int | None:
    """Octal digits up to the first NUL; None where more than blanks follow it, as some readers would go on there."""
    head, _, rest = field.partition(b"\0")
    digits = head.strip(b" ")
    if rest.strip(b" \0") or digits.strip(b"01234567"):
        return None
    if not digits:
        return 0
    return int(digits, 8)


def _base256(field: bytes) -> int | None:
    if field[0] & 0x40:  # negative
        return None
    return int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
