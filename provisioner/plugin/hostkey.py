"""`sealer:index:HostKey`: the two host key pairs of a machine that a cloud will make. It touches nothing outside the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from provisioner.plugin import problems
from provisioner.plugin.keys import Pair, make_pair
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.values import UNKNOWN, SecretValue, strip, text_of

if TYPE_CHECKING:
    from provisioner.plugin.values import Properties, Property

PUBLIC = ("bootstrapPublic", "lastingPublic")
PRIVATE = ("bootstrapPrivate", "lastingPrivate")


class HostKeyKind:
    """Made once, before the machine, so that the first connection to it can be checked already."""

    type_name: ClassVar[str] = "sealer:index:HostKey"
    stable: ClassVar[tuple[str, ...]] = ("cid", "host", *PUBLIC, *PRIVATE)
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "host": Field(problems.any_host, replaces=True),
    }

    def __init__(self, make: Callable[[], Pair] = make_pair) -> None:
        self._make = make

    def diff(self, old: Old, news: Properties) -> Change:
        """Another host has other keys."""
        return diff_fields(self.fields, old.inputs, news)

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make both pairs."""
        if preview:
            unknown: Properties = dict.fromkeys(PUBLIC, UNKNOWN)
            return "", {**news, **unknown, **{key: SecretValue(UNKNOWN) for key in PRIVATE}}
        bootstrap, lasting = self._make(), self._make()
        made: Properties = {
            "bootstrapPublic": bootstrap.public,
            "bootstrapPrivate": SecretValue(bootstrap.private),
            "lastingPublic": lasting.public,
            "lastingPrivate": SecretValue(lasting.private),
        }
        return f"{text_of(news, 'cid')}/{text_of(news, 'host')}", {**news, **made}

    def read(self, old: Old) -> Properties | None:
        """The state is all there is."""
        return {**old.outputs, **{key: _secret(old.outputs.get(key)) for key in PRIVATE}}

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:  # noqa: ARG002 - no field updates
        """The same keys."""
        return {**old.outputs, **news, **{key: _secret(old.outputs.get(key)) for key in PRIVATE}}

    def delete(self, old: Old) -> None:
        """Nothing lies anywhere."""


def _secret(value: Property) -> SecretValue:
    """Marked again, whatever the engine sent it back as."""
    return value if isinstance(value, SecretValue) else SecretValue(strip(value))
