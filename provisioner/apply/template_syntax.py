"""The grammar of templates: a subset of Go's text/template, read into a small tree. Pure.

    text       {{ pipeline }}  {{- trims spaces and line ends before it, -}} after it  {{/* comment */}}
    blocks     if … else if … else … end        range [$i,] [$v :=] pipeline … else … end
    pipeline   operand | function operand … | …
    operand    "text" `raw` 12 true false . .Name .Name.Field $ $.Name $v $v.Field (pipeline)

`with`, `define`, `template`, `block`, `break`, `continue` and variables outside `range` are refused by name.
Nesting is at most 32 deep, so that no input can exhaust the stack.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import InvalidFileError, Problem

MAX_DEPTH = 32
FUNCTIONS = {
    "default": (2, 2),
    "join": (2, 2),
    "b64enc": (1, 1),
    "b64dec": (1, 1),
    "eq": (2, 32),
    "ne": (2, 2),
    "not": (1, 1),
    "and": (1, 32),
    "or": (1, 32),
}
"""Functions and how many arguments they take, least and most, a piped one counted."""
REFUSED = frozenset({"with", "define", "template", "block", "break", "continue"})


@dataclass(frozen=True, slots=True)
class Source:
    """A template's text and the image path it came from: what errors point into."""

    file: str
    text: str

    def problem(self, offset: int, message: str, hint: str = "") -> Problem:
        """A finding at an offset (in characters)."""
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        return Problem(self.file, line, column, "", message, hint)

    def error(self, offset: int, message: str, hint: str = "") -> InvalidFileError:
        """The same, to be raised."""
        return InvalidFileError([self.problem(offset, message, hint)])


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number or a truth value that stands in the template."""

    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B` on the current element (`base` ""), `$.A.B` on the top (`base` "$"), `$v.A` on a variable."""

    base: str
    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments; a piped value stands last. `depth` counts the calls within each other."""

    function: str
    args: tuple[Expression, ...]
    offset: int
    depth: int


Expression = Literal | Field | Call


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is copied."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """A value that is written."""

    value: Expression
    offset: int


@dataclass(frozen=True, slots=True)
class If:
    """Branches in order, each with its condition; the last one's condition is None for `else`."""

    branches: tuple[tuple[Expression | None, tuple[Node, ...]], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A body for each element, or `other` where there is none. `index` and `element` are variables or ""."""

    over: Expression
    index: str
    element: str
    body: tuple[Node, ...]
    other: tuple[Node, ...]
    offset: int


Node = Text | Output | If | Range
