"""Screens and documents of `gc`, `ttl` and `outputs`. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime

from provisioner.cli.text import Line, Lines, columns, count, escape, plain, styled
from provisioner.gc import GcReport
from provisioner.handover import Outputs, output_env
from provisioner.model.leftovers import Fate, Leftover
from provisioner.model.secret import Secret, reveal
from provisioner.ttl import TtlReport

VERSION = 1
HIDDEN = "***"

Document = dict[str, object]

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def age(since: str | None, now: datetime) -> str:
    """`3d 4h`, `2h 5m`, `7m`: how long ago, for a person; `-` where nobody says when."""
    if since is None:
        return "-"
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    days, hours, minutes = seconds // _DAY, seconds % _DAY // _HOUR, seconds % _HOUR // _MINUTE
    parts = [f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if n]
    return " ".join(parts[:2]) or "0m"


def gc_lines(report: GcReport, now: datetime) -> Lines:
    """What was found, by cluster; what becomes of it; what nobody looked at; and after a deletion, what is left."""
    lines = [plain(escape(row)) for row in leftover_rows(report.found, now)]
    lines += [styled(f"not looked at: {escape(where)}: {escape(why)}", "yellow") for where, why in report.not_looked_at]
    if report.left:
        lines.append(styled(f"{count(len(report.left), 'thing')} left", "red"))
        lines += [plain(f"  {escape(thing)}") for thing in report.left]
    lines.append(_verdict(report))
    return tuple(lines)


def unsure_lines(report: GcReport) -> Lines:
    """Where something may stand that should be gone, and what to do; nothing where all was seen."""
    if not report.unsure:
        return ()
    what = f"nobody knows whether all is gone in {', '.join(map(escape, report.unsure))}: it could not be looked at"
    return ((("✘ ", "red"), (what, "bold")), (("  → ", "cyan"), ("run the same command again when it answers", "")))


def _verdict(report: GcReport) -> Line:
    going = [left for left in report.found if left.goes]
    if report.deleted:
        return styled(f"{count(len(report.removed), 'thing')} removed", "bold")
    if going:
        what = f"{count(len(going), 'cluster')} would go; nothing was deleted: --delete does it"
        return styled(what, "bold")
    return plain("nothing to delete")


def leftover_rows(found: Sequence[Leftover], now: datetime) -> tuple[str, ...]:
    """A table, nothing for nothing."""
    head = ("PROVIDER", "CLUSTER", "THINGS", "AGE", "PER HOUR", "DEADLINE", "WHAT")
    rows = [
        (
            left.provider,
            left.cid or "-",
            str(len(left.resources)),
            age(left.created, now),
            f"{left.price:.3f} {left.currency}" if left.price is not None else "-",
            left.expires_at or "-",
            left.fate.value + (f" ({left.why})" if left.fate is Fate.UNKNOWN else ""),
        )
        for left in found
    ]
    return columns([head, *rows]) if rows else ()


def gc_to_json(report: GcReport) -> Document:
    """`gc -o json`."""
    return {
        "schemaVersion": VERSION,
        "dryRun": not report.deleted,
        "clusters": [_leftover(left) for left in report.found],
        "notLookedAt": [
            {"where": where, "reason": reason, "unsure": where in report.unsure}
            for where, reason in report.not_looked_at
        ],
        "removed": list(report.removed),
        "left": list(report.left),
    }


def _leftover(left: Leftover) -> Document:
    return {
        "cid": left.cid,
        "provider": left.provider,
        "verdict": left.fate.value,
        "why": left.why,
        "delete": left.goes,
        "created": left.created,
        "expiresAt": left.expires_at,
        "price": left.price,
        "currency": left.currency or None,
        "resources": [
            {
                "kind": r.kind,
                "id": r.id,
                "region": r.region,
                "name": r.name,
                "run": r.run,
                "ciRun": r.ci_run,
                "repo": r.repo,
                "created": r.created,
                "expiresAt": r.expires_at,
                "price": r.price,
            }
            for r in left.resources
        ],
    }


def ttl_lines(report: TtlReport) -> Lines:
    """A deadline, and who keeps it."""
    head = (
        f"{report.cluster} stands until {report.expires_at}"
        if report.expires_at
        else f"{report.cluster} has no deadline"
    )
    lines = [styled(head, "bold")]
    if report.keeper:
        lines.append(plain(f"  kept by  {report.keeper}"))
    if report.before != report.expires_at:
        lines.append(plain(f"  before   {report.before or 'no deadline'}"))
    return tuple(lines)


def ttl_to_json(report: TtlReport) -> Document:
    """`ttl … -o json`."""
    return {
        "schemaVersion": VERSION,
        "cluster": report.cluster,
        "cid": report.cid,
        "provider": report.provider,
        "expiresAt": report.expires_at,
        "before": report.before,
        "keptBy": report.keeper,
        "silent": list(report.silent),
    }


def shown(outputs: Outputs, *, secrets: bool) -> Mapping[str, str]:
    """The values as they may be shown."""
    return {
        key: HIDDEN if isinstance(value, Secret) and not secrets else reveal(value)
        for key, value in outputs.values.items()
    }


def outputs_lines(outputs: Outputs, *, secrets: bool) -> Lines:
    """`outputs NAME` as a table."""
    rows = [(escape(key), escape(value)) for key, value in shown(outputs, secrets=secrets).items()]
    return tuple(plain(row) for row in columns([("KEY", "VALUE"), *rows])) if rows else ()


def outputs_env_lines(outputs: Outputs, *, secrets: bool) -> tuple[str, ...]:
    """Lines that a shell reads (`set -a; eval "$(…)"`); hidden values are left out: `***` would be a wrong one."""
    known = {k: v for k, v in outputs.values.items() if secrets or not isinstance(v, Secret)}
    return tuple(f"{name}={shlex.quote(reveal(value))}" for name, value in output_env(known).items())


def outputs_to_json(outputs: Outputs, *, secrets: bool) -> Document:
    """`outputs NAME -o json`."""
    return {
        "schemaVersion": VERSION,
        "cluster": outputs.cluster,
        "cid": outputs.cid,
        "outputs": dict(shown(outputs, secrets=secrets)),
        "secret": list(outputs.secret),
    }
