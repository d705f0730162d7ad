"""A value that does not print. Not a `str`, so no f-string, log or JSON shows it by accident."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds a secret text; `reveal()` is the only way to it, and a test lists who may call that."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")


Value = str | Secret
"""An env value: clear text, or a secret."""


def reveal(value: Value) -> str:
    """The text of either kind: for the wire, for HMAC inputs, never for anything a person or a file sees."""
    return value.reveal() if isinstance(value, Secret) else value
