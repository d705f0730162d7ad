"""The words of templates: text and actions (`{{ … }}`), comments and trimming. Pure, linear in the input."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioner.apply.template_syntax import Source
from provisioner.errors import InvalidFileError

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<number>-?[0-9]{1,18}(?![0-9A-Za-z_.]))
    |(?P<variable>\$[A-Za-z_0-9]*)
    |(?P<field>\.[A-Za-z_][A-Za-z_0-9]*)
    |(?P<dot>\.)
    |(?P<word>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<sign>:=|[|(),])""",
    re.VERBOSE,
)
_COMMENT_START = re.compile(r"(?:-[ \t\r\n]+)?/\*")
_COMMENT_END = re.compile(r"\*/(?P<trim>[ \t\r\n]+-)?\}\}")
_SPACES = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action. `glued` is True where nothing stands between it and the word before."""

    kind: str
    text: str
    offset: int
    glued: bool


@dataclass(frozen=True, slots=True)
class Action:
    """One `{{ … }}` as words, and the text before it (trimmed); `tokens` is None for a comment and for the end."""

    before: str
    tokens: tuple[Token, ...] | None
    offset: int


@dataclass(frozen=True, slots=True)
class _Scanned:
    tokens: tuple[Token, ...] | None
    end: int
    trim: bool


def scan(source: Source) -> tuple[Action, ...]:
    """Cut a template into actions; the last one holds the text at the end. Raises InvalidFileError."""
    text = source.text
    actions: list[Action] = []
    position, trim = 0, False
    while (start := text.find("{{", position)) >= 0:
        before = _trimmed(text[position:start], left=trim, right=_trims_left(text, start))
        found = _scan_comment(source, start) or _scan_action(source, start)
        actions.append(Action(before, found.tokens, start))
        position, trim = found.end, found.trim
    rest = _trimmed(text[position:], left=trim, right=False)
    return (*actions, Action(rest, None, len(text)))


def _trims_left(text: str, start: int) -> bool:
    return text.startswith("-", start + 2) and text[start + 3 : start + 4] in {*_SPACES}


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip(_SPACES) if left else text
    return text.rstrip(_SPACES) if right else text


def _scan_comment(source: Source, start: int) -> _Scanned | None:
    opened = _COMMENT_START.match(source.text, start + 2)
    if opened is None:
        return None
    closed = source.text.find("*/", opened.end())
    end = _COMMENT_END.match(source.text, closed) if closed >= 0 else None
    if end is None:
        raise source.error(start, "a comment stands alone in its braces and is closed: {{/* … */}}")
    return _Scanned(None, end.end(), end["trim"] is not None)


def _scan_action(source: Source, start: int) -> _Scanned:
    text = source.text
    position = start + (3 if _trims_left(text, start) else 2)
    tokens: list[Token] = []
    glued = False
    while not text.startswith("}}", position):
        if text.startswith("-}}", position) and text[position - 1] in _SPACES:
            return _Scanned(tuple(tokens), position + 3, trim=True)
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(source, start, position)
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, match[0], position, glued))
        glued = kind != "space"
        position = match.end()
    return _Scanned(tuple(tokens), position + 2, trim=False)


def _unreadable(source: Source, start: int, position: int) -> InvalidFileError:
    if position >= len(source.text):
        return source.error(start, "this {{ is never closed", 'write }} after it, or {{ "{{" }} for the signs')
    sign = source.text[position]
    if sign in "\"`'":
        return source.error(position, f"a text that starts with {sign} is not closed here, or is no text")
    return source.error(position, f"{sign!r} has no meaning here")
