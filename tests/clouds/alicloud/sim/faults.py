"""Faults on purpose: rules that say which call goes wrong, how often, and how."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.clouds.alicloud.sim.wire import ApiError

Mode = Literal["error", "drop", "lose", "lag"]


@dataclass
class Fault:
    """One rule. `drop`: not done and no answer; `lose`: done and no answer; `lag`: done, and for some
    listings not seen: what was made does not show up yet, what was ended still does. `lose` may lag too.

    `times` -1 is for ever; `after` calls pass first; `where` are parameters that must be equal.
    """

    action: str
    code: str = ""
    message: str = ""
    status: int = 400
    mode: Mode = "error"
    times: int = -1
    after: int = 0
    where: Mapping[str, str] = field(default_factory=dict)
    lag: int = 0
    hits: int = 0

    def matches(self, action: str, params: Mapping[str, str]) -> bool:
        """True if this rule is meant for the call: one of an action by name means a dry run of it only if it says so."""
        if params.get("DryRun") == "true" and self.action == action and "DryRun" not in self.where:
            return False
        named = self.action in {"*", action} or (self.action.endswith("*") and action.startswith(self.action[:-1]))
        return named and self.times != 0 and all(params.get(k) == v for k, v in self.where.items())

    def error(self) -> ApiError:
        """What the rule answers."""
        return ApiError(self.status, self.code, self.message or f"{self.code} by a rule of the test.")


class Faults:
    """All rules; the first that matches a call is used for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rules: list[Fault] = []

    def add(self, rule: Fault) -> Fault:
        """One more rule."""
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """No rules any more."""
        with self._lock:
            self.rules.clear()

    def take(self, action: str, params: Mapping[str, str]) -> Fault | None:
        """The rule for a call, and one use of it less."""
        with self._lock:
            for rule in self.rules:
                if not rule.matches(action, params):
                    continue
                if rule.after > 0:
                    rule.after -= 1
                    continue
                rule.times -= 1 if rule.times > 0 else 0
                rule.hits += 1
                return rule
        return None


def no_stock(times: int = -1, **where: str) -> Fault:
    """RunInstances finds no machine of that kind; `where` as `ZoneId=…`."""
    return Fault(
        "RunInstances", "OperationDenied.NoStock",
        "The resource is out of stock in the specified zone. Please try other types, or choose other regions and zones.",
        403, times=times, where=where,
    )  # fmt: skip


def over_quota(times: int = -1, **where: str) -> Fault:
    """The account may have no more cores."""
    text = "The instance quota of your account in this region has been exceeded."
    return Fault("RunInstances", "QuotaExceed.ElasticQuota", text, 403, times=times, where=where)


def spot_refused(times: int = -1, **where: str) -> Fault:
    """The price limit lies below what the market asks."""
    text = "The specified SpotPriceLimit can't be lower than the current bid price."
    return Fault(
        "RunInstances", "InvalidSpotPriceLimit.LowerThanPublicPrice", text, 400, times=times,
        where={"SpotStrategy": "SpotWithPriceLimit", **where},
    )  # fmt: skip


def throttled(action: str = "*", times: int = 3) -> Fault:
    """Too many calls."""
    return Fault(action, "Throttling.User", "Request was denied due to user flow control.", 400, times=times)


def key_deleted() -> Fault:
    """The key is gone: a 404, which some take for `everything is gone`."""
    return Fault("*", "InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)


def token_expired(after: int = 0) -> Fault:
    """The token of a role has ended."""
    return Fault("*", "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.", 400, after=after)


def delete_refused(times: int = -1) -> Fault:
    """An instance that may not be deleted."""
    text = "The current user does not have permission to delete this instance."
    return Fault("DeleteInstance*", "InvalidOperation.DeletionProtection", text, 403, times=times)
