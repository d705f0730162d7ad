"""The files that `-f` names, as bytes: files, folders, standard input. The only reader of Clusterfiles."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from provisioner.errors import UsageError

LIMIT = 4 << 20
"""Bytes of one file: a Clusterfile is some kilobytes; more than this is a mistake or an attack."""

STDIN = "-"
_HINT = "name a Clusterfile, a folder with some, or - for standard input"
_PATTERNS = ("Clusterfile", "*.yaml", "*.yml")

Source = tuple[str, bytes]


def read_sources(names: Iterable[str]) -> tuple[Source, ...]:
    """Each file as its name and bytes, folders unfolded in the order of their names.

    Raises UsageError naming the file that is missing, unreadable, too large, or given twice as standard input.
    """
    words = list(names)
    if words.count(STDIN) > 1:
        raise UsageError("-f - can be given once: standard input is read only once", hint="write one of them to a file")
    return tuple(source for word in words for source in _read(word))


def _read(word: str) -> list[Source]:
    if word == STDIN:
        return [("<stdin>", _limited(sys.stdin.buffer.read(LIMIT + 1), "<stdin>"))]
    path = Path(word)
    if not path.is_dir():
        return [_read_file(path)]
    found = sorted({p for pattern in _PATTERNS for p in path.glob(pattern) if p.is_file()})
    if not found:
        raise UsageError(f"{word}: the folder holds no Clusterfile and no *.yaml", hint=_HINT)
    return [_read_file(p) for p in found]


def _read_file(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            return str(path), _limited(file.read(LIMIT + 1), str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint=_HINT) from error


def _limited(raw: bytes, name: str) -> bytes:
    if len(raw) > LIMIT:
        raise UsageError(f"{name}: larger than {LIMIT >> 20} MiB", hint=_HINT)
    return raw
