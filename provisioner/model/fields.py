"""A format as a table, and the one walk that holds a file against it: all problems at once, each at its place.

A field is read, refused as not built yet, or let pass with a warning; nothing is ignored in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.errors import Problem
from provisioner.model.grammar import check_env_key, check_env_value, did_you_mean
from provisioner.model.yamlnodes import NOTHING, Map, Node, Scalar, Seq, is_null

Path = tuple[str | int, ...]
Check = Callable[[str], str]

MAX_PROBLEMS = 200
"""In one file: more help nobody, and hostile files make millions."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,11})")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?")
_NOT_BUILT = "is not built yet"


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as written. An unquoted `yes` or `on` is refused, as YAML 1.1 makes a boolean of it."""

    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `low` to `high`, bare or quoted."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Amount:
    """A positive amount of money, with at most six decimals."""


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list; with `some` it must not be empty, with `unique` no text may stand twice."""

    item: Spec
    some: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class TextMap:
    """A mapping with keys of the user's choice."""

    check_key: Check | None = None
    check_value: Check | None = None


@dataclass(frozen=True, slots=True)
class Env:
    """Env values: a list of `k=v`, where the last one wins; with `mapping` also a mapping."""

    mapping: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """A key with a short and a long form: a single value is read as `short`, a list or a mapping as `long`."""

    short: Spec
    long: Spec


@dataclass(frozen=True, slots=True)
class Free:
    """Read by somebody else."""


@dataclass(frozen=True, slots=True)
class Field:
    """A known key. `built` False: refused by name where it says something. `ignored`: passes with a warning.

    `alias` is another spelling of the same key, taken as well. `required`: the mapping is wrong without it.
    """

    spec: Spec
    built: bool = True
    ignored: bool = False
    alias: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys. `elsewhere` says for keys of other documents where they belong."""

    fields: Mapping[str, Field]
    elsewhere: Mapping[str, str] = field(default_factory=dict)


Spec = Text | Number | Amount | Flag | Items | TextMap | Env | Record | Either | Free


class Report:
    """Collects what is found in one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        """Note something that makes the file invalid."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self.file, node.line, node.column, to_key(path), message, hint))

    def warn(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        """Note something that a person should read."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(Problem(self.file, node.line, node.column, to_key(path), message, hint))

    def not_built(self, node: Node, path: Path, what: str = "", hint: str = "remove it for now") -> None:
        """Refuse a known thing by name."""
        self.problem(node, path, f"{what} {_NOT_BUILT}".lstrip(), hint)


def to_key(path: Path) -> str:
    """`spec.hosts[1].ips[0]`."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.removeprefix(".")


def read(spec: Spec, node: Node, path: Path, report: Report) -> object:
    """Hold a node against its table; returns plain values, None where nothing or nothing valid is said."""
    if is_null(node):
        return None
    return _READERS[type(spec)](spec, node, path, report)


def _read_text(spec: Text, node: Node, path: Path, report: Report) -> str | None:
    if not isinstance(node, Scalar):
        report.problem(node, path, f"must be a text, not {_name_of(node)}", _braces_hint(node))
        return None
    if node.kind == "bool":
        report.problem(node, path, f"unquoted {node.text} is a YAML boolean", f'write "{node.text}" in quotes')
        return None
    complaint = spec.check(node.text) if spec.check else ""
    if complaint:
        report.problem(node, path, complaint)
        return None
    return node.text


def _read_number(spec: Number, node: Node, path: Path, report: Report) -> int | None:
    if not isinstance(node, Scalar):
        report.problem(node, path, f"must be a whole number, not {_name_of(node)}")
        return None
    if not _NUMBER.fullmatch(node.text):
        octal = node.text.isdigit() and node.text.startswith("0")
        hint = "leading zeros make an octal number in YAML 1.1; leave them out" if octal else ""
        report.problem(node, path, f"must be a whole number, not {node.text[:40]!r}", hint)
        return None
    value = int(node.text)
    if not spec.low <= value <= spec.high:
        report.problem(node, path, f"must be between {spec.low} and {spec.high}, not {value}")
        return None
    return value


def _read_amount(_spec: Amount, node: Node, path: Path, report: Report) -> float | None:
    if isinstance(node, Scalar) and _AMOUNT.fullmatch(node.text) and float(node.text) > 0:
        return float(node.text)
    report.problem(node, path, "must be a positive number like 0.4")
    return None


def _read_either(spec: Either, node: Node, path: Path, report: Report) -> object:
    return read(spec.short if isinstance(node, Scalar) else spec.long, node, path, report)


def _read_flag(_spec: Flag, node: Node, path: Path, report: Report) -> bool | None:
    if isinstance(node, Scalar) and node.text in ("true", "false"):
        return node.text == "true"
    value = f", not {node.text[:40]!r}" if isinstance(node, Scalar) else f", not {_name_of(node)}"
    report.problem(node, path, f"must be true or false{value}", f"write {path[-1]}: true, without quotes")
    return None


def _read_items(spec: Items, node: Node, path: Path, report: Report) -> tuple[object, ...] | None:
    if not isinstance(node, Seq):
        hint = f"write [{node.text[:40]}]" if isinstance(node, Scalar) else ""
        if isinstance(node, Scalar) and node.text.startswith("-"):
            hint = "put a space after each dash"
        report.problem(node, path, f"must be a list, not {_name_of(node)}", hint)
        return None
    if spec.some and not node.items:
        report.problem(node, path, "must not be empty")
    found: list[object] = []
    seen: set[object] = set()
    for index, item in enumerate(node.items):
        if is_null(item):
            report.problem(item, (*path, index), "is empty")
        elif (value := read(spec.item, item, (*path, index), report)) is not None:
            if spec.unique and value in seen:
                report.problem(item, (*path, index), f"{value} stands twice")
            if spec.unique:
                seen.add(value)
            found.append(value)
    return tuple(found)


def _read_text_map(spec: TextMap, node: Node, path: Path, report: Report) -> dict[str, str] | None:
    if not isinstance(node, Map):
        report.problem(node, path, f"must be a mapping, not {_name_of(node)}")
        return None
    found: dict[str, str] = {}
    for key, value in node.entries:
        here = (*path, key.text)
        complaint = spec.check_key(key.text) if spec.check_key else ""
        if complaint:
            report.problem(key, here, complaint)
        elif (text := _read_text(Text(spec.check_value), value, here, report)) is not None:
            found[key.text] = "" if is_null(value) else text
    return found


def _read_env(spec: Env, node: Node, path: Path, report: Report) -> dict[str, str] | None:
    if spec.mapping and isinstance(node, Map):
        return _read_text_map(TextMap(check_env_key, check_env_value), node, path, report)
    if not isinstance(node, Seq):
        report.problem(node, path, f"must be a list of k=v, not {_name_of(node)}", "write - KEY=VALUE on each line")
        return None
    found: dict[str, str] = {}
    for index, item in enumerate(node.items):
        word = _read_text(Text(), item, (*path, index), report)
        if word is None:
            continue
        key, equals, value = word.partition("=")
        complaint = "" if equals else f"{key[:80]!r} has no '='"
        complaint = complaint or check_env_key(key) or check_env_value(value)
        if complaint:
            report.problem(item, (*path, index), complaint, "" if equals else "write KEY=VALUE")
        else:
            found[key] = value
    return found


def _read_record(spec: Record, node: Node, path: Path, report: Report) -> dict[str, object] | None:
    if not isinstance(node, Map):
        report.problem(node, path, f"must be a mapping, not {_name_of(node)}")
        return None
    names = {f.alias: name for name, f in spec.fields.items() if f.alias}
    found: dict[str, object] = {}
    for key, value in node.entries:
        name = names.get(key.text, key.text)
        known = spec.fields.get(name)
        if known is None:
            _refuse_unknown(spec, key, path, report)
        elif name in found:
            report.problem(key, (*path, key.text), f"is another spelling of {name}, which is there already")
        else:
            found[name] = _read_field(known, key, value, (*path, key.text), report)
    for name, known in spec.fields.items():
        if known.required and is_null(node.get(name) or NOTHING):
            report.problem(node, path, f"{name} is missing")
    return found


def _read_field(known: Field, key: Scalar, value: Node, path: Path, report: Report) -> object:
    if known.ignored:
        if not is_null(value):
            report.warn(key, path, "is not read", "it has no effect; remove it")
        return None
    result = read(known.spec, value, path, report)
    if known.built:
        return result
    if not _says_nothing(value):
        report.not_built(key, path)
    return None


def _refuse_unknown(spec: Record, key: Scalar, path: Path, report: Report) -> None:
    where = spec.elsewhere.get(key.text)
    if where:
        report.problem(key, (*path, key.text), f"does not belong here: {where}")
        return
    known = {*spec.fields, *(f.alias for f in spec.fields.values() if f.alias)}
    hint = did_you_mean(key.text, known) if len(report.problems) < MAX_PROBLEMS else ""
    hint = hint or "known here: " + ", ".join(name for name, f in spec.fields.items() if f.built and not f.ignored)
    report.problem(key, (*path, key.text), "unknown key", hint)


def _read_free(_spec: Free, _node: Node, _path: Path, _report: Report) -> None:
    return None


def _says_nothing(node: Node) -> bool:
    """`ssh: {}`, `taints: []`, `spot: false` ask for nothing that we could fail to do."""
    if isinstance(node, Map):
        return not node.entries
    if isinstance(node, Seq):
        return not node.items
    return node.kind == "null" or (node.kind == "bool" and node.text == "false")


def _name_of(node: Node) -> str:
    if isinstance(node, Scalar):
        return "a text" if node.kind == "str" else "a single value"
    return "a list" if isinstance(node, Seq) else "a mapping"


def _braces_hint(node: Node) -> str:
    return "in YAML, { … } is a mapping; write the value without braces" if isinstance(node, Map) else ""


_READERS: Mapping[type, Callable[..., object]] = {
    Text: _read_text,
    Number: _read_number,
    Amount: _read_amount,
    Flag: _read_flag,
    Either: _read_either,
    Items: _read_items,
    TextMap: _read_text_map,
    Env: _read_env,
    Record: _read_record,
    Free: _read_free,
}
