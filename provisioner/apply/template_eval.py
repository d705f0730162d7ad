"""Rendering of a template's tree: bounded in work and output, errors point to their place, no value in a message. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.apply.env import Peer
from provisioner.apply.template_syntax import Call, Expression, Field, If, Literal, Node, Output, Range, Source, Text

MAX_OUTPUT = 16 << 20
"""Characters of a result, and of any value on the way to it."""
MAX_WORK = 2_000_000
"""Units of work: one for each node and value, one more for each 256 characters of it."""
_CHUNK = 256

Item = str | int | bool | Peer | tuple["Item", ...]


@dataclass(frozen=True, slots=True)
class _Scope:
    """What `.` is, None at the top, and the variables of the ranges around."""

    dot: Item | None = None
    variables: Mapping[str, Item] = field(default_factory=dict)


@dataclass(slots=True)
class Evaluation:
    """One rendering. `data` holds the variables; their names were checked before."""

    source: Source
    data: Mapping[str, str | tuple[Peer, ...]]
    parts: list[str] = field(default_factory=list)
    size: int = 0
    work: int = 0

    def text(self, nodes: tuple[Node, ...]) -> str:
        """The whole result. Raises InvalidFileError."""
        self._run(nodes, _Scope())
        return "".join(self.parts)

    def _run(self, nodes: tuple[Node, ...], scope: _Scope) -> None:
        for node in nodes:
            match node:
                case Text():
                    self._write(node.text, 0)
                case Output():
                    self._write(_text(self._value(node.value, scope)), node.offset)
                case If():
                    self._branch(node, scope)
                case Range():
                    self._repeat(node, scope)

    def _write(self, text: str, offset: int) -> None:
        self._charge(offset, len(text))
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise self.source.error(offset, "the result is longer than 16 MiB")
        self.parts.append(text)

    def _charge(self, offset: int, length: int = 0) -> None:
        self.work += 1 + length // _CHUNK
        if self.work > MAX_WORK or length > MAX_OUTPUT:
            raise self.source.error(offset, "rendering this takes too much work", "use fewer ranges within each other")

    def _branch(self, node: If, scope: _Scope) -> None:
        for condition, body in node.branches:
            if condition is None or _truth(self._value(condition, scope)):
                self._run(body, scope)
                return

    def _repeat(self, node: Range, scope: _Scope) -> None:
        items = self._value(node.over, scope)
        if not isinstance(items, tuple):
            raise self.source.error(
                node.offset, "range takes a list", "lists are SEALER_PEERS, SEALER_MASTERS and .Roles"
            )
        for index, item in enumerate(items):
            self._charge(node.offset)
            named = {name: value for name, value in ((node.index, index), (node.element, item)) if name}
            self._run(node.body, _Scope(item, {**scope.variables, **named}))
        if not items:
            self._run(node.other, scope)

    def _value(self, expression: Expression, scope: _Scope) -> Item:
        match expression:
            case Literal():
                value: Item = expression.value
            case Field():
                value = self._field(expression, scope)
            case Call():
                value = self._call(expression, scope)
        self._charge(getattr(expression, "offset", 0), len(value) if isinstance(value, str) else 0)
        return value

    def _field(self, place: Field, scope: _Scope) -> Item:
        names = place.names
        if place.base not in {"", "$"}:
            value = scope.variables[place.base]
        elif place.base == "" and scope.dot is not None:
            value = scope.dot
        elif names:
            # A name that is missing here stands in `default`; every other use was refused before.
            value, names = self.data.get(names[0], ""), names[1:]
        else:
            raise self.source.error(place.offset, "all variables at once have no text", "write .NAME")
        for name in names:
            value = self._part(value, name, place.offset)
        return value

    def _part(self, value: Item, name: str, offset: int) -> Item:
        if isinstance(value, Peer):
            parts: dict[str, Item] = {"Name": value.name, "Address": value.address, "Roles": value.roles}
            if name in parts:
                return parts[name]
        hint = "a host in a list has .Name, .Address and .Roles; inside range, $.NAME is the variable NAME"
        raise self.source.error(offset, f"there is no .{name} here", hint)

    def _call(self, call: Call, scope: _Scope) -> Item:
        if call.function in {"and", "or"}:
            return self._first(call, scope, until=call.function == "or")
        args = [self._value(arg, scope) for arg in call.args]
        match call.function:
            case "eq":
                return any(self._equal(call, args[0], other) for other in args[1:])
            case "ne":
                return not self._equal(call, args[0], args[1])
            case "not":
                return not _truth(args[0])
            case "default":
                return args[1] if _truth(args[1]) else args[0]
            case _:
                return self._worded(call, args)

    def _worded(self, call: Call, args: list[Item]) -> str:
        """The functions that give a text."""
        if call.function == "join":
            return self._join(call, args[0], args[1])
        word = args[0]
        if not isinstance(word, str):
            raise self.source.error(call.offset, f"{call.function} takes a text")
        return self._encode(call, word) if call.function == "b64enc" else self._decode(call, word)

    def _first(self, call: Call, scope: _Scope, *, until: bool) -> Item:
        """As in Go: `or` gives its first true argument, `and` its first false one, else the last; the rest is skipped."""
        value: Item = ""
        for arg in call.args:
            value = self._value(arg, scope)
            if _truth(value) is until:
                return value
        return value

    def _equal(self, call: Call, left: Item, right: Item) -> bool:
        if type(left) is not type(right) or not isinstance(left, str | int):
            hint = 'every env value is a text: compare it with "3", not with 3'
            raise self.source.error(call.offset, f"{call.function} compares two texts or two numbers", hint)
        return left == right

    def _join(self, call: Call, separator: Item, items: Item) -> str:
        if not isinstance(separator, str) or not isinstance(items, tuple):
            raise self.source.error(call.offset, 'join takes a text and a list: join "," .SEALER_PEERS')
        self._charge(call.offset, len(separator) * len(items))
        return separator.join(map(_text, items))

    def _encode(self, call: Call, word: str) -> str:
        try:
            # Bytes of the operator's environment that are no UTF-8 come as surrogates and go back as they were.
            return base64.b64encode(word.encode("utf-8", "surrogateescape")).decode()
        except UnicodeEncodeError:
            raise self.source.error(call.offset, "b64enc: the value is no text") from None

    def _decode(self, call: Call, word: str) -> str:
        try:
            return base64.b64decode(word, validate=True).decode()
        except ValueError:  # the library's error shows bytes of the value, which may be a secret
            raise self.source.error(call.offset, "b64dec: the value is not base64 of UTF-8 text") from None


def _truth(value: Item) -> bool:
    return True if isinstance(value, Peer) else bool(value)


def _text(value: Item) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return str(value)
