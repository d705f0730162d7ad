"""Screen and document of `status NAME --provider P`, where no state here knows the cluster. The views are pure."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.cli.screen import Screen
from provisioner.cli.text import Line, Lines, columns, count, escape, plain, styled
from provisioner.model.driver import FoundMachine
from provisioner.model.grammar import BOUGHT
from provisioner.model.report import LostCluster, LostReport

VERSION = 1
Document = dict[str, object]


def print_lost(screen: Screen, report: LostReport) -> None:
    """In the form that was asked for; of names the machines' ids."""
    if screen.look.output == "name":
        screen.print(m.id for cluster in report.found for m in cluster.machines)
    elif screen.look.machine:
        screen.document(lost_to_json(report))
    else:
        screen.print(lost_lines(report, wide=screen.look.output == "wide"))


def lost_lines(report: LostReport, *, wide: bool = False) -> Lines:
    """What stands of every cluster of that name, that its state is not here, and the two ways on."""
    lines = [styled(f"The state of {report.cluster} is not here; a look at {report.provider} found:", "bold")]
    for cluster in report.found:
        lines += _cluster_lines(cluster, wide=wide)
    lines += [styled(f"not looked at: {escape(where)}: {escape(why)}", "yellow") for where, why in report.not_looked_at]
    return (*lines, *(((f"  {word:<8}", "dim"), (escape(command), "cyan")) for word, command in _next(report)))


def _next(report: LostReport) -> list[tuple[str, str]]:
    """The ways on. Of several clusters each command wants to know which one; `down` takes a name alone."""
    adopt, down = (f"sealer-cloud {verb} {report.cluster} {report.words}" for verb in ("adopt", "down"))
    if len(report.found) == 1:
        return [("adopt", adopt), ("remove", down)]
    cids = [cluster.cid for cluster in report.found]
    gone = [("remove", f"sealer-cloud gc {report.words} --cluster {cid} --delete") for cid in cids]
    return [*(("adopt", f"{adopt} --cluster-id {cid}") for cid in cids), *(gone if report.provider in BOUGHT else ())]


def _cluster_lines(cluster: LostCluster, *, wide: bool) -> list[Line]:
    where = f"    in {', '.join(map(escape, cluster.regions))}" if cluster.regions else ""
    machines = cluster.machines
    lines = [_pair("Cluster", f"{cluster.cid}{where}    {count(len(machines), 'machine')}")]
    if machines:
        lines.append(_pair("Run", f"{_all(m.run for m in machines)}    owner: {_all(map(_owner, machines))}"))
        lines.append(_pair("Expires", _all((m.expires_at for m in machines), "no deadline is known")))
    lines += [plain(row) for row in _rows(machines)]
    if wide:
        return [*lines, *(plain(f"  stands    {escape(thing)}") for thing in cluster.things)]
    return [*lines, plain(f"  {count(len(cluster.things), 'thing')} of it in all; -o wide lists them")]


def _rows(machines: tuple[FoundMachine, ...]) -> tuple[str, ...]:
    head = ("HOST", "ID", "ADDRESS", "PUBLIC", "ZONE", "TYPE", "STATE")
    rows = [
        tuple(escape(word or "-") for word in (m.host, m.id, m.address, m.public, m.zone, m.machine_type, m.state))
        for m in machines
    ]
    return columns([head, *rows]) if rows else ()


def _owner(machine: FoundMachine) -> str | None:
    run = f"CI run {machine.ci_run}" if machine.ci_run else None
    return ", ".join(word for word in (machine.repo, run) if word) or None


def _all(words: Iterable[str | None], nothing: str = "unknown") -> str:
    """Each once; machines of one cluster may differ, as one that was replaced is another run's."""
    return "; ".join(dict.fromkeys(escape(word) for word in words if word)) or nothing


def _pair(label: str, text: str) -> Line:
    return ((f"{label:<10}", "bold"), (text, ""))


def lost_to_json(report: LostReport) -> Document:
    """`status NAME --provider P -o json` where no state here knows the cluster."""
    return {
        "schemaVersion": VERSION,
        "cluster": report.cluster,
        "provider": report.provider,
        "stateHere": False,
        "clusters": [
            {
                "cid": cluster.cid,
                "regions": list(cluster.regions),
                "machines": [_machine(m) for m in cluster.machines],
                "standing": list(cluster.things),
            }
            for cluster in report.found
        ],
        "notLookedAt": [{"where": where, "reason": reason} for where, reason in report.not_looked_at],
    }


def _machine(machine: FoundMachine) -> Document:
    return {
        "host": machine.host or None,
        "id": machine.id,
        "state": machine.state,
        "address": machine.address,
        "publicAddress": machine.public,
        "region": machine.region,
        "zone": machine.zone,
        "type": machine.machine_type,
        "expiresAt": machine.expires_at,
        "run": machine.run,
        "ciRun": machine.ci_run,
        "repo": machine.repo,
    }
