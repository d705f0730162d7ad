"""From a failed engine run to an error of ours, by one table. Exit status and diagnostics first, text last. Pure.

Engine text is hostile input: colour codes, request URLs with keys and control characters are stripped, and it is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.errors import (
    AccessError,
    CapacityError,
    LockedError,
    PreconditionError,
    ProviderError,
    SealerError,
    worst_of,
)
from provisioner.infra.changes import DiagnosticSeen, StepSeen
from provisioner.infra.outputs import LOCAL_HOST
from provisioner.model.wire import from_wire

MESSAGE_LIMIT = 600

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|<\{%[^%]*%\}>")
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")
_KEYS = re.compile(r"(?i)\b(access_?key(?:_?id)?|secret(?:_?(?:access)?_?key)?|signature|token|password)=[^\s&\"']+")
_USERINFO = re.compile(r"(?i)(https?://)[^/\s@\"']+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LOCKED_BY = re.compile(r"created by (?P<who>\S+) \(pid (?P<pid>\d+)\) at (?P<when>\S+)")
_CODE = re.compile(r"\b(?:Code|ErrorCode): ?(\S+)")
_CAPACITY = re.compile(r"(?i)nostock|outofstock|quota|insufficient(?:instance)?capacity|limitexceeded")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an engine process ended: its status, its last lines, what its events said."""

    code: int
    stderr: str = ""
    stdout: str = ""
    diagnostics: tuple[DiagnosticSeen, ...] = ()
    steps: tuple[StepSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    error: type[SealerError]
    message: str
    hint: str


_RULES = (
    _Rule(
        re.compile("incorrect passphrase"),
        AccessError,
        "incorrect passphrase: the cluster's state was made with another one",
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE as it was then",
    ),
    _Rule(
        re.compile("passphrase must be set|unable to read PULUMI_CONFIG_PASSPHRASE"),
        AccessError,
        "the state's passphrase is missing",
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    ),
    _Rule(
        re.compile("newer version|unsupported schema version|too new|unsupported features?"),
        PreconditionError,
        "the engine is older than the one that wrote this cluster's state",
        "sealer-cloud engine install",
    ),
    _Rule(
        re.compile("snapshot integrity failure|could not deserialize deployment|invalid character .* looking for"),
        PreconditionError,
        "the engine refuses this cluster's state: it is damaged",
        "a backup lies beside it in the backend's folder",
    ),
    _Rule(
        re.compile("no space left on device|disk quota exceeded"),
        PreconditionError,
        "the disk that holds this cluster's state is full",
        "free some space there, then run the same command again",
    ),
    _Rule(
        re.compile("no stack named"),
        PreconditionError,
        "the backend has no stack for this cluster",
        "sealer-cloud list",
    ),
    _Rule(
        re.compile(r"no resource plugin '|[Cc]ould not load plugin|could not read plugin|plugin .* exited"),
        PreconditionError,
        "the provider plugin does not start",
        "sealer-cloud doctor",
    ),
)


def to_error(outcome: Outcome) -> SealerError:
    """The one error that tells a person what happened."""
    told = _of_ours(outcome) or _of_resource(outcome)
    if told:
        return told
    text = outcome.stderr or "\n".join(d.message for d in outcome.diagnostics if d.severity == "error")
    if "currently locked by" in text:
        return _locked(text)
    for rule in _RULES:
        if rule.pattern.search(text):
            return rule.error(rule.message, hint=rule.hint, evidence=clean(text), phase="machines")
    return ProviderError(_general(outcome, text), phase="machines", evidence=clean(text))


def clean(text: str) -> str:
    """Engine text as a person may see it: no colours, no keys, no control characters, at most 600 characters."""
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", _COLOUR.sub("", text)))
    text = _KEYS.sub(r"\1=***", text)
    text = _CONTROL.sub("", text).strip()
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def _of_ours(outcome: Outcome) -> SealerError | None:
    """What our own plugin said, as the error that it was there; of several the one with the lowest exit code."""
    found = [e for d in outcome.diagnostics if d.severity == "error" for e in from_wire(d.message)]
    if not found:
        return None
    first = worst_of(found)
    return type(first)(clean(first.message), hint=clean(first.hint), host=first.host, phase="machines")


def _of_resource(outcome: Outcome) -> SealerError | None:
    broken = {s.urn: s for s in outcome.steps if s.when == "failed"}
    errors = [d for d in outcome.diagnostics if d.severity == "error" and d.urn in broken]
    if not errors:
        return None
    first = broken[errors[0].urn]
    others = len({d.urn for d in errors}) - 1
    more = f" (and {others} more)" if others else ""
    text = clean(errors[0].message)
    host = first.name if first.type == LOCAL_HOST else ""
    message = f"{first.op} {first.type} {first.name}: {text}{more}"
    return _kind(errors[0].message)(message, host=host, phase="machines", hint="run the same command again to go on")


def _kind(text: str) -> type[SealerError]:
    code = _CODE.search(text)
    return CapacityError if code and _CAPACITY.search(code.group(1)) else ProviderError


def _locked(text: str) -> LockedError:
    found = _LOCKED_BY.search(text)
    by = f" by {found['who']}, pid {found['pid']}, since {found['when']}" if found else ""
    return LockedError(f"the cluster's stack is locked{by}", hint="wait for that run to end", phase="machines")


def _general(outcome: Outcome, text: str) -> str:
    told: Sequence[str] = [d.message for d in outcome.diagnostics if d.severity == "error"] or [
        line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: ")
    ]
    if told:
        return f"the engine failed: {clean(told[0])}"
    return f"the engine ended with status {outcome.code} and said nothing"
