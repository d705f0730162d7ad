"""Names inside archives: what is normalised, what is refused. Pure.

| name | what happens |
|---|---|
| `./a`, `a//b`, `a/./b` | normalised to `a`, `a/b` |
| `.`, `./` | the root itself: "" (only a directory may be it) |
| `a/` | `a`, for directories only |
| empty, absolute, `..` anywhere, NUL or another control character, not UTF-8 | refused |
| longer than 4096 bytes, a part longer than 255, more than 512 parts | refused |
| `-` as the whole name | refused: checksum tools read standard input for it |
"""

from __future__ import annotations

import re

from provisioner.errors import ImageError
from provisioner.image import limits

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN = 120


def normal_name(raw: bytes, what: str = "name") -> str:
    """The relative path that `raw` means, "" for the root. Raises ImageError as the table above says."""
    text = _decode(raw, what)
    if not text or text.startswith("/"):
        raise _refused(raw, what, "is empty" if not text else "is absolute")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _refused(raw, what, "leads upwards (..)")
    if len(parts) > limits.DEPTH:
        raise _refused(raw, what, f"has more than {limits.DEPTH} parts")
    for part in parts:
        if len(part.encode()) > limits.COMPONENT:
            raise _refused(raw, what, f"has a part longer than {limits.COMPONENT} bytes")
    if parts == ["-"]:
        raise _refused(raw, what, "is a single dash, which tools read as standard input")
    return "/".join(parts)


def link_target(raw: bytes) -> str:
    """A symlink's target, kept as data. Raises ImageError for an empty, over-long or undecodable one."""
    if not raw:
        raise _refused(raw, "link target", "is empty")
    return _decode(raw, "link target")


def _decode(raw: bytes, what: str) -> str:
    if len(raw) > limits.NAME:
        raise _refused(raw, what, f"is longer than {limits.NAME} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _refused(raw, what, "is not UTF-8") from error
    if _CONTROL.search(text):
        raise _refused(raw, what, "holds a control character")
    return text


def _refused(raw: bytes, what: str, why: str) -> ImageError:
    shown = raw[:_SHOWN].decode(errors="replace")
    return ImageError(f"{what} {shown!r} {why}: the image is refused", hint="build the image without such a name")
