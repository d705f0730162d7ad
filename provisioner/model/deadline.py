"""Deadlines: how long a cluster may stand, fixed at its first create, changed by `ttl` alone. Time is a parameter. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from provisioner.errors import UsageError

if TYPE_CHECKING:  # the files' reader checks durations before pydantic could be loaded
    from provisioner.model.accepted import Accepted
    from provisioner.model.request import UpArgs

CI_TTL = 4 * 3600
"""Seconds that a cluster of bought machines gets under `CI`, where nobody said how long it is for."""
MAX_TTL = 365 * 86400

_KEEPERS = {
    "alicloud": "the cloud releases the machines; gc removes the rest",
    "aws": "a timer on each machine ends it; gc removes the rest",
}
_SOONEST = {"alicloud": 1800}
"""Seconds from a call in which a cloud is told when to end a machine until it may be: "at least 30 minutes later than the
current time" (API reference of ECS, ModifyInstanceAutoReleaseTime)."""
LATE = 300
"""How many seconds after the deadline such a cloud is told to end a machine: the deadline is fixed before a person reads the
plan and the network is made, and the cloud counts from the machine's create call."""
_DURATION = re.compile(r"(?=\d)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)


def duration_of(text: str) -> int | None:
    """Whole seconds of `90s`, `2h`, `1h30m`, `2d`; None where it is no such duration, or nothing, or above a year."""
    match = _DURATION.fullmatch(text)
    if not match:
        return None
    seconds = sum(int(part) * unit for part, unit in zip(match.groups(default="0"), _UNITS, strict=True))
    return seconds if 0 < seconds <= MAX_TTL else None


def check_duration(text: str) -> str:
    """What is wrong with a duration, or nothing."""
    return "" if duration_of(text) else f"{text[:40]!r} is no duration like 2h, 1h30m or 90s, of at most 365 days"


def parse_ttl(text: str, flag: str = "--ttl") -> int:
    """Seconds. Raises UsageError naming the flag."""
    seconds = duration_of(text)
    if seconds is None:
        blank = "" if flag.endswith(":") else " "
        raise UsageError(f"{flag}{blank}{check_duration(text)}", hint=f"write it like {flag}{blank}2h")
    return seconds


def show_duration(seconds: int) -> str:
    """`1h30m`: the shortest text that `duration_of` reads as these seconds."""
    parts = []
    for unit, letter in zip(_UNITS[1:], "hms", strict=True):
        number, seconds = divmod(seconds, unit)
        if number:
            parts.append(f"{number}{letter}")
    return "".join(parts) or "0s"


def deadline_in(seconds: int, now: datetime) -> str:
    """The deadline that lies so far ahead: RFC 3339, UTC, whole seconds."""
    return f"{(now.astimezone(UTC) + timedelta(seconds=seconds)):%Y-%m-%dT%H:%M:%SZ}"


def keeper_of(provider: str, expires_at: str | None) -> str | None:
    """Who ends a cluster at its deadline, in words; None without one."""
    return _KEEPERS.get(provider, "gc") if expires_at else None


def soonest_of(provider: str) -> int:
    """Seconds that a new deadline must lie ahead at least: a cloud that keeps deadlines itself takes none that is nearer."""
    return _SOONEST.get(provider, 1)


def check_soonest(provider: str, expires_at: str | None, now: datetime) -> None:
    """Refuse a deadline that its cloud would refuse, before anything is told to move. Raises UsageError (3)."""
    least = soonest_of(provider)
    if expires_at is not None and (datetime.fromisoformat(expires_at) - now).total_seconds() < least - 1:
        raise UsageError(
            f"{provider} ends machines {show_duration(least)} after it is told to at the earliest, and {expires_at} is nearer",
            hint=f"give it {show_duration(least)} or more",
        )


def is_too_near(accepted: Accepted, now: datetime) -> bool:
    """True where no machine can be made any more, as its cloud would not take the deadline for it."""
    if accepted.expires_at is None:
        return False
    left = (datetime.fromisoformat(accepted.expires_at) - now).total_seconds()
    return left + LATE < soonest_of(accepted.provider)


def check_new_machines(accepted: Accepted, now: datetime) -> None:
    """Refuse to make machines for which the deadline is too near, before anything is made. Raises UsageError (3)."""
    if not is_too_near(accepted, now):
        return
    least = show_duration(soonest_of(accepted.provider))
    raise UsageError(
        f"the deadline {accepted.expires_at} is nearer than the {least} that {accepted.provider} needs for new machines",
        hint=f"give the cluster more time with --ttl 2h, or remove it with `sealer-cloud down {accepted.cluster}`",
    )


def is_expired(accepted: Accepted | None, now: datetime) -> bool:
    """True for a cluster whose deadline is past."""
    return bool(accepted and accepted.expires_at and datetime.fromisoformat(accepted.expires_at) <= now)


def check_expired(stored: Accepted | None, args: UpArgs, now: datetime) -> None:
    """Refuse to make machines again whose deadline is past. Raises UsageError (3), unless a new `--ttl` is given."""
    if stored is None or args.ttl is not None or not is_expired(stored, now):
        return
    raise UsageError(
        f"cluster {stored.cluster} had its deadline at {stored.expires_at}: it is not made again by itself",
        hint=f"give it a new life with --ttl 2h, or remove it with `sealer-cloud down {stored.cluster}`",
    )
