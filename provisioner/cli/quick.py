"""Reading flag values without pydantic: typer would import it (80 ms) to find out that a word is a `str`.

Our flags are words, counts, switches, choices and lists of words, nothing more. If a future typer reads values in
another place, what is set here is not looked at and only the time is lost; a test counts the imported modules.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off", ""})


class QuickValue:
    """Reads one parameter's value; stands in for typer's own reader, which has the same one method."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command gets it. Raises typer.BadParameter."""
        multiple = param.multiple or param.nargs == -1
        if value is None:
            return () if multiple else None
        if multiple:
            return [str(v) for v in value]
        try:
            return _read(value, param)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


def _read(value: Any, param: Any) -> Any:
    descriptor = param.type_descriptor
    if descriptor.annotation is int:
        return int(value)
    if descriptor.annotation is bool:
        return _switch(str(value))
    choices = descriptor.choices
    if choices is not None and value not in choices:
        raise ValueError(f"{value!r} is not one of {', '.join(map(str, choices))}.")
    return str(value)


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither true nor false.")
    return text.lower() in _TRUE


def quicken(params: list[Any]) -> list[Any]:
    """Give parameters the quick reader; returns them."""
    for param in params:
        if hasattr(param, "_runtime_param"):
            param._runtime_param = _READER  # noqa: SLF001  the slot that typer fills late, "to avoid up-front costs"
    return params


class QuickCommand(TyperCommand):
    """A command whose flags are read quickly, its help flag too."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, quickened."""
        return quicken(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line as manuals write it: `NAME`, `[IMAGE]`, `[-- CMD...]`, without the parser's braces."""
        return [
            piece.replace("{", "").replace("}", "").replace("]...", "]") for piece in super().collect_usage_pieces(ctx)
        ]


class QuickGroup(TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, quickened."""
        return quicken(super().get_params(ctx))


_READER = QuickValue()
