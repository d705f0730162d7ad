"""Property values as the engine sends them: JSON, and within it what is not known yet and what is secret.

On the wire both are ordinary JSON with reserved strings (the protocol's signature key and its sentinels). Here they are
types, so nobody compares or prints a sentinel by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from google.protobuf import struct_pb2

from provisioner.errors import UsageError

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's mark, no secret
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """A value that only the real run will know; there is one instance, UNKNOWN."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value that the engine keeps encrypted in its state and hides in its output."""

    value: Property = field(repr=False)


if TYPE_CHECKING:
    Property = bool | float | str | Unknown | SecretValue | list["Property"] | dict[str, "Property"] | None
    Properties = dict[str, Property]


def decode(struct: struct_pb2.Struct) -> Properties:
    """The properties of a message. Raises UsageError for assets and other kinds that no resource of ours takes."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def encode(properties: Mapping[str, Property]) -> struct_pb2.Struct:
    """The message for properties."""
    return struct_pb2.Struct(fields={key: _encode(value) for key, value in properties.items()})


def strip(value: Property) -> Property:
    """The value without its secret marks, at every depth: for use, never for printing."""
    if isinstance(value, SecretValue):
        return strip(value.value)
    if isinstance(value, list):
        return [strip(item) for item in value]
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items()}
    return value


def same(one: Property, other: Property) -> bool:
    """True for equal values; a secret mark makes no difference, `1` and `true` do, unknown equals nothing known."""
    return _canonical(one) == _canonical(other)


def text_of(properties: Mapping[str, Property], key: str) -> str:
    """The text under `key`. Raises UsageError if it is missing or not known."""
    value = strip(properties.get(key))
    if not isinstance(value, str):
        raise UsageError(f"{key} must be a known text")
    return value


def number_of(properties: Mapping[str, Property], key: str) -> int:
    """The whole number under `key`. Raises UsageError if it is missing or not known."""
    value = strip(properties.get(key))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise UsageError(f"{key} must be a known whole number")
    return int(value)


def _canonical(value: Property) -> bytes:
    return bytes(encode({"": strip(value)}).SerializeToString(deterministic=True))


def _decode(value: struct_pb2.Value) -> Property:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else str(value.string_value)
        case "number_value":
            return float(value.number_value)
        case "bool_value":
            return bool(value.bool_value)
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            return _decode_object(decode(value.struct_value))
        case _:
            return None


def _decode_object(fields: Properties) -> Property:
    signature = fields.get(SIGNATURE)
    if signature is None:
        return fields
    if signature == SECRET:
        return _secret(fields.get("value"))
    if signature == OUTPUT:
        inner = fields.get("value", UNKNOWN)  # an output without a value is one that is not known yet
        return _secret(inner) if fields.get("secret") is True else inner
    raise UsageError("assets, archives and resource references cannot be inputs of a sealer resource")


def _secret(value: Property) -> SecretValue:
    return value if isinstance(value, SecretValue) else SecretValue(value)


def _encode(value: Property) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case Unknown() | str():
            return struct_pb2.Value(string_value=UNKNOWN_TEXT if isinstance(value, Unknown) else value)
        case bool():  # before numbers: a bool is an int to Python
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case list():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_encode(item) for item in value]))
        case _:
            fields = {SIGNATURE: SECRET, "value": value.value} if isinstance(value, SecretValue) else value
            return struct_pb2.Value(struct_value=encode(fields))
