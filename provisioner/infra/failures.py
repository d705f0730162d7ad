"""From a failed engine run to an error of ours, by one table. Exit status and diagnostics first, text last. Pure.

Engine text is hostile input: colour codes, request URLs with keys and control characters are stripped, and it is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.errors import (
    AccessError,
    BusyError,
    CapacityError,
    LockedError,
    PreconditionError,
    ProviderError,
    SealerError,
    worst_of,
)
from provisioner.infra.changes import DiagnosticSeen, StepSeen
from provisioner.model.plan import is_machine
from provisioner.model.refusals import Meaning, meaning_of, read_code
from provisioner.model.wire import from_wire

MESSAGE_LIMIT = 600
OURS_LIMIT = 2400
"""Our own plugin's messages: they are composed for a person, and end with what a silent machine said last."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|<\{%[^%]*%\}>")
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")
_KEYS = re.compile(
    r"(?i)\b((?:[\w-]*?)(?:access_?key(?:_?(?:id|secret))?|secret(?:_?(?:access)?_?key)?|signature(?:nonce)?|token|password|"
    r"credential))(\"?\s?[=:]\s?\"?|%3D)[^\s&\"',}]+"
)
_KEY_IDS = re.compile(r"\b(?:LTAI|STS\.|AKIA|ASIA)[A-Za-z0-9]{8,}")
"""Key ids by their form: Alibaba Cloud's, its temporary ones, AWS's."""
_USERINFO = re.compile(r"(?i)(https?://)[^/\s@\"']+@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LOCKED_BY = re.compile(r"created by (?P<who>\S+) \(pid (?P<pid>\d+)\) at (?P<when>\S+)")
_MISLEADING = "ResourceRegistrationFailed"
"""What the SDK says of everything that depended on what failed: true, and no cause."""
_MISMATCH = "inputs to import do not match"
"""The engine's own words before it changed its ways in 2026: what stands differs from what the program says."""
_PARTS = {"sealer:index:HostKey": "-key", "sealer:index:HostIdentity": "-identity"}
_MEANS: dict[Meaning | None, type[SealerError]] = {
    None: ProviderError,
    Meaning.ACCESS: AccessError,
    Meaning.BUSY: BusyError,
}
_HINTS: dict[Meaning | None, str] = {
    Meaning.STOCK: "name other zones, instance types or a smaller machine",
    Meaning.SPOT: "raise spot.maxPrice, set `fallback: on-demand`, or take machines on demand",
    Meaning.QUOTA: "ask the provider for a higher limit, or remove what is not needed; then run the same command again",
    Meaning.BUDGET: "pay the provider's account up; then run the same command again",
    Meaning.BUSY: "the service is asked too often, maybe by others of this account: run the same command again in some minutes",
    Meaning.ACCESS: "mend the credentials or their permissions; then run the same command again",
}


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
    causes = [*_of_ours(outcome), *_of_resources(outcome)]
    if causes:
        return _with_all_hosts(worst_of(causes), causes)
    text = outcome.stderr or "\n".join(d.message for d in outcome.diagnostics if d.severity == "error")
    if "currently locked by" in text:
        return _locked(text)
    for rule in _RULES:
        if rule.pattern.search(text):
            return rule.error(rule.message, hint=rule.hint, evidence=clean(text), phase="machines")
    said = "\n".join([*(d.message for d in outcome.diagnostics if d.severity == "error"), text])
    meaning = meaning_of(read_code(_COLOUR.sub("", said)))  # of a provider that refused before any resource was touched
    known = meaning if meaning in {Meaning.ACCESS, Meaning.BUSY} else None
    kind, hint = _MEANS[known], _HINTS.get(known, "")
    return kind(_general(outcome, text), hint=hint, phase="machines", evidence=clean(text))


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Engine text as a person may see it: no colours, no keys, no control characters, at most `limit` characters."""
    text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", _COLOUR.sub("", text)))
    text = _KEY_IDS.sub("***", _KEYS.sub(r"\1\2***", text))
    text = _CONTROL.sub("", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _of_ours(outcome: Outcome) -> list[SealerError]:
    """What our own plugin said, as the errors that they were there."""
    found = [e for d in outcome.diagnostics if d.severity == "error" for e in from_wire(d.message)]
    return [type(e)(clean(e.message, OURS_LIMIT), hint=clean(e.hint), host=e.host, phase="machines") for e in found]


def _of_resources(outcome: Outcome) -> list[SealerError]:
    """What other providers said of the resources that failed, one error each; the first one counts the others."""
    broken = {s.urn: s for s in outcome.steps if s.when == "failed"}
    said: dict[str, DiagnosticSeen] = {}
    for found in outcome.diagnostics:
        if found.severity == "error" and found.urn in broken and not from_wire(found.message):
            said.setdefault(found.urn, found)
    causes = {urn: d for urn, d in said.items() if _MISLEADING not in d.message} or said
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    return [_cause(broken[urn], found.message, more) for urn, found in causes.items()]


def _cause(step: StepSeen, text: str, more: str) -> SealerError:
    if _MISMATCH in text:
        return _mismatch(step, text, more)
    code = read_code(_COLOUR.sub("", text))
    meaning = meaning_of(code)
    kind = _MEANS.get(meaning, CapacityError)
    host = _host_of(step)
    error = kind(
        f"{step.op} {step.type} {step.name}: {clean(text)}{more}",
        host=host,
        phase="machines",
        hint=_HINTS.get(meaning, "run the same command again to go on"),
    )
    if isinstance(error, CapacityError):
        error.code, error.hosts = code, (host,) if host else ()
    return error


def _mismatch(step: StepSeen, text: str, more: str) -> SealerError:
    """Older engines take over a machine only as it is; newer ones change it to what is asked for."""
    host = _host_of(step)
    cluster = step.urn.removeprefix("urn:pulumi:").partition("::")[0]
    return ProviderError(
        f"{host or step.name} stands already, and is another {step.type} than is asked for now: {clean(text)}{more}",
        host=host,
        phase="machines",
        hint="write type, image, disks and tags as they were when it was made and run the same command again, take a "
        f"newer engine (`sealer-cloud engine install`), or remove all of it: `sealer-cloud down {cluster}`",
    )


def _host_of(step: StepSeen) -> str:
    """The host that a failed resource is for; empty for a network and the like."""
    if is_machine(step.type):
        return step.name
    part = _PARTS.get(step.type, "")
    return step.name.removesuffix(part) if part else ""


def _with_all_hosts(error: SealerError, causes: Sequence[SealerError]) -> SealerError:
    """Of several hosts that were refused for the same reason, all are named: they fail over together."""
    if isinstance(error, CapacityError):
        alike = [e for e in causes if isinstance(e, CapacityError) and e.code == error.code]
        error.hosts = tuple(dict.fromkeys(h for e in alike for h in e.hosts))
    return error


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
