"""Lines for people as data: segments of text with a style name, control characters made harmless. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

Segment = tuple[str, str]
"""Text, and one of the style names of `ANSI` ("" for none)."""

Line = tuple[Segment, ...]
Lines = tuple[Line, ...]

ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

FEW = 8
"""Names that a line holds: a question about 200 hosts must still fit on a screen."""

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that can move a cursor, turn the reading direction, break a line or fail to encode."""


def escape(text: str) -> str:
    r"""One line of text from a host or a file, safe for a terminal: `\\x1b`, `\\n`, bidi marks shown as escapes.

    A host is hostile input: a bare ESC in its output could retitle the window, hide a line or answer a question.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_char(c) for c in text)


def escape_lines(text: str, *, limit: int | None = None) -> tuple[str, ...]:
    """The lines of `text`, each escaped; only the last `limit` where given. Tabs become spaces."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n") if text else []
    kept = lines if limit is None else lines[-limit:]
    return tuple(escape(line.expandtabs(4)) for line in kept)


def to_plain(line: Line) -> str:
    """The text without styles."""
    return "".join(text for text, _ in line).rstrip()


def to_ansi(line: Line) -> str:
    """The text with terminal colours."""
    return "".join(f"\x1b[{ANSI[style]}m{text}\x1b[0m" if style in ANSI and text else text for text, style in line)


def plain(text: str) -> Line:
    """A line in one piece without style."""
    return ((text, ""),)


def styled(text: str, style: str) -> Line:
    """A line in one piece with one style."""
    return ((text, style),)


def columns(rows: Iterable[Sequence[str]], *, gap: int = 3) -> tuple[str, ...]:
    """Rows padded to equal columns, as kubectl prints them: no frames, so that `awk` and eyes both can read."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return tuple(
        (" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def size(count: int) -> str:
    """Bytes for a person, in decimal units: `39.1 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004  decimal units, as disks and networks count
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def seconds(value: float) -> str:
    """Wall time for a person: `1.9 s`, `2 min 5 s`."""
    if value < 60:  # noqa: PLR2004  below a minute tenths matter
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def count(number: int, noun: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def grouped(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`start.sh on m2 m3`: one entry per title, in the order of first sight; from pairs of title and host."""
    hosts: dict[str, list[str]] = {}
    for title, host in pairs:
        hosts.setdefault(title, []).append(host)
    return [f"{escape(title)} on {few(names, ' ')}" for title, names in hosts.items()]


def few(words: Iterable[str], gap: str = ", ") -> str:
    """The first few words, and how many more."""
    known = [escape(w) for w in words]
    more = len(known) - FEW
    return gap.join(known[:FEW]) + (f" and {more} more" if more > 0 else "")


def short_digest(digest: str) -> str:
    """`sha256:1f3c9a…`: enough to recognise, not to use."""
    head, _, tail = digest.partition(":")
    return f"{head}:{tail[:6]}…" if tail else digest


def _escape_char(char: str) -> str:
    if unicodedata.category(char) not in _HARMFUL:
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
