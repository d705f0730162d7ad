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
    """Made before the machine, so that the first connection to it can be checked already.

    `renew`, said by the run that makes the machine anew, makes the bootstrap pair anew, once for each word; a run that
    says nothing changes nothing. The lasting pair stays: if the machine then turns out to stand, nobody is locked out.
    """

    type_name: ClassVar[str] = "sealer:index:HostKey"
    stable: ClassVar[tuple[str, ...]] = ("cid", "host", "lastingPublic", "lastingPrivate")
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "host": Field(problems.any_host, replaces=True),
        "renew": Field(problems.filled, required=False),
    }

    def __init__(self, make: Callable[[], Pair] = make_pair) -> None:
        self._make = make

    def diff(self, old: Old, news: Properties) -> Change:
        """Another host has other keys. What was heard stands in the outputs: inputs forget it with the next run."""
        heard = old.outputs.get("renew")
        said = heard if news.get("renew") is None else news["renew"]
        return diff_fields(self.fields, {**old.inputs, "renew": heard}, {**news, "renew": said})

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make both pairs."""
        if preview:
            unknown: Properties = dict.fromkeys(PUBLIC, UNKNOWN)
            return "", {**news, **unknown, **{key: SecretValue(UNKNOWN) for key in PRIVATE}}
        made = {**self._pair("bootstrap"), **self._pair("lasting")}
        return f"{text_of(news, 'cid')}/{text_of(news, 'host')}", {**news, **made}

    def read(self, old: Old) -> Properties | None:
        """The state is all there is."""
        return {**old.outputs, **{key: _secret(old.outputs.get(key)) for key in PRIVATE}}

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:
        """The same keys, but for a bootstrap pair that is asked for anew."""
        kept: Properties = {**old.outputs, **news, **{key: _secret(old.outputs.get(key)) for key in PRIVATE}}
        if "renew" not in self.diff(old, news).changed:
            return kept
        if preview:
            return {**kept, "bootstrapPublic": UNKNOWN, "bootstrapPrivate": SecretValue(UNKNOWN)}
        return {**kept, **self._pair("bootstrap")}

    def delete(self, old: Old) -> None:
        """Nothing lies anywhere."""

    def _pair(self, kind: str) -> Properties:
        pair = self._make()
        return {f"{kind}Public": pair.public, f"{kind}Private": SecretValue(pair.private)}


def _secret(value: Property) -> SecretValue:
    """Marked again, whatever the engine sent it back as."""
    return value if isinstance(value, SecretValue) else SecretValue(strip(value))
