"""Where words go: data to stdout, all else to stderr. Writing never breaks a run that is under way."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from provisioner.cli.folding import fold
from provisioner.cli.text import Line, Lines, plain, to_ansi, to_plain
from provisioner.errors import PreconditionError

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Look:
    """How this run talks: the format of its data, how much it says, and whether colours and live views are wanted."""

    output: str = "table"
    quiet: bool = False
    verbose: int = 0
    color: bool = False
    live: bool = False

    @property
    def machine(self) -> bool:
        """True where stdout is read by a program."""
        return self.output in {"json", "yaml"}


class Screen:
    """The two streams. A reader that went away (a closed pipe, a lost terminal) is forgotten, not an error."""

    def __init__(self, look: Look, out: TextIO, err: TextIO) -> None:
        self.look = look
        self.out = SafeStream(out)
        self.err = SafeStream(err)
        self._color_out = look.color and self.out.isatty()

    def say(self, line: Line | str) -> None:
        """A line on stderr; nothing with `--quiet`."""
        if not self.look.quiet:
            self.insist(line)

    def insist(self, line: Line | str) -> None:
        """A line on stderr, with `--quiet` too: errors and warnings."""
        for row in self._folded(self.err, line):
            self.insist_raw(row)

    def insist_raw(self, line: Line | str) -> None:
        """The same of a line of somebody else's, as long as it is."""
        self._put(self.err, _paint(line, color=self.look.color) + "\n")

    def print(self, lines: Iterable[Line | str]) -> None:
        """Lines of data on stdout."""
        rows = [row for line in lines for row in self._folded(self.out, line)]
        self._answer("".join(_paint(row, color=self._color_out) + "\n" for row in rows))

    def print_raw(self, lines: Iterable[Line | str]) -> None:
        """Lines of somebody else's on stdout, as long as they are."""
        self._answer("".join(_paint(line, color=self._color_out) + "\n" for line in lines))

    @staticmethod
    def _folded(stream: SafeStream, line: Line | str) -> Lines:
        segments = plain(line) if isinstance(line, str) else line
        width = stream.width()
        return fold(segments, width) if width else (segments,)

    def document(self, document: Document) -> None:
        """A whole answer on stdout, as JSON or YAML."""
        self._answer(to_yaml(document) if self.look.output == "yaml" else to_json(document))

    def record(self, document: Document) -> None:
        """One object of a stream: one line of JSON, or one YAML document."""
        self._answer("---\n" + to_yaml(document) if self.look.output == "yaml" else json.dumps(document) + "\n")

    @staticmethod
    def _put(stream: SafeStream, text: str) -> None:
        stream.write(text)
        stream.flush()

    def _answer(self, text: str) -> None:
        """Data on stdout. Raises PreconditionError where it lies on a full disk: the reader is there, and got half."""
        self._put(self.out, text)
        if self.out.full:
            raise PreconditionError("the answer could not be written: the disk is full", hint="free some space")


def to_json(document: Document) -> str:
    """Indented JSON in ASCII: whatever a host wrote into a value cannot reach the terminal raw."""
    return json.dumps(document, indent=2) + "\n"


def to_yaml(document: Document) -> str:
    """The same as YAML; through JSON first, so that no type of ours can leak into it."""
    import yaml

    return str(yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False))


def make_screen(look: Look) -> Screen:
    """The screen of this process. Characters that the terminal cannot show are escaped instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    return Screen(look, sys.stdout, sys.stderr)


def _paint(line: Line | str, *, color: bool) -> str:
    segments = plain(line) if isinstance(line, str) else line
    return to_ansi(segments) if color else to_plain(segments)


class SafeStream:
    """A text stream whose reader may go away (a closed pipe, a lost terminal): from then on it leads nowhere.

    Raising instead would end a run that is under way on machines because somebody closed a window.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.full = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write; the length of `text`, always."""
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:
            self._forget(error)
        return len(text)

    def flush(self) -> None:
        """Flush; never raises."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._forget(error)

    def _forget(self, error: OSError | ValueError) -> None:
        self.full = self.full or (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT})
        silence(self._stream)

    def width(self) -> int:
        """The terminal's columns; 0 where there is none."""
        try:
            return os.get_terminal_size(self.fileno()).columns if self.isatty() else 0
        except (OSError, ValueError):
            return 0

    def isatty(self) -> bool:
        """True on a terminal."""
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor below. Raises OSError where there is none."""
        return self._stream.fileno()


def silence(stream: TextIO) -> None:
    """Lead a stream nowhere, so that neither we nor the interpreter's last flush stumble over it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
