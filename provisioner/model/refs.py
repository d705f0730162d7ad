"""References in values: `${env:NAME}` and `${file:path}`. A value is one reference, whole, or it is plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_REF = re.compile(r"\$\{(env|file):([^}]+)\}")


@dataclass(frozen=True, slots=True)
class ValueRef:
    """Where a secret comes from: an environment variable of the operator, or a file."""

    kind: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        return f"${{{self.kind}:{self.name}}}"


def parse_ref(text: str) -> ValueRef | None:
    """The reference that `text` is, or None for plain text. A reference inside other text is plain text."""
    match = _REF.fullmatch(text)
    if not match:
        return None
    return ValueRef("env" if match[1] == "env" else "file", match[2])


def has_embedded_ref(text: str) -> bool:
    """True for `a${env:X}b`: almost surely a mistake, as only whole values are references."""
    return parse_ref(text) is None and _REF.search(text) is not None
