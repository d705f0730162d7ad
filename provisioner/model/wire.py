"""Errors of our tree as one line of text, for where only text passes: plugin → engine → us.

The engine shows a plugin's error as text among its own. The line keeps exit code and host, so that "no space left" in a
plugin is exit 12 for the user and not "stage 1 failed".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.errors import SealerError

_LINE = re.compile(r"\[sealer-cloud (?P<code>\d{1,3})(?: (?P<host>[a-z0-9-]+))?\] (?P<text>[^\n\r]*)")
_HINT = " -- hint: "


def to_wire(error: SealerError) -> str:
    """The error as one line: `[sealer-cloud 12 m1] no space left -- hint: free some`. Evidence stays behind."""
    host = f" {error.host}" if error.host else ""
    hint = f"{_HINT}{error.hint}" if error.hint else ""
    return f"[sealer-cloud {error.exit_code}{host}] " + " ".join(f"{error.message}{hint}".split())


def from_wire(text: str) -> tuple[SealerError, ...]:
    """Every error of ours within a text, in its order and once each; empty if there is none."""
    found = {match.group(): _error(match) for match in _LINE.finditer(text)}
    return tuple(found.values())


def _error(match: re.Match[str]) -> SealerError:
    message, _, hint = match["text"].partition(_HINT)
    code = int(match["code"])
    kind = next((kind for kind in _kinds(SealerError) if kind.exit_code == code), SealerError)
    return kind(message.strip(), hint=hint.strip(), host=match["host"] or "")


def _kinds(root: type[SealerError]) -> Iterator[type[SealerError]]:
    for kind in root.__subclasses__():
        if kind.__init__ is SealerError.__init__:  # InvalidFileError is made of problems, not of a text
            yield kind
        yield from _kinds(kind)
