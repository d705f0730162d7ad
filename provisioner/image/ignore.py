"""`.sealerignore` and `.dockerignore`: which paths of a build context are left out. Pure.

Docker's rules: one pattern a line, `#` starts a comment, `*` and `?` stay within one part of a path, `**` spans parts,
`[a-z]` is a class, `!` takes back, the last match decides; a pattern that matches a folder matches all below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioner.errors import UsageError


@dataclass(frozen=True, slots=True)
class Ignore:
    """Compiled patterns in file order: what each matches, and whether it takes back."""

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    def ignores(self, path: str) -> bool:
        """True when `path` (relative, `/` between parts) is left out."""
        ignored = False
        for pattern, takes_back in self.rules:
            if ignored == takes_back and pattern.match(path):
                ignored = not takes_back
        return ignored

    @property
    def takes_back(self) -> bool:
        """True when an ignored folder may hold paths that are not ignored."""
        return any(back for _, back in self.rules)


def parse_ignore(text: str, name: str) -> Ignore:
    """The patterns of an ignore file. Raises UsageError naming file and line."""
    rules: list[tuple[re.Pattern[str], bool]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        takes_back = line.startswith("!")
        parts = [part for part in line.removeprefix("!").strip().split("/") if part not in {"", "."}]
        if ".." in parts:
            raise UsageError(f"{name}:{number}: {line!r} leads upwards", hint="patterns start at the context's top")
        if parts:
            rules.append((re.compile(_path_regex(parts) + r"(?:/.*)?\Z", re.DOTALL), takes_back))
    return Ignore(tuple(rules))


def glob_regex(part: str) -> str:
    """A regular expression for one part of a path with `*`, `?`, `[…]` and backslash."""
    out: list[str] = []
    at = 0
    while at < len(part):
        char = part[at]
        # `[^]` names no letter to leave out: it is these three letters, as in `[]`.
        if char == "[" and (end := part.find("]", at + 2)) > 0 and part[at + 1 : end] not in {"^", "!"}:
            inside = part[at + 1 : end]
            negated = inside[0] in "^!"
            out.append(f"(?!/)[{'^' if negated else ''}{_class(inside[negated:])}]")
            at = end
        elif char == "\\" and at + 1 < len(part):
            at += 1
            out.append(re.escape(part[at]))
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        at += 1
    return "".join(out)


def _class(inside: str) -> str:
    """A character class; what runs backwards would not compile and `--` would warn: they are taken letter by letter."""
    if "--" in inside:
        return re.escape(inside)
    ranged = "".join(char if char == "-" else re.escape(char) for char in inside)
    try:
        re.compile(f"[{ranged}]")
    except re.error:
        return re.escape(inside)
    return ranged


def _path_regex(parts: list[str]) -> str:
    out = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            out += ".*" if last else "(?:.*/)?"
        else:
            out += glob_regex(part) + ("" if last else "/")
    return out
