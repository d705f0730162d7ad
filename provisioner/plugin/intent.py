"""`sealer:index:Intent`: the accepted request and the cluster's keys. It touches nothing outside the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from provisioner.plugin import problems
from provisioner.plugin.keys import Keys, make_keys
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.values import UNKNOWN, SecretValue, strip, text_of

if TYPE_CHECKING:
    from provisioner.plugin.values import Properties, Property

INTENT_VERSION = 1
MADE = ("loginPublic", "loginPrivate", "hmac")


class IntentKind:
    """Keys are made once, at create; every later answer repeats them as known, in previews too.

    So a changed request touches no resource that depends on Intent: none of them sees a value that is not known.
    """

    type_name: ClassVar[str] = "sealer:index:Intent"
    stable: ClassVar[tuple[str, ...]] = MADE
    fields: ClassVar[Fields] = {
        "schemaVersion": Field(problems.version(INTENT_VERSION)),
        "cid": Field(problems.cid),
        "request": Field(problems.mapping),
        "secrets": Field(problems.mapping, required=False),
        "keys": Field(problems.mapping, required=False, compared=False),  # said once, where a cluster is adopted
    }

    def __init__(self, keys: Callable[[str], Keys] = make_keys) -> None:
        self._keys = keys

    def diff(self, old: Old, news: Properties) -> Change:
        """Any change is an update; nothing ever replaces Intent, as its keys would be lost."""
        return Change(diff_fields(self.fields, old.inputs, news).changed)

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make the keys; those of a cluster that stands already are given, and taken."""
        request = _without_keys(news)
        if preview:
            return "", {**request, **_unknown()}
        cid = text_of(news, "cid")
        keys = _given(self._keys(cid), strip(news.get("keys")))
        return cid, {
            **request,
            "loginPublic": keys.login_public,
            "loginPrivate": SecretValue(keys.login_private),
            "hmac": SecretValue(keys.hmac),
        }

    def read(self, old: Old) -> Properties | None:
        """The state is all there is."""
        return old.outputs

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:  # noqa: ARG002 - equal in both
        """The new request, the old keys."""
        return {**_without_keys(news), **{key: old.outputs.get(key) for key in MADE}}

    def delete(self, old: Old) -> None:
        """Nothing lies anywhere."""


def _without_keys(news: Properties) -> Properties:
    return {key: value for key, value in news.items() if key != "keys"}


def _given(made: Keys, raw: Property) -> Keys:
    """The keys that are given, and made ones for the rest; a login key comes as a pair or not at all."""
    known = {key: value for key, value in raw.items() if isinstance(value, str)} if isinstance(raw, dict) else {}
    login = known if {"loginPublic", "loginPrivate"} <= known.keys() else {}
    return Keys(
        login_public=str(login.get("loginPublic", made.login_public)),
        login_private=str(login.get("loginPrivate", made.login_private)),
        hmac=str(known.get("hmac", made.hmac)),
    )


def _unknown() -> Properties:
    return {"loginPublic": UNKNOWN, "loginPrivate": SecretValue(UNKNOWN), "hmac": SecretValue(UNKNOWN)}
