"""Words to one line: the only place that quotes, once for the wire and once, shortened, for people."""

from __future__ import annotations

import shlex

from provisioner.errors import UsageError
from provisioner.transport.connection import Argv

LOG_WORD = 60
"""Characters of one word that a log line shows."""


def quote_words(argv: Argv) -> str:
    """The line whose words a POSIX shell reads back exactly. Raises UsageError: no words, or a NUL byte in one."""
    if not argv:
        raise UsageError("an empty command")
    for word in argv:
        if "\0" in word:
            raise UsageError(f"a NUL byte in a command word: {_shorten(word)!r}", hint="remove the NUL byte")
    return shlex.join(argv)


def render_log(argv: Argv) -> str:
    """The command for a person: quoted, a script or another long word cut to its first characters and its size."""
    return " ".join(shlex.quote(_shorten(word)) for word in argv)


def _shorten(word: str) -> str:
    line = word.strip().split("\n", 1)[0]
    if line == word and len(word) <= LOG_WORD:
        return word
    return f"{line[: LOG_WORD // 2]}… ({len(word)} characters)"
