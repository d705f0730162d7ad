"""What a resource type is to the servicer: fields with their checks, and six operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from provisioner.plugin.values import Unknown, same, strip

if TYPE_CHECKING:
    from provisioner.plugin.values import Properties, Property

Problem = Callable[["Property"], str | None]
"""What is wrong with a known value, as a sentence without its subject, or None."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `replaces`: a change of it needs another machine; not `compared`: a change of it means nothing."""

    problem: Problem
    required: bool = True
    replaces: bool = False
    compared: bool = True


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that cannot be served, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """The answer to Diff: changed keys in the order of the fields; those of them that need a replacement."""

    changed: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Old:
    """A resource as the state holds it."""

    id: str
    inputs: Properties
    outputs: Properties


class Kind(Protocol):
    """One resource type. Operations raise errors of our tree; `preview` must touch nothing."""

    type_name: ClassVar[str]
    fields: ClassVar[Fields]
    stable: ClassVar[tuple[str, ...]]

    def diff(self, old: Old, news: Properties) -> Change:
        """What the new inputs change."""

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make it, or adopt what lies there; id and outputs. A preview gives UNKNOWN for what only the run knows."""

    def read(self, old: Old) -> Properties | None:
        """The outputs as they are now; None only when it is gone."""

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:
        """Change it in place; the new outputs."""

    def delete(self, old: Old) -> None:
        """Remove it; what is gone already is no error."""


def check_fields(fields: Fields, news: Properties) -> tuple[Failure, ...]:
    """All failures at once. A value that is not known yet passes: the run will check it again."""
    unknown_keys = [k for k in news if k not in fields and not k.startswith("__")]  # `__…` is the engine's own
    failures = [Failure(key, "is no input of this resource") for key in unknown_keys]
    for key, field in fields.items():
        value = strip(news.get(key))
        if isinstance(value, Unknown):
            continue
        if value is None:
            failures += [Failure(key, "is required")] if field.required else []
            continue
        reason = field.problem(value)
        failures += [Failure(key, reason)] if reason else []
    return tuple(failures)


def diff_fields(fields: Fields, old: Properties, news: Properties) -> Change:
    """Compare field by field."""
    changed = tuple(k for k, f in fields.items() if f.compared and not same(old.get(k), news.get(k)))
    return Change(changed, tuple(k for k in changed if fields[k].replaces))
