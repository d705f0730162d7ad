"""YAML as nodes with positions: what a file says, before anybody decides what it means.

Scalars keep their text as written, so `000000` stays six zeros; `kind` only says what YAML 1.1 would have made of it.
Built from parser events and not with the library's composer, as that recurses in C: hostile input meets our limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from provisioner.errors import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_DOCUMENTS = 500
MAX_KEY = 256
MAX_NODES = 10_000
"""Nodes of one file after its aliases are expanded: an alias bomb ends here."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVERS: dict[str | None, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_TAG = "tag:yaml.org,2002:"
_MARKER = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"%[A-Z]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar. `kind` is `str`, or for a plain scalar what YAML 1.1 reads: `null`, `bool`, `int` and others."""

    text: str
    kind: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Seq:
    """A list."""

    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping with unique scalar keys, in file order, merge keys (`<<`) resolved."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int
    column: int

    def get(self, key: str) -> Node | None:
        """The value under a key, if it is there."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = Scalar | Seq | Map
NOTHING = Scalar("", "null", 0, 0)
"""What stands where nothing is said."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document that holds something. `number` counts from 1 in its file."""

    file: str
    number: int
    root: Node


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, message: str, line: int, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.hint = message, line, column, hint


def parse_documents(file: str, raw: bytes) -> tuple[list[Document], list[Problem]]:
    """Read a file: its documents, and for each that cannot be read the problem. Never raises, bounded in time."""
    try:
        text = _decode(raw)
    except _Refused as error:
        return [], [_to_problem(file, error)]
    documents: list[Document] = []
    problems: list[Problem] = []
    budget = _Budget()
    for number, (first, chunk) in enumerate(_chunks(text), start=1):
        refused: list[_Refused] = []
        try:
            root = _compose(chunk, first, budget, refused)
        except _Refused as error:
            refused.append(error)
            root = None
        problems += [_to_problem(file, error) for error in refused]
        if budget.spent:
            break
        if root is not None and not is_null(root):
            documents.append(Document(file, number, root))
    return documents, problems


def find(node: Node, path: Sequence[str | int]) -> Node:
    """The node at a path, or the nearest one above it that exists: where a problem is shown."""
    for part in path:
        child: Node | None = None
        if isinstance(node, Map):
            child = node.get(str(part))
        elif isinstance(node, Seq) and isinstance(part, int) and part < len(node.items):
            child = node.items[part]
        if child is None:
            return node
        node = child
    return node


def find_key(node: Node, path: Sequence[str | int]) -> Node:
    """As `find`, but the key's own node where the last part is a key: a missing or refused key is shown there."""
    parent = find(node, path[:-1])
    if isinstance(parent, Map):
        return next((name for name, _ in parent.entries if name.text == path[-1]), parent)
    return find(parent, path[-1:])


def is_null(node: Node) -> bool:
    """True for `null`, `~` and nothing at all."""
    return isinstance(node, Scalar) and node.kind == "null"


def _to_problem(file: str, error: _Refused) -> Problem:
    return Problem(file, error.line, error.column, "", error.message, error.hint)


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Refused("the file is larger than 1 MiB", 1, 1, "a Clusterfile is small; is this the right file?")
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode("utf-8"))
        raise _Refused("not UTF-8 text", line, column, "save the file as UTF-8") from error
    if match := _UNPRINTABLE.search(text):
        line, column = _position(text[: match.start()])
        raise _Refused(f"control character U+{ord(match[0]):04X}", line, column, "remove it")
    return text


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Cut at `---` lines, so that one broken document hides no other; gives each chunk's first line number."""
    starts = [m.start() for m in _MARKER.finditer(text)]
    edges = [0, *(s for s in starts if s), len(text)]
    line = 1
    for start, end in pairwise(edges):
        chunk = text[start:end]
        yield line, chunk
        line += chunk.count("\n")


def _compose(chunk: str, first: int, budget: _Budget, refused: list[_Refused]) -> Node | None:
    budget.documents += 1
    if budget.documents > MAX_DOCUMENTS:
        raise _Refused(f"more than {MAX_DOCUMENTS} documents", first, 1)
    if _is_empty(chunk):
        return None
    if _DIRECTIVE.match(chunk):
        raise _Refused("YAML directives are not read", first, 1, "remove the line that starts with %")
    composer = _Composer(first, budget, refused)
    try:
        for event in yaml.parse(chunk, Loader=_Loader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise _explain(error, chunk, first) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _Refused(f"not YAML: {error}", first, 1) from error
    return composer.root


def _is_empty(chunk: str) -> bool:
    """Blank lines, comments, `...`: libyaml refuses a lone `...`, upstream takes it."""
    lines = chunk.removeprefix("---").split("\n")
    return all(not (text := line.strip()) or text.startswith("#") or line.rstrip() == "..." for line in lines)


def _explain(error: yaml.MarkedYAMLError, chunk: str, first: int) -> _Refused:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = chunk.split("\n")
    text = lines[min(line, len(lines) - 1)]
    what = str(error.problem or error.context or error)
    if text[: len(text) - len(text.lstrip())].count("\t"):
        return _Refused("a tab is used for indentation", first + line, column + 1, "indent with spaces")
    if "nesting depth" in what:
        return _Refused(f"nested deeper than {MAX_DEPTH} levels", first + line, column + 1)
    if "document start" in what and any(before.rstrip() == "..." for before in lines[:line]):
        return _Refused("text after the end of a document ('...')", first + line, column + 1, "begin it with '---'")
    return _Refused(f"not YAML: {what}", first + line, column + 1, _syntax_hint(what, text))


def _syntax_hint(what: str, text: str) -> str:
    if "cannot start any token" in what:
        return "put the value in quotes"
    if "mapping values are not allowed" in what:
        return "a value with ': ' in it needs quotes; a key must stand on its own line"
    if text.strip() == "...":
        return "'...' is no YAML here; write the fields out"
    return ""


@dataclass(slots=True)
class _Budget:
    """What one file may cost, over all its documents."""

    nodes: int = 0
    documents: int = 0

    @property
    def spent(self) -> bool:
        return self.nodes > MAX_NODES or self.documents > MAX_DOCUMENTS


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    is_map: bool
    anchor: str | None
    line: int
    column: int
    nodes: list[Node]
    size: int = 1


class _Composer:
    """Takes parser events, builds nodes without recursion, counts what aliases expand to."""

    def __init__(self, first: int, budget: _Budget, refused: list[_Refused]) -> None:
        self.root: Node | None = None
        self._refused = refused
        self._first = first
        self._budget = budget
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), 1, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._start(event)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self._end()

    def _at(self, event: Any) -> tuple[int, int]:
        return self._first + event.start_mark.line, event.start_mark.column + 1

    def _scalar(self, event: Any) -> Scalar:
        line, column = self._at(event)
        _check_tag(event.tag, "str", line, column)
        if match := _UNPRINTABLE.search(event.value):
            raise _Refused(f"an escape makes the control character U+{ord(match[0]):04X}", line, column, "remove it")
        plain = event.style in (None, "") and not event.tag
        return Scalar(event.value, _kind_of(event.value) if plain else "str", line, column)

    def _alias(self, event: Any) -> None:
        line, column = self._at(event)
        found = self._anchors.get(event.anchor)
        if found is None:
            raise _Refused(f"alias *{event.anchor} has no anchor before it", line, column)
        self._add(found[0], found[1], None)

    def _start(self, event: Any) -> None:
        line, column = self._at(event)
        is_map = isinstance(event, yaml.MappingStartEvent)
        _check_tag(event.tag, "map" if is_map else "seq", line, column)
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels", line, column)
        self._open.append(_Open(is_map, event.anchor, line, column, []))

    def _end(self) -> None:
        done = self._open.pop()
        node: Node
        if done.is_map:
            node = Map(_entries(done.nodes, self._refused), done.line, done.column)
        else:
            node = Seq(tuple(done.nodes), done.line, done.column)
        self._add(node, done.size, done.anchor, fresh=1)

    def _add(self, node: Node, size: int, anchor: str | None, fresh: int | None = None) -> None:
        """`fresh` nodes count against the file's budget now; a closed collection's children were counted already."""
        self._budget.nodes += size if fresh is None else fresh
        if self._budget.nodes > MAX_NODES:
            raise _Refused(f"more than {MAX_NODES} values once aliases are expanded", node.line, node.column)
        if anchor:
            self._anchors[anchor] = (node, size)
        if self._open:
            self._open[-1].nodes.append(node)
            self._open[-1].size += size
        else:
            self.root = node


def _check_tag(tag: str | None, wanted: str, line: int, column: int) -> None:
    if tag and tag not in ("!", _TAG + wanted):
        raise _Refused(f"the tag {tag.replace(_TAG, '!!')} is not read", line, column, "remove it")


def _kind_of(text: str) -> str:
    for tag, pattern in _RESOLVERS.get(text[:1], []):
        if pattern.match(text):
            return tag.removeprefix(_TAG)
    return "str"


def _entries(nodes: list[Node], refused: list[_Refused]) -> tuple[tuple[Scalar, Node], ...]:
    own: dict[str, tuple[Scalar, Node]] = {}
    merged: dict[str, tuple[Scalar, Node]] = {}
    for key, value in zip(nodes[::2], nodes[1::2], strict=True):
        if not isinstance(key, Scalar):
            refused.append(_Refused("a key must be plain text", key.line, key.column))
        elif len(key.text) > MAX_KEY:
            refused.append(_Refused(f"a key longer than {MAX_KEY} characters", key.line, key.column))
        elif key.kind == "merge":
            merged = {**_merge_key(value, refused), **merged}
        elif first := own.get(key.text):
            what = f"the key {key.text!r} is repeated; it stands in line {first[0].line} already"
            refused.append(_Refused(what, key.line, key.column, "keep one of them"))
        else:
            own[key.text] = (key, value)
    return tuple({**merged, **own}.values())


def _merge_key(value: Node, refused: list[_Refused]) -> dict[str, tuple[Scalar, Node]]:
    found: dict[str, tuple[Scalar, Node]] = {}
    for part in value.items if isinstance(value, Seq) else (value,):
        if not isinstance(part, Map):
            refused.append(_Refused("'<<' takes a mapping", part.line, part.column))
            continue
        for key, node in part.entries:
            found.setdefault(key.text, (key, node))
    return found
