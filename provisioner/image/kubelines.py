"""A Kubefile's text as logical lines and words that remember where they stand. Pure.

Comments are whole lines only (`#` after blanks); a backslash at the end of a line goes on with the next one, skipping
blank and comment lines in between, as Dockerfiles do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CONTINUED = re.compile(r"\\[ \t]*$")
_ESCAPABLE = frozenset('"\\$')


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the file, both numbers from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Logical:
    """One instruction with its continuations joined. `spans`: where each joined piece starts, in text and in file."""

    text: str
    spans: tuple[tuple[int, Spot], ...]

    def spot(self, offset: int) -> Spot:
        """Where the character at `offset` of the text stands in the file."""
        start, spot = max((span for span in self.spans if span[0] <= offset), key=lambda span: span[0])
        return Spot(spot.line, spot.column + offset - start)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes, and where it stands."""

    text: str
    spot: Spot


class QuoteError(ValueError):
    """A quote that is never closed; carries where it opens."""

    def __init__(self, spot: Spot) -> None:
        super().__init__("a quote is never closed")
        self.spot = spot


def logical_lines(text: str) -> Iterator[Logical]:
    """The instructions of a file, in order. CRLF and LF end lines alike."""
    pieces: list[str] = []
    spans: list[tuple[int, Spot]] = []
    length = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.removesuffix("\r")
        bare = line.lstrip(" \t")
        if not bare or bare.startswith("#"):
            continue
        piece = line if pieces else bare
        continued = _CONTINUED.search(piece)
        piece = piece[: continued.start()] if continued else piece
        spans.append((length, Spot(number, 1 if pieces else len(line) - len(bare) + 1)))
        pieces.append(piece)
        length += len(piece)
        if not continued:
            yield Logical("".join(pieces), tuple(spans))
            pieces, spans, length = [], [], 0
    if pieces:
        yield Logical("".join(pieces), tuple(spans))


def words_of(line: Logical, offset: int) -> list[Word]:
    """The words from `offset` on, split at blanks; quotes and backslashes as a shell has them, `$` is a plain letter.

    Raises QuoteError.
    """
    out: list[Word] = []
    at = offset
    while at < len(line.text):
        if line.text[at] in " \t":
            at += 1
            continue
        start = at
        text, at = _word(line, at)
        out.append(Word(text, line.spot(start)))
    return out


def _word(line: Logical, at: int) -> tuple[str, int]:
    text = line.text
    out: list[str] = []
    while at < len(text) and text[at] not in " \t":
        if text[at] in "'\"":
            piece, at = _quoted(line, at)
            out.append(piece)
        elif text[at] == "\\" and at + 1 < len(text):
            out.append(text[at + 1])
            at += 2
        else:
            out.append(text[at])
            at += 1
    return "".join(out), at


def _quoted(line: Logical, at: int) -> tuple[str, int]:
    text, mark, start = line.text, line.text[at], at
    out: list[str] = []
    at += 1
    while at < len(text) and text[at] != mark:
        if mark == '"' and text[at] == "\\" and text[at + 1 : at + 2] in _ESCAPABLE:
            at += 1
        out.append(text[at])
        at += 1
    if at >= len(text):
        raise QuoteError(line.spot(start))
    return "".join(out), at + 1
