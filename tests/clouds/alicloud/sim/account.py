"""The simulated account: who may call, what it holds, what it is offered, and the way of one call through it."""

from __future__ import annotations

import fnmatch
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from tests.clouds.alicloud.sim import catalogue_calls, groups, instance_calls, instances, tagging, vpc
from tests.clouds.alicloud.sim.actions import Action, check_parameters, find_action
from tests.clouds.alicloud.sim.catalogue import Catalogue
from tests.clouds.alicloud.sim.faults import Fault, Faults
from tests.clouds.alicloud.sim.gathering import Gathering
from tests.clouds.alicloud.sim.store import Store, Thing
from tests.clouds.alicloud.sim.wire import HIDDEN, ApiError, Dropped, Params

ROOMS = (catalogue_calls, groups, instance_calls, instances, tagging, vpc)
"""Importing them enters their actions into the table."""

DRY = " (dry run)"


class Hosts(Protocol):
    """Real hosts behind the instances."""

    def address(self, instance: Thing, vpc: Thing) -> str:
        """The address that the host has or will have."""

    def boot(self, instance: Thing) -> None:
        """Begin to make the host; `instance["Status"]` tells when it is there."""

    def end(self, instance: Thing) -> None:
        """Take the host away."""

    def console(self, instance: Thing) -> str:
        """What the host said."""


@dataclass(frozen=True)
class Key:
    """An access key; a token makes it one of a role."""

    secret: str
    token: str = ""
    account: str = "1000000000000001"


@dataclass(frozen=True)
class Call:
    """One line of the log; a dry run's action ends with DRY."""

    action: str
    params: Mapping[str, str]
    key: str
    code: str
    at: float = field(default_factory=time.monotonic)

    @property
    def dry(self) -> bool:
        """True for what only asks whether it would be done."""
        return self.action.endswith(DRY)

    @property
    def mutates(self) -> bool:
        """True for what changes the account."""
        return not self.action.startswith(("Describe", "Get", "List")) and not self.dry


@dataclass
class Account:
    """`allowed` are the actions that the key's policy holds, as `ecs:Describe*`; None is everything.

    `gathering` holds calls of one kind until it is known how many come at once. `now` is the account's clock: machines
    whose time has come by it are released before the next call is answered.
    """

    keys: dict[str, Key]
    hosts: Hosts | None = None
    allowed: frozenset[str] | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    store: Store = field(default_factory=Store)
    faults: Faults = field(default_factory=Faults)
    log: list[Call] = field(default_factory=list)
    gathering: Gathering | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._log_lock = threading.Lock()

    def call(self, p: Params, key: str) -> Mapping[str, Any]:
        """Do one signed call. Raises ApiError, Dropped."""
        code = "dropped"
        if self.gathering:
            self.gathering.hold(p.get("Action", ""), p)
        try:
            answer = self._guarded(p)
            code = ""
        except ApiError as error:
            code = error.code
            raise
        finally:
            shown = {k: "***" if k in HIDDEN else v for k, v in p.items()}
            with self._log_lock:
                self.log.append(Call(f"{p.get('Action', '')}{DRY if p.flag('DryRun') else ''}", shown, key, code))
        return {"RequestId": str(uuid.uuid4()).upper(), **answer}

    def refuse(self, p: Params, key: str, error: ApiError) -> None:
        """Log a call that was not let in."""
        with self._log_lock:
            self.log.append(Call(p.get("Action", ""), {}, key, error.code))

    def counts(self, start: int = 0) -> Counter[str]:
        """How often each action was called since the log had `start` lines."""
        return Counter(call.action for call in self.log[start:])

    def mutations(self, start: int = 0) -> list[str]:
        """The changing calls since then, in order."""
        return [call.action for call in self.log[start:] if call.mutates]

    def _guarded(self, p: Params) -> Mapping[str, Any]:
        fault = self.faults.take(p.get("Action", ""), {**p, "ZoneId": self._zone(p)})
        if fault and fault.mode == "drop":
            raise Dropped
        if fault and fault.mode == "error":
            raise fault.error()
        found = find_action(p)
        check_parameters(found, p)
        self._check_policy(found)
        self._check_region(found, p)
        answer = self._do(found, p, fault)
        if fault and fault.mode == "lose":
            raise Dropped
        return answer

    def _do(self, found: Action, p: Params, fault: Fault | None) -> Mapping[str, Any]:
        with self.store.lock:
            instances.release_due(self)
            token = (found.name, p.get("ClientToken", ""))
            if token[1] and token in self.store.tokens:
                return self.store.tokens[token]
            self.store.lag = fault.lag if fault else 0
            answer = found.handler(self, p) or {}
            if token[1]:
                self.store.tokens[token] = answer
            return answer

    def _zone(self, p: Params) -> str:
        switch = self.store.all("vswitch", lambda t: t.id == p.get("VSwitchId"))
        return p.get("ZoneId") or (switch[0]["ZoneId"] if switch else "")

    def _check_policy(self, found: Action) -> None:
        name = f"{found.product}:{found.name}"
        if found.name == "GetCallerIdentity":  # every key may ask whose it is
            return
        if self.allowed is not None and not any(fnmatch.fnmatchcase(name, rule) for rule in self.allowed):
            text = (
                f"User not authorized to operate on the specified resource, or this API doesn't support RAM. ({name})"
            )
            raise ApiError(403, "Forbidden.RAM", text)

    def _check_region(self, found: Action, p: Params) -> None:
        if found.product == "sts" or found.name == "DescribeRegions":
            return
        region = p.get("RegionId") or _only(self.catalogue.zones)
        if region not in self.catalogue.zones:
            raise ApiError(400, "InvalidRegionId.Unknown", "The specified RegionId is unknown to this cloud.")
        p["RegionId"] = region


def _only(zones: Mapping[str, tuple[str, ...]]) -> str:
    """A provider's look-up without a region means the endpoint's own, which is the first one."""
    return next(iter(zones))
