"""From words to the tree: the parser of templates. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from provisioner.apply.template_scan import Action, Token, scan
from provisioner.apply.template_syntax import (
    FUNCTIONS,
    MAX_DEPTH,
    REFUSED,
    Call,
    Expression,
    Field,
    If,
    Literal,
    Node,
    Output,
    Range,
    Source,
    Text,
)

_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_MAX_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def parse(source: Source) -> tuple[Node, ...]:
    """The tree of a template. Raises InvalidFileError at the first thing that is wrong."""
    parser = _Blocks(source, scan(source))
    nodes = parser.nodes(frozenset())
    if parser.stop is not None:
        raise source.error(parser.stop.offset, f"{parser.stop.text!r} without a block that it belongs to")
    return nodes


@dataclass(slots=True)
class _Blocks:
    """Reads actions one by one; `stop` is the `else` or `end` that closed what was read last."""

    source: Source
    actions: tuple[Action, ...]
    at: int = 0
    depth: int = 0
    stop: Token | None = None
    rest: tuple[Token, ...] = ()
    offset: int = 0

    def nodes(self, variables: frozenset[str]) -> tuple[Node, ...]:
        """Nodes up to an `else`, an `end` or the end of the file."""
        found: list[Node] = []
        while self.at < len(self.actions):
            action = self.actions[self.at]
            self.at += 1
            if action.before:
                found.append(Text(action.before))
            if action.tokens is None:
                continue
            if _is_word(action.tokens, "else", "end"):
                self.stop, self.rest, self.offset = action.tokens[0], action.tokens[1:], action.offset
                return tuple(found)
            found.append(self._node(action, action.tokens, variables))
        self.stop = None
        return tuple(found)

    def _node(self, action: Action, tokens: tuple[Token, ...], variables: frozenset[str]) -> Node:
        if _is_word(tokens, "if"):
            return self._nested(action, lambda: self._if(action, tokens[1:], variables))
        if _is_word(tokens, "range"):
            return self._nested(action, lambda: self._range(action, tokens[1:], variables))
        if _is_word(tokens, *REFUSED):
            hint = "of Go's templates, these stand here: .Name, if, range, default, join, b64enc, b64dec, eq, ne, not, and, or"
            raise self.source.error(tokens[0].offset, f"{tokens[0].text!r} is not supported", hint)
        return Output(self._value(action.offset, tokens, variables), action.offset)

    def _nested(self, action: Action, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.source.error(action.offset, f"blocks are nested more than {MAX_DEPTH} deep")
        node = read()
        self.depth -= 1
        return node

    def _if(self, action: Action, tokens: tuple[Token, ...], variables: frozenset[str]) -> If:
        branches: list[tuple[Expression | None, tuple[Node, ...]]] = []
        condition: Expression | None = self._value(action.offset, tokens, variables)
        while True:
            branches.append((condition, self.nodes(variables)))
            stop = self._closed(action, "if")
            if stop.text == "end":
                return If(tuple(branches))
            if condition is None:
                raise self.source.error(stop.offset, "a second 'else' in one 'if'")
            condition = self._else_condition(variables)

    def _else_condition(self, variables: frozenset[str]) -> Expression | None:
        if not self.rest:
            return None
        if not _is_word(self.rest, "if"):
            raise self.source.error(self.rest[0].offset, "after 'else' stands nothing, or 'if' and a condition")
        return self._value(self.offset, self.rest[1:], variables)

    def _range(self, action: Action, tokens: tuple[Token, ...], variables: frozenset[str]) -> Range:
        names, tokens = self._declared(tokens)
        over = self._value(action.offset, tokens, variables)
        body = self.nodes(variables | set(names))
        stop = self._closed(action, "range")
        other: tuple[Node, ...] = ()
        if stop.text == "else":
            self._bare(stop)
            other = self.nodes(variables)
            stop = self._closed(action, "range")
            if stop.text == "else":
                raise self.source.error(stop.offset, "a second 'else' in one 'range'")
        index, element = ("", *names)[-2:] if names else ("", "")
        return Range(over, index, element, body, other, action.offset)

    def _declared(self, tokens: tuple[Token, ...]) -> tuple[tuple[str, ...], tuple[Token, ...]]:
        at = next((i for i, token in enumerate(tokens) if token.text == ":="), None)
        if at is None:
            return (), tokens
        shape = tuple(token.text if token.kind == "sign" else token.kind for token in tokens[:at])
        named = all(len(token.text) > 1 for token in tokens[:at] if token.kind == "variable")
        if shape not in {("variable",), ("variable", ",", "variable")} or not named:
            raise self.source.error(tokens[0].offset, "before := stands $element or $index, $element")
        return tuple(token.text for token in tokens[:at] if token.kind == "variable"), tokens[at + 1 :]

    def _closed(self, action: Action, block: str) -> Token:
        if self.stop is None:
            raise self.source.error(action.offset, f"this {block!r} has no {{{{ end }}}}")
        if self.stop.text == "end":
            self._bare(self.stop)
        return self.stop

    def _bare(self, stop: Token) -> None:
        if self.rest:
            raise self.source.error(self.rest[0].offset, f"nothing stands after {stop.text!r} here")

    def _value(self, offset: int, tokens: tuple[Token, ...], variables: frozenset[str]) -> Expression:
        return _Words(self.source, tokens, variables, offset).whole()


def _is_word(tokens: tuple[Token, ...], *words: str) -> bool:
    return bool(tokens) and tokens[0].kind == "word" and tokens[0].text in words


@dataclass(slots=True)
class _Words:
    """Reads one pipeline from the words of an action."""

    source: Source
    tokens: tuple[Token, ...]
    variables: frozenset[str]
    offset: int
    at: int = 0
    depth: int = field(default=0)

    def whole(self) -> Expression:
        """The pipeline that all the words make."""
        value = self._pipeline()
        if token := self._peek():
            raise self.source.error(token.offset, f"{token.text!r} has no meaning here")
        return value

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _pipeline(self) -> Expression:
        value = self._command(None)
        while (token := self._peek()) and token.text == "|":
            self.at += 1
            value = self._command(value)
        return value

    def _command(self, piped: Expression | None) -> Expression:
        token = self._peek()
        if token and token.kind == "word" and token.text not in {"true", "false"}:
            self.at += 1
            return self._call(token, piped)
        if piped is not None:
            raise self.source.error(token.offset if token else self.offset, "after | stands a function")
        return self._operand(token)

    def _call(self, token: Token, piped: Expression | None) -> Call:
        if token.text not in FUNCTIONS:
            hint = "known are " + ", ".join(sorted(FUNCTIONS))
            raise self.source.error(token.offset, f"unknown function {token.text!r}", hint)
        args: list[Expression] = []
        while (word := self._peek()) and word.text not in {"|", ")"}:
            args.append(self._argument(word))
        if piped is not None:
            args.append(piped)
        least, most = FUNCTIONS[token.text]
        if not least <= len(args) <= most:
            wants = str(least) if least == most else f"{least} to {most}"
            raise self.source.error(token.offset, f"{token.text} takes {wants} arguments, not {len(args)}")
        depth = 1 + max((arg.depth for arg in args if isinstance(arg, Call)), default=0)
        if depth > MAX_DEPTH:
            raise self.source.error(token.offset, f"more than {MAX_DEPTH} functions lie within each other")
        return Call(token.text, tuple(args), token.offset, depth)

    def _argument(self, token: Token) -> Expression:
        if token.glued:
            raise self.source.error(token.offset, "a space is missing here")
        if token.kind == "word" and token.text in FUNCTIONS:
            raise self.source.error(token.offset, "a function as an argument stands in parentheses")
        return self._operand(token)

    def _operand(self, token: Token | None) -> Expression:
        if token is None:
            raise self.source.error(self.offset, "a value is missing here")
        self.at += 1
        if token.text == "(":
            return self._parenthesis(token)
        if token.kind in {"field", "dot", "variable"}:
            return self._field(token)
        return Literal(self._literal(token))

    def _parenthesis(self, token: Token) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.source.error(token.offset, f"parentheses are nested more than {MAX_DEPTH} deep")
        value = self._pipeline()
        closing = self._peek()
        if closing is None or closing.text != ")":
            raise self.source.error(token.offset, "this ( is not closed")
        self.at += 1
        self.depth -= 1
        return value

    def _field(self, token: Token) -> Field:
        names = [token.text[1:]] if token.kind == "field" else []
        base = token.text if token.kind == "variable" else ""
        if base not in {"", "$"} and base not in self.variables:
            raise self.source.error(token.offset, f"unknown variable {base}", "variables come from range: $i, $v := …")
        while token.kind != "dot" and (more := self._peek()) and more.kind == "field" and more.glued:
            names.append(more.text[1:])
            self.at += 1
        return Field(base, tuple(names), token.offset)

    def _literal(self, token: Token) -> str | int | bool:
        if token.kind == "string":
            return _ESCAPE.sub(lambda match: self._unescape(token, match), token.text[1:-1])
        if token.kind == "raw":
            return token.text[1:-1]
        if token.kind == "number":
            return int(token.text)
        if token.text in {"true", "false"}:
            return token.text == "true"
        raise self.source.error(token.offset, f"{token.text!r} has no meaning here")

    def _unescape(self, token: Token, match: re.Match[str]) -> str:
        code = match[1]
        if code in _SIMPLE:
            return _SIMPLE[code]
        if len(code) == 1:
            raise self.source.error(token.offset + 1 + match.start(), f"\\{code} is no escape")
        number = int(code, 8) if code[0].isdigit() else int(code[1:], 16)
        if number > _MAX_CHARACTER or number in _SURROGATES:
            raise self.source.error(token.offset + 1 + match.start(), f"\\{code} is no character")
        return chr(number)
