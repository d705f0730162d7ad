"""The grammar of image references, as every registry reads it: `[host[:port]/]path[:tag][@sha256:…]`."""

from __future__ import annotations

import re

from provisioner.errors import UsageError
from provisioner.model.ids import Digest
from provisioner.model.images import ImageRef

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?/)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_HOST}{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?",
    re.ASCII,
)
MAX_REFERENCE = 512


def parse_image_ref(text: str) -> ImageRef:
    """Read a reference; without tag and digest the tag is `latest`. Raises UsageError saying what is wrong."""
    match = _REFERENCE.fullmatch(text) if len(text) <= MAX_REFERENCE else None
    if not match:
        raise UsageError(
            f"{text[:80]!r} is no image reference: {_complaint(text)}", hint="write NAME:TAG, like etcd:v1"
        )
    digest = Digest(match["digest"]) if match["digest"] else None
    return ImageRef(match["repository"], match["tag"] or (None if digest else "latest"), digest)


def _complaint(text: str) -> str:
    last = text.rsplit("/", 1)[-1].split("@", 1)[0]
    if not text.strip():
        return "it is empty"
    if len(text) > MAX_REFERENCE:
        return f"it is longer than {MAX_REFERENCE} characters"
    if last.count(":") > 1:
        return "it has two tags"
    if text.split(":", 1)[0] != text.split(":", 1)[0].lower():
        return "the name must be in lower case"
    if "@" in text:
        return "after '@' stands sha256: and 64 hex digits"
    return "a name is lower-case letters, digits, '.', '_' and '-', with '/' between parts"
