"""Durations as people and Go write them: `90s`, `30m`, `1h30m`. Pure."""

from __future__ import annotations

import re

from provisioner.errors import UsageError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)(ms|h|m|s)")
_WHOLE = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]+)?(?:ms|h|m|s))+")


def parse_duration(text: str, flag: str) -> float:
    """Seconds. Raises UsageError naming the flag; `0` needs no unit, every other number does."""
    if text == "0":
        return 0.0
    if not _WHOLE.fullmatch(text):
        hint = f"a number needs a unit: {text}s or {text}m" if text.isdecimal() else "write it like 90s, 30m or 1h30m"
        raise UsageError(f"{flag}: {text!r} is no duration", hint=hint)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
