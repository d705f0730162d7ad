"""Kubefiles: what an image is built from. Pure.

Understood: `FROM scratch`, `COPY`, `ENV`, `LABEL`, `CMD`. Every other instruction is refused by name and line, never
skipped; all problems are told at once. Each CMD line is one shell command, and they add up; a JSON array holds several.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from provisioner.errors import InvalidFileError, Problem
from provisioner.image import limits
from provisioner.image.env import env_complaint
from provisioner.image.kubelines import Logical, QuoteError, Spot, Word, logical_lines, words_of

_KEYWORD = re.compile(r"[^ \t]+")
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|(\w+)|)")
_HEREDOC = re.compile(r"<<-?(['\"]?)([A-Za-z_]\w*)\1")
_ESCAPE_DIRECTIVE = re.compile(r"#[ \t]*escape[ \t]*=", re.IGNORECASE)

_NOT_BUILT = {
    "RUN": "do it in scripts/init.sh, or while preparing the build context",
    "ARG": "write the value out",
    "ADD": "use COPY",
    "APP": "use COPY and CMD",
    "APPENV": "use ENV",
    "APPCMDS": "use CMD",
    "LAUNCH": "use CMD",
    "CMDS": "write each command as a CMD line",
    "CNI": "use COPY and CMD",
    "CSI": "use COPY and CMD",
    "KUBEVERSION": "leave it out",
    "MAINTAINER": 'use LABEL maintainer="…"',
}
_DOCKER_ONLY = frozenset(
    "ENTRYPOINT EXPOSE USER VOLUME WORKDIR STOPSIGNAL HEALTHCHECK SHELL ONBUILD".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class CopyStep:
    """One COPY: sources as written (globs unexpanded, `${ARCH}` unreplaced), destination below the rootfs.

    `target` is relative, "" for the rootfs itself; `into` says that it was written as a folder (`.`, `x/`).
    """

    sources: tuple[str, ...]
    target: str
    into: bool
    line: int
    column: int

    @property
    def text(self) -> str:
        """The instruction in one line, for the image's history."""
        return f"COPY {' '.join(self.sources)} /{self.target}{'/' if self.into and self.target else ''}"


@dataclass(frozen=True, slots=True)
class Kubefile:
    """A Kubefile without problems. `cmds` are shell commands in order; later ENV and LABEL values win."""

    copies: tuple[CopyStep, ...]
    env: dict[str, str]
    labels: dict[str, str]
    cmds: tuple[str, ...]


def parse_kubefile(data: bytes, name: str) -> Kubefile:
    """Read a Kubefile. Raises InvalidFileError with every problem: file, line, column, instruction, what to do."""
    parser = _Parser(name)
    text = parser.decode(data)
    if text is not None:
        parser.read(text)
    if parser.problems:
        raise InvalidFileError(sorted(parser.problems, key=lambda problem: (problem.line, problem.column)))
    return Kubefile(tuple(parser.copies), parser.env, parser.labels, tuple(parser.cmds))


class _Parser:
    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.copies: list[CopyStep] = []
        self.env: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.cmds: list[str] = []
        self._seen_from = False
        self._said_before = False
        self._heredocs: list[str] = []
        self._readers: dict[str, Callable[[Logical, int], None]] = {
            "FROM": self._from,
            "COPY": self._copy,
            "ENV": self._env,
            "LABEL": self._label,
            "CMD": self._cmd,
        }

    def decode(self, data: bytes) -> str | None:
        """The text without a byte order mark, or None after noting why there is none."""
        if len(data) > limits.KUBEFILE:
            self._problem(Spot(1, 1), "", f"the file is larger than {limits.KUBEFILE} bytes")
            return None
        try:
            text = data.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            start = data.rfind(b"\n", 0, error.start) + 1
            spot = Spot(data.count(b"\n", 0, error.start) + 1, error.start - start + 1)
            self._problem(spot, "", "the file is not UTF-8 text", "save it as UTF-8")
            return None
        if "\0" in text:
            self._problem(Spot(text.count("\n", 0, text.index("\0")) + 1, 1), "", "there is a NUL byte in this line")
            return None
        return text

    def read(self, text: str) -> None:
        """Every instruction, noting problems."""
        for number, line in enumerate(text.split("\n"), 1):
            if not line.startswith("#"):
                break
            if _ESCAPE_DIRECTIVE.match(line) and not line.rstrip().endswith("\\"):
                self._problem(Spot(number, 1), "", "another escape character is not built yet", "use a backslash")
        for logical in logical_lines(text):
            self._instruction(logical)
        if not self._seen_from and not self._said_before:
            self._problem(Spot(1, 1), "FROM", "there is no FROM", "start with: FROM scratch")

    def _instruction(self, line: Logical) -> None:
        if self._heredocs:  # the body of a here-document is no instruction; the one that opened it was refused
            if line.text.strip() == self._heredocs[0]:
                self._heredocs.pop(0)
            return
        match = _KEYWORD.match(line.text)
        written = match.group() if match else ""
        keyword = written.upper()
        start = len(written)
        self._order(keyword, line)
        if keyword in self._readers:
            try:
                self._readers[keyword](line, start)
            except QuoteError as error:
                self._problem(error.spot, keyword, "a quote is never closed", "close it, or put a backslash before it")
        else:
            self._refuse(keyword, written, line)

    def _order(self, keyword: str, line: Logical) -> None:
        early = not self._seen_from and not self._said_before and keyword != "FROM"
        if early and keyword in self._readers:
            self._problem(line.spot(0), keyword, "stands before FROM", "start with: FROM scratch")
            self._said_before = True

    def _refuse(self, keyword: str, written: str, line: Logical) -> None:
        spot = line.spot(0)
        if keyword in {"RUN", "ADD"}:
            self._heredocs = [match[2] for match in _HEREDOC.finditer(line.text)]
        if keyword in _NOT_BUILT:
            self._problem(spot, keyword, f"{keyword} is not built yet", _NOT_BUILT[keyword])
        elif keyword in _DOCKER_ONLY:
            self._problem(spot, keyword, f"{keyword} belongs to containers: cluster images have nothing like it")
        else:
            close = difflib.get_close_matches(keyword, [*self._readers, *_NOT_BUILT], n=1)
            hint = f"did you mean {close[0]}?" if close else "known are FROM, COPY, ENV, LABEL, CMD"
            self._problem(spot, written[:40], f"{written[:40]!r} is no instruction", hint)

    def _from(self, line: Logical, start: int) -> None:
        words = self._plain_words("FROM", line, start)
        if self._seen_from:
            self._problem(line.spot(0), "FROM", "a second FROM (several stages) is not built yet", "write one FROM")
        self._seen_from = True
        if not words:
            self._problem(line.spot(0), "FROM", "FROM needs an image", "write: FROM scratch")
        elif len(words) > 1:
            self._problem(
                words[1].spot, "FROM", "FROM takes one image and nothing after it", "a comment is a line of its own"
            )
        elif words[0].text != "scratch":
            self._problem(words[0].spot, "FROM", f"FROM {words[0].text[:80]} is not built yet", "only FROM scratch is")

    def _copy(self, line: Logical, start: int) -> None:
        words = self._copy_words(line, start)
        if words is None:
            return
        if any(word.text.startswith("<<") for word in words):
            self._heredocs = [match[2] for match in _HEREDOC.finditer(line.text)]
            self._problem(
                line.spot(0), "COPY", "COPY with a here-document is not built yet", "put the text into a file"
            )
            return
        if len(words) < 2:  # noqa: PLR2004 - source and destination
            self._problem(
                line.spot(0), "COPY", "COPY needs a source and a destination", "write: COPY SOURCE… DESTINATION"
            )
            return
        *sources, target = words
        for source in sources:
            self._check_path(source)
        into = target.text.endswith("/") or target.text.rsplit("/", 1)[-1] == "."
        if len(sources) > 1 and not into:
            self._problem(
                target.spot, "COPY", "with several sources the destination is a folder", "end it with a slash"
            )
        parts = self._check_path(target)
        spot = line.spot(0)
        self.copies.append(
            CopyStep(tuple(word.text for word in sources), "/".join(parts), into, spot.line, spot.column)
        )

    def _check_path(self, word: Word) -> list[str]:
        """The parts of a path; notes `..` and variables that we do not know."""
        if ".." in word.text.split("/"):
            self._problem(
                word.spot, "COPY", f"{word.text[:80]!r} leads upwards", "stay inside the context and the rootfs"
            )
        for match in _VARIABLE.finditer(word.text):
            if (match[1] or match[2]) != "ARCH":
                self._problem(
                    word.spot, "COPY", f"{match[0]!r}: of variables only ${{ARCH}} is known here", "write it out"
                )
        return [part for part in word.text.split("/") if part not in {"", "."}]

    def _env(self, line: Logical, start: int) -> None:
        for key, value, spot in self._pairs("ENV", line, start):
            if complaint := env_complaint(key, value):
                self._problem(spot, "ENV", f"{key[:80]!r}: {complaint}")
            self.env[key] = value

    def _label(self, line: Logical, start: int) -> None:
        for key, value, spot in self._pairs("LABEL", line, start):
            if not key:
                self._problem(spot, "LABEL", "a label needs a name")
            self.labels[key] = value

    def _pairs(self, keyword: str, line: Logical, start: int) -> list[tuple[str, str, Spot]]:
        words = words_of(line, start)
        if not words:
            self._problem(line.spot(0), keyword, f"{keyword} needs NAME=VALUE")
        pairs = []
        for word in words:
            key, equals, value = word.text.partition("=")
            if not equals:
                self._problem(
                    word.spot,
                    keyword,
                    f"{word.text[:80]!r} is not NAME=VALUE",
                    f"write {keyword} NAME=VALUE, with quotes around blanks",
                )
                break  # `ENV name a b c` is one mistake, not three
            pairs.append((key, value, word.spot))
        return pairs

    def _cmd(self, line: Logical, start: int) -> None:
        text = line.text[start:].strip(" \t")
        if not text:
            self._problem(line.spot(0), "CMD", "CMD needs a command")
        elif text.startswith("[") and not re.match(r"\[\[?[ \t]+[^\"]", text):  # `[ -f x ] && …` is a shell test
            self.cmds += self._array("CMD", line, text) or []
        else:
            self.cmds.append(text)

    def _array(self, keyword: str, line: Logical, text: str) -> list[str] | None:
        """The texts of a JSON array, or None after noting why it is none."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            hint = 'write ["first command", "second command"], or no bracket at the start'
            self._problem(line.spot(len(keyword) + 1), keyword, "this is no JSON array of texts", hint)
            return None
        if not found or not all(item.strip() for item in found):
            self._problem(line.spot(0), keyword, f"{keyword} holds an empty text")
            return None
        return found

    def _copy_words(self, line: Logical, start: int) -> list[Word] | None:
        """Words, or the texts of a JSON array; `[ab]*.txt` is a word."""
        text = line.text[start:].strip(" \t")
        if not re.match(r"\[[ \t]*\"", text):
            return self._plain_words("COPY", line, start)
        array = self._array("COPY", line, text)
        return array if array is None else [Word(item, line.spot(0)) for item in array]

    def _plain_words(self, keyword: str, line: Logical, start: int) -> list[Word]:
        """The words after the flags; a flag is refused by name."""
        words = words_of(line, start)
        while words and words[0].text.startswith("--"):
            flag = words.pop(0)
            name = flag.text.partition("=")[0][:40]
            self._problem(flag.spot, keyword, f"{keyword} {name} is not built yet", "leave it out")
        return words

    def _problem(self, spot: Spot, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.name, spot.line, spot.column, key, message, hint))
