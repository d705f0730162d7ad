"""Lines of ours that are longer than the terminal, broken between words. Pure.

What a person copies stays in one piece: a command that the terminal itself wraps is pasted whole, one that we break is
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.cli.text import Line, Lines

NARROWEST = 20
"""Below this nothing helps."""
MOST_INDENT = 14
_WORD = re.compile(r"`[^`]*`\S*|\S+")
_GAP = re.compile(r"(?<=\S) {4,}(?=(?:\d+ min )?[\d.]+ s$)")
_LEAST = 2
_QUOTED = re.compile(r"`[^`]*`")
_LABEL = re.compile(r"\s*\S+(?: \S+)?\s{2,}(?=\S)")
_WHOLE = re.compile(r"sealer-cloud | = |│|\n")
"""A bare command, a value that may be one, what a host said, and several lines in one."""


def fold(line: Line, width: int) -> Lines:
    """The line in rows of at most `width`, where its words allow it; those that follow stand below its first column.

    A line that somebody may copy is left as it is.
    """
    line = _closer(line, width)
    text = "".join(part for part, _ in line).rstrip()
    if len(text) <= width or width < NARROWEST or _WHOLE.search(_QUOTED.sub("", text)):
        return (line,)
    indent = _indent_of(text, width)
    return tuple(
        ((" " * indent, ""), *_between(line, start, end)) if start else _between(line, start, end)
        for start, end in _rows(text, width, indent)
    )


def _closer(line: Line, width: int) -> Line:
    """The line with its time, which stands far to the right, as near as it must be, where that is all that is needed."""
    over = sum(len(part) for part, _ in line) - width
    text, style = line[-1] if line else ("", "")
    gaps = [gap for gap in _GAP.finditer(text) if len(gap[0]) - over >= _LEAST]
    if over <= 0 or not gaps:
        return line
    gap = gaps[-1]
    return (*line[:-1], (text[: gap.end() - over] + text[gap.end() :], style))


def _indent_of(text: str, width: int) -> int:
    label = _LABEL.match(text)
    if label and label.end() <= min(MOST_INDENT, width // 3):
        return label.end()
    return min(len(text) - len(text.lstrip()) + 2, width // 3)


def _rows(text: str, width: int, indent: int) -> Iterator[tuple[int, int]]:
    """Where each row begins and ends in the text."""
    start, end, room = 0, 0, width
    for word in _WORD.finditer(text):
        # What does not is broken by the terminal, wherever it stands.
        fits = word.end() - word.start() <= width - indent
        if end and fits and word.end() - start > room:
            yield start, end
            start, room = word.start(), width - indent
        end = word.end()
    yield start, end


def _between(line: Line, start: int, end: int) -> Line:
    """A part of a line, in its styles."""
    parts, at = [], 0
    for text, style in line:
        piece = text[max(start - at, 0) : max(end - at, 0)]
        at += len(text)
        if piece:
            parts.append((piece, style))
    return tuple(parts)
