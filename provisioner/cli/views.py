"""The other screens: what `up`, `down`, `status`, `list`, `doctor` and the image commands end with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioner.cli.text import Line, Lines, columns, count, escape, plain, seconds, short_digest, styled
from provisioner.model.deadline import keeper_of
from provisioner.model.driver import Check
from provisioner.model.report import DownReport, HostStatus, ListRow, StatusReport, UpReport

_STATES = {"healthy": "green", "laid": "green", "starting": "yellow"}


def up_lines(report: UpReport, phases: Mapping[str, float], *, quiet: bool = False) -> Lines:
    """The end of `up`: how long, the outputs, and unless `quiet` what one can do now. `phases`: wall seconds by phase."""
    lines = [styled(_up_head(report, phases), "bold")]
    lines += [plain(f"  {escape(key)} = {escape(value)}") for key, value in report.apply.outputs.items()]
    return tuple(lines) if quiet else (*lines, *_next_lines(report))


def _next_lines(report: UpReport) -> Lines:
    name = report.inventory.cluster
    hosts = [h.name for h in report.inventory.hosts]
    pairs = [("look", f"sealer-cloud status {name}")]
    if hosts:
        pairs.append(("enter", f"sealer-cloud ssh {name} {hosts[0]}"))
        pairs.append(("break", f"sealer-cloud exec {name} --host {hosts[-1]} -- poweroff -f"))
        pairs.append(("mend", f"sealer-cloud up -n {name}"))
    pairs.append(("remove", f"sealer-cloud down {name}"))
    return tuple(((f"  {word:<8}", "dim"), (command, "cyan")) for word, command in pairs)


def _up_head(report: UpReport, phases: Mapping[str, float]) -> str:
    if not report.changed:
        return f"Nothing to change: {_healthy(report)} ({seconds(report.seconds)})"
    parts = ", ".join(f"{name} {wall:.1f}" for name, wall in phases.items() if wall >= 0.05)  # noqa: PLR2004
    return f"Up in {seconds(report.seconds)}" + (f" ({parts})" if parts else "")


def _healthy(report: UpReport) -> str:
    health = report.apply.health
    if not health:
        return count(len(report.inventory.hosts), "host") + " as wanted"
    return f"{sum(1 for h in health.values() if h.rc == 0)} of {len(health)} hosts healthy"


def down_report_lines(report: DownReport) -> Lines:
    """The end of `down`: gone only after looking."""
    lines: list[Line] = [((("! "), "yellow"), (escape(w), "")) for w in report.warnings]
    if report.left:
        lines.append(styled(f"{report.cluster} is not gone: {count(len(report.left), 'thing')} left", "red"))
        return (*lines, *(plain(f"  {escape(thing)}") for thing in report.left))
    if not report.removed:
        return (*lines, plain(f"Nothing found of {report.cluster} in {report.provider}; nothing was removed"))
    head = f"{report.cluster} is gone in {seconds(report.seconds)}: {count(len(report.removed), 'thing')} removed"
    kept = [f"  kept  {escape(k.path)} on {escape(k.host)}" for k in report.kept]
    return (*lines, styled(head + ", nothing found afterwards", "bold"), *map(plain, kept))


def status_lines(report: StatusReport, *, wide: bool = False) -> Lines:
    """`status NAME` as a table."""
    image = f"{escape(report.image_reference)} {short_digest(report.image_digest)}"
    head = f"{report.cluster}    image {image}    provider {report.provider}    {escape(report.phase)}"
    lines = [_pair("Cluster", head)]
    if report.lock:
        since = escape(report.lock.since)
        lines.append(_pair("Locked", f"by {escape(report.lock.command)}, pid {report.lock.pid}, since {since}"))
    if report.expires_at:
        keeper = keeper_of(report.provider, report.expires_at)
        lines.append(_pair("Expires", f"{escape(report.expires_at)}    kept by: {keeper}"))
    lines += [_pair("Output", f"{escape(k)} = {escape(v)}") for k, v in report.outputs.items()]
    return (*lines, plain(""), *_host_rows(report.hosts, wide=wide))


def _host_rows(hosts: Sequence[HostStatus], *, wide: bool) -> Lines:
    head = ("HOST", "ADDRESS", "ROLES", "STATE", *(("STEPS",) if wide else ()), "HEALTH")
    rows = [
        (h.name, h.address, ",".join(h.roles), h.state, *((f"{h.done}/{h.total}",) if wide else ()), escape(h.line))
        for h in hosts
    ]
    return tuple(
        _tinted(row, word, style)
        for row, word, style in zip(
            columns([head, *rows]),
            ("STATE", *(h.state for h in hosts)),
            ("", *(_STATES.get(h.state, "red") for h in hosts)),
            strict=True,
        )
    )


def _tinted(row: str, word: str, style: str) -> Line:
    """A row with its state coloured."""
    before, found, after = row.partition(f" {word}")
    return ((before, ""), (found, style), (after, ""))


def list_lines(rows: Sequence[ListRow], *, wide: bool = False) -> Lines:
    """`list` as a table."""
    if not rows:
        return ()
    head = ("NAME", "PROVIDER", "IMAGE", "HOSTS", "EXPIRES", *(("CID",) if wide else ()))
    table = [
        (r.cluster, r.provider, escape(r.image), str(r.hosts), r.expires_at or "-", *((r.cid,) if wide else ()))
        for r in rows
    ]
    return tuple(plain(row) for row in columns([head, *table]))


def check_lines(checks: Sequence[Check]) -> Lines:
    """`doctor` as a table: what is there, and for what is missing or not set up what to do."""
    width = max((len(c.name) for c in checks), default=0)
    lines: list[Line] = []
    for check in checks:
        mark = ("✔", "green") if check.ok else ("✘", "red")
        lines.append((mark, (f" {escape(check.name):<{width}}   {escape(check.detail)}", "")))
        if check.hint:
            lines.append(((f"  {'':<{width}}   → {escape(check.hint)}", "yellow"),))
    return tuple(lines)


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A plain table, nothing for no rows."""
    return tuple(plain(row) for row in columns([head, *rows])) if rows else ()


def _pair(label: str, text: str) -> Line:
    return ((f"{label:<10}", "bold"), (text, ""))
