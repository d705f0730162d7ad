"""The table of actions: which there are, which parameters they take, and that they take no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.wire import COMMON, ApiError, Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account

VERSIONS = {"2014-05-26": "ecs", "2016-04-28": "vpc", "2015-04-01": "sts"}
Handler = Callable[["Account", Params], Mapping[str, Any] | None]
TAGS = "Tag.N.Key Tag.N.Value"
PAGES = "PageNumber PageSize NextToken MaxResults"


@dataclass(frozen=True)
class Action:
    """One action: parameters that it must have, and all that it may have."""

    product: str
    name: str
    needs: frozenset[str]
    takes: frozenset[str]
    handler: Handler


ACTIONS: dict[tuple[str, str], Action] = {}


def action(product: str, name: str, needs: str = "", takes: str = "") -> Callable[[Handler], Handler]:
    """Enter a function into the table; `needs` and `takes` are words, a number in them is written `N`."""

    def enter(handler: Handler) -> Handler:
        must = frozenset(needs.split())
        ACTIONS[product, name] = Action(product, name, must, must | frozenset(takes.split()), handler)
        return handler

    return enter


def find_action(p: Params) -> Action:
    """The action of a call. Raises ApiError (400, without NotFound) for one that is not here."""
    product = VERSIONS.get(p.get("Version", ""), "")
    found = ACTIONS.get((product, p.get("Action", "")))
    if found is None:
        raise ApiError(400, "Simulator.NoSuchAction", f"{p.get('Action')} of {p.get('Version')} is not simulated.")
    return found


def check_parameters(found: Action, p: Params) -> None:
    """Raise ApiError (400) for a parameter that the action does not know, or one that it misses."""
    names = {re.sub(r"\.\d+(?=\.|$)", ".N", name) for name in p} - COMMON
    if unknown := sorted(names - found.takes):
        raise ApiError(400, "Simulator.NoSuchParameter", f"{found.name} takes no {', '.join(unknown)}.")
    given = {name for name in p if p[name]} | {re.sub(r"\.\d+(?=\.|$)", ".N", name) for name in p}
    if missing := sorted(found.needs - given):
        raise ApiError(400, f"MissingParameter.{missing[0]}", f"{missing[0]} is mandatory for this action.")
