"""Who may come in from outside: a request's rules, the operator among them, and what a group lacks of them. Pure.

`from: operator` is whoever runs the command: the address is looked up by each command that connects, never stored as a wish.
Only the one that the cluster was made from stands in the placement, so that the program is the same for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted

OPERATOR = "operator"
OPERATOR_VARIABLE = "SEALER_CLOUD_OPERATOR_CIDR"
ANYWHERE = "0.0.0.0/0"
SSH = 22
ALL = "all"
"""Every protocol, as a rule of somebody else may say."""
PREFIX = "sealer-cloud operator"
MOST_RULES = 30
"""Rules of operators in one group: clouds take 60 or more in all, and runners that live for an hour leave one each."""
_PORT = re.compile(r"(\d{1,5})(?:[-/](\d{1,5}))?")
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Opening:
    """A range of ports, and who may reach it: a network, or the operator (`source` None)."""

    first: int
    last: int
    protocol: str
    source: str | None

    @property
    def name(self) -> str:
        """What it is, as a resource's name: never its place in a list, or taking one rule away would touch the others."""
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"ingress-{self.protocol}-{ports}-{(self.source or OPERATOR).replace('/', '-')}"

    def cidr(self, operator: str | None) -> str:
        """The network behind it, with `operator` for the operator. Raises UsageError where that is needed and not known."""
        if self.source is None and operator is None:
            raise UsageError(
                f"network.ingress: port {self.first} is for the operator, whose address is not known",
                hint=f"set {OPERATOR_VARIABLE} to your network (like 203.0.113.7/32)",
            )
        return self.source or str(operator)


@dataclass(frozen=True, slots=True)
class Origin:
    """The operator as the placement keeps him: the network that the cluster was made from; `ssh`: SSH is his alone."""

    address: str
    ssh: bool = False

    def to_json(self) -> dict[str, object]:
        """As it stands in the placement under `operator`."""
        return {"address": self.address, "ssh": self.ssh}


@dataclass(frozen=True, slots=True)
class Guest:
    """Who wants to come in where: his network, and his machine's name (8 hex digits that say nothing). `day` as 2026-11-24."""

    cidr: str
    name: str
    day: str
    openings: tuple[Opening, ...]
    origin: str | None = None
    """The network that the cluster was made from: the program's own rules have it, so no rule with it is ours to drop."""

    @property
    def description(self) -> str:
        """What his rules are known by."""
        return f"{PREFIX} {self.name} {self.day}"

    def owns(self, description: str) -> bool:
        """True for a rule that this machine made."""
        return description.startswith(f"{PREFIX} {self.name} ")


@dataclass(frozen=True, slots=True)
class GroupRule:
    """A rule as it stands in a group, in our words: `protocol` tcp, udp or all; `id` is the provider's, or nothing."""

    id: str
    first: int
    last: int
    protocol: str
    cidr: str
    description: str = ""

    @property
    def opening(self) -> Opening:
        """What it opens."""
        return Opening(self.first, self.last, self.protocol, self.cidr)


@dataclass(frozen=True, slots=True)
class Admission:
    """What has to change so that a guest comes in, and nothing of his older rules is left."""

    add: tuple[Opening, ...]
    drop: tuple[GroupRule, ...]

    def __bool__(self) -> bool:
        return bool(self.add or self.drop)


def openings_of(accepted: Accepted) -> tuple[Opening, ...]:
    """Everything that comes in: SSH first, unless a rule of the request says from where; then the request's rules.

    Raises UsageError naming the rule that cannot be read.
    """
    raw: Any = accepted.network.get("ingress") or ()
    if not isinstance(raw, (list, tuple)):
        raise UsageError("network.ingress must be a list", hint="write - {port: 6443, from: operator} below it")
    found = [_opening(rule, f"network.ingress[{index}]") for index, rule in enumerate(raw)]
    port = accepted.ssh.port if accepted.ssh else SSH
    if not any(o.protocol == "tcp" and o.first <= port <= o.last for o in found):
        origin = origin_of(accepted.placement)
        found.insert(0, Opening(port, port, "tcp", None if origin and origin.ssh else ANYWHERE))
    return tuple(dict.fromkeys(found))


def operator_openings(accepted: Accepted) -> tuple[Opening, ...]:
    """Those that are for the operator alone; empty: nobody needs to know where he is."""
    return tuple(opening for opening in openings_of(accepted) if opening.source is None)


def open_to_all(accepted: Accepted) -> bool:
    """True where SSH is open to everybody and nobody asked for it."""
    port = accepted.ssh.port if accepted.ssh else SSH
    unsaid = Opening(port, port, "tcp", ANYWHERE)
    said: Any = accepted.network.get("ingress") or ()
    rules = [_opening(rule, "network.ingress") for rule in said]
    return unsaid in openings_of(accepted) and unsaid not in rules and accepted.network.get("public") != "none"


OPEN_NOTE = (
    f"SSH is open to {ANYWHERE} (by key alone): set {OPERATOR_VARIABLE} to your network to close it, "
    "or write {port: 22, from: operator} under network.ingress"
)
"""What is said where `open_to_all` is true."""


def origin_of(placement: Mapping[str, object]) -> Origin | None:
    """The operator as the placement has him; None: no rule needs him."""
    raw: Any = placement.get("operator")
    if not isinstance(raw, Mapping) or not raw.get("address"):
        return None
    return Origin(str(raw["address"]), bool(raw.get("ssh")))


def demand_told(accepted: Accepted, said: str | None) -> None:
    """Refuse to look up who comes by a private way: no service sees that address. Raises UsageError."""
    if said is None and accepted.network.get("public") == "none":
        raise UsageError(
            "network.ingress: `from: operator` cannot be looked up where no host has a public address",
            hint=f"set {OPERATOR_VARIABLE} to the network that you reach them from",
        )


def settle_origin(
    accepted: Accepted, said: str | None, look_up: Callable[[Accepted], str], *, standing: bool
) -> Accepted:
    """The request with the operator in its placement: asked for only where a rule needs him, and kept while hosts stand.

    `said` is what the variable says: whoever sets it wants SSH for himself alone, also where it was open to all before.
    """
    before = origin_of(accepted.placement)
    ssh = bool(before and before.ssh) or said is not None
    kept = {key: value for key, value in accepted.placement.items() if key != "operator"}
    asking = accepted.model_copy(update={"placement": {**kept, "operator": Origin("unknown", ssh).to_json()}})
    if not operator_openings(asking):
        return accepted.model_copy(update={"placement": kept})
    address = before.address if before and standing else look_up(accepted)
    return accepted.model_copy(update={"placement": {**kept, "operator": Origin(address, ssh).to_json()}})


def with_origin(placement: Mapping[str, object], accepted: Accepted) -> Mapping[str, object]:
    """A choice's placement, with the operator as the request has him."""
    origin = origin_of(accepted.placement)
    kept = {key: value for key, value in placement.items() if key != "operator"}
    return {**kept, "operator": origin.to_json()} if origin else kept


def operator_cidr(environ: Mapping[str, str]) -> str | None:
    """The operator's network as the variable gives it; None where it is not set. Raises UsageError for what is none."""
    text = environ.get(OPERATOR_VARIABLE)
    if not text:
        return None
    return _cidr(text if "/" in text else f"{text}/32", f"${OPERATOR_VARIABLE}")


def guest_of(accepted: Accepted, cidr: str, name: str, now: datetime) -> Guest:
    """Who comes in to the cluster of this request now."""
    origin = origin_of(accepted.placement)
    day = f"{now:%Y-%m-%d}"
    return Guest(cidr, name, day, operator_openings(accepted), origin.address if origin else None)


def admission(rules: Iterable[GroupRule], guest: Guest) -> Admission:
    """What a group lacks so that the guest comes in: nothing where some rule lets him in already, whoever made it.

    His own rules for another network go; beyond `MOST_RULES` the oldest rules of other operators go too.
    """
    there = tuple(rules)
    wanted = [Opening(o.first, o.last, o.protocol, guest.cidr) for o in guest.openings]
    stale = [r for r in there if guest.owns(r.description) and r.cidr not in (guest.cidr, guest.origin)]
    left = [r for r in there if r not in stale]
    add = tuple(w for w in dict.fromkeys(wanted) if not any(_lets_in(rule.opening, w) for rule in left))
    others = [r for r in left if r.description.startswith(f"{PREFIX} ") and not guest.owns(r.description)]
    excess = len(others) + len(add) - MOST_RULES if add else 0
    oldest = sorted(others, key=lambda r: r.description.rpartition(" ")[2])
    return Admission(add, (*stale, *oldest[: max(excess, 0)]))


def admitted_words(change: Admission, guest: Guest, *, acting: bool) -> str:
    """What a person reads of an admission; empty where nobody was kept out."""
    ports = ", ".join(f"{o.protocol} {o.first}" + (f"-{o.last}" if o.last > o.first else "") for o in change.add)
    if not ports:
        return ""
    if acting:
        return f"this machine comes from {guest.cidr} now: a rule lets it in ({ports})"
    return (
        f"this machine comes from {guest.cidr} now and is not let in ({ports}): any command that connects adds a rule"
    )


def _lets_in(rule: Opening, wanted: Opening) -> bool:
    if rule.protocol not in (ALL, wanted.protocol) or not rule.source or not wanted.source:
        return False
    return (
        rule.first <= wanted.first
        and wanted.last <= rule.last
        and IPv4Network(wanted.source).subnet_of(
            IPv4Network(rule.source, strict=False)
        )  # as somebody may have written it
    )


def _opening(rule: object, key: str) -> Opening:
    if not isinstance(rule, Mapping):
        raise UsageError(f"{key}: {rule!r} is no rule", hint="write {port: 6443, from: 203.0.113.0/24}")
    unknown = sorted(set(rule) - {"port", "protocol", "from"})
    if unknown:
        raise UsageError(f"{key}.{unknown[0]} is not known", hint="a rule has port, protocol and from")
    match = _PORT.fullmatch(str(rule.get("port", "")))
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if not 0 < first <= last <= _HIGHEST_PORT:
        raise UsageError(f"{key}.port: {rule.get('port')!r} is no port", hint="write 6443 or 30000-32767")
    protocol = str(rule.get("protocol") or "tcp").lower()
    if protocol not in {"tcp", "udp"}:
        raise UsageError(f"{key}.protocol: {protocol!r} is neither tcp nor udp", hint="leave it out for tcp")
    source = str(rule.get("from") or OPERATOR)
    return Opening(first, last, protocol, None if source == OPERATOR else _cidr(source, f"{key}.from"))


def _cidr(text: str, key: str) -> str:
    try:
        return str(IPv4Network(text))
    except ValueError as error:
        raise UsageError(f"{key}: {text!r} is no IPv4 network", hint="write it like 10.0.0.0/16") from error
