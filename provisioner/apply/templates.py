"""Templates of image files (`*.tmpl`): read, asked for their names, rendered. Pure.

Values are data: what stands in them is copied and never read as template text. The subset of Go's text/template is
drawn in `template_syntax.py`. A name that is not defined is an error, in a branch that is not taken too; only
`default` takes one (`{{ default "2379" .PORT }}`), as that is what it is for. Lists have records with `.Name`,
`.Address` and `.Roles`; written as they are they read `m1=10.0.0.1 m2=10.0.0.2`, as in the env of scripts.

Every input ends in a text or in InvalidFileError: size, nesting, work and output are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner.apply.env import Peer
from provisioner.apply.template_eval import Evaluation
from provisioner.apply.template_parse import parse
from provisioner.apply.template_syntax import Call, Expression, Field, If, Literal, Node, Output, Range, Source, Text
from provisioner.errors import InvalidFileError
from provisioner.model.secret import Secret, Value, reveal

MAX_SIZE = 1 << 20
"""Bytes of one template."""
_MOST_PROBLEMS = 20

Values = Mapping[str, Value | tuple[Peer, ...]]
"""What a template is rendered with: texts, secrets, and the lists of LIST_NAMES."""


@dataclass(frozen=True, slots=True)
class NameUse:
    """One place where a variable stands. `optional` is True where `default` takes care of its absence."""

    name: str
    offset: int
    optional: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read without an error, and every use of a variable in it."""

    source: Source
    nodes: tuple[Node, ...]
    uses: tuple[NameUse, ...]


def read_template(path: str, raw: bytes) -> Template:
    """Read the template at an image path. Raises InvalidFileError: too large, no UTF-8, not in our subset."""
    if len(raw) > MAX_SIZE:
        raise Source(path, "").error(0, "a template may have 1 MiB at most", "rename the file if it is no template")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        hint = "rename the file if it is no template"
        before = raw[: error.start].decode(errors="replace")
        raise Source(path, before).error(len(before), "a template is UTF-8 text", hint) from error
    return parse_template(path, text)


def parse_template(path: str, text: str) -> Template:
    """Read a template's text. Raises InvalidFileError with the image path, line and column."""
    source = Source(path, text)
    nodes = parse(source)
    return Template(source, nodes, tuple(_uses(nodes, top=True)))


def names_in(template: Template) -> frozenset[str]:
    """The variables that the result depends on, in branches and ranges too."""
    return frozenset(use.name for use in template.uses)


def check_names(template: Template, known: frozenset[str]) -> None:
    """Raise InvalidFileError naming every use of a variable that is not in `known` (the first 20)."""
    unknown = [use for use in template.uses if use.name not in known and not use.optional]
    if unknown:
        raise InvalidFileError(
            template.source.problem(
                use.offset, f"the variable {use.name} is not defined", "set it in env, or use default"
            )
            for use in unknown[:_MOST_PROBLEMS]
        )


def render(template: Template, values: Values) -> Value:
    """The text of a template; a Secret where any variable in it is one. Raises InvalidFileError."""
    check_names(template, frozenset(values))
    data = {name: reveal(value) if isinstance(value, Secret) else value for name, value in values.items()}
    text = Evaluation(template.source, data).text(template.nodes)
    # By name, not by what was written: `if eq .PASSWORD "x"` tells something of the secret too.
    secret = any(isinstance(values.get(use.name), Secret) for use in template.uses)
    return Secret(text) if secret else text


def _uses(nodes: tuple[Node, ...], *, top: bool) -> Iterator[NameUse]:
    for node in nodes:
        match node:
            case Text():
                pass
            case Output():
                yield from _uses_of(node.value, top=top)
            case If():
                for condition, body in node.branches:
                    if condition is not None:
                        yield from _uses_of(condition, top=top)
                    yield from _uses(body, top=top)
            case Range():
                yield from _uses_of(node.over, top=top)
                yield from _uses(node.body, top=False)
                yield from _uses(node.other, top=top)


def _uses_of(expression: Expression, *, top: bool, optional: bool = False) -> Iterator[NameUse]:
    match expression:
        case Literal():
            pass
        case Field():
            at_top = expression.base == "$" or (top and not expression.base)
            if at_top and expression.names:
                yield NameUse(expression.names[0], expression.offset, optional)
        case Call():
            last = len(expression.args) - 1
            for number, arg in enumerate(expression.args):
                yield from _uses_of(arg, top=top, optional=expression.function == "default" and number == last)
