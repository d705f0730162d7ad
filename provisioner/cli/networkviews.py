"""Screens and documents of `network`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.cli.text import Lines, columns, count, escape, few, plain, styled
from provisioner.model.networks import NetworkPlan, Networks, SharedNetwork
from provisioner.sharednet import Created, Deleted

VERSION = 1

Document = dict[str, object]


def plan_lines(plan: NetworkPlan, provider: str) -> Lines:
    """What `network create` will make."""
    what = f"Network {plan.name} ({provider}, {plan.region}, {plan.cidr})"
    where = f" stands in part: {escape(plan.vpc)}" if plan.vpc else ""
    return (styled(what + where, "bold"), *(plain(f"  + {escape(str(part))}") for part in plan.parts))


def delete_lines(found: Sequence[SharedNetwork]) -> Lines:
    """What `network delete` will remove."""
    lines = []
    for network in found:
        lines.append(styled(f"Network {network.name} ({network.provider}, {network.region}) is empty", "bold"))
        lines += [plain(f"  - {escape(str(part))}") for part in network.parts]
    return tuple(lines)


def created_lines(report: Created) -> Lines:
    """`network create`."""
    network = report.network
    done = f"{count(len(report.made), 'thing')} made" if report.made else "nothing to do"
    head = f"Network {network.name} stands in {network.region}: {escape(network.id or '-')} {network.cidr}; {done}"
    return (
        styled(head, "bold"),
        plain(f"  zones  {few(network.zones)}"),
        plain(f"  use    network: {{shared: {network.name}}} in the Infra document of a cluster in {network.region}"),
    )


def deleted_lines(report: Deleted) -> Lines:
    """`network delete`."""
    where = f"({report.provider}, {report.region})"
    if not report.found:
        return (plain(f"there is no network {report.name} {where}: nothing to do"),)
    if report.left:
        head = styled(f"network {report.name} {where} is not gone: {count(len(report.left), 'thing')} left", "red")
        return (head, *(plain(f"  {escape(line)}") for line in report.left))
    return (styled(f"network {report.name} {where} is gone: {count(len(report.removed), 'thing')} removed", "bold"),)


def networks_lines(networks: Networks) -> Lines:
    """`network list`."""
    head = ("NAME", "PROVIDER", "REGION", "ID", "CIDR", "ZONES", "CLUSTERS")
    rows = [
        (
            escape(n.name),
            n.provider,
            n.region,
            escape(n.id or "-"),
            n.cidr or "-",
            few(n.zones, ",") or "-",
            str(len(n.clusters)),
        )
        for n in networks.found
    ]
    table = columns([head, *rows]) if rows else ()
    dark = [styled(f"not looked at: {escape(where)}: {escape(why)}", "yellow") for where, why in networks.not_looked_at]
    return (*(plain(row) for row in table), *dark)


def network_to_json(network: SharedNetwork) -> Document:
    """One network, as all documents show it."""
    return {
        "name": network.name,
        "provider": network.provider,
        "region": network.region,
        "id": network.id,
        "cidr": network.cidr,
        "zones": list(network.zones),
        "parts": [{"kind": p.kind, "id": p.id, "zone": p.zone, "cidr": p.cidr} for p in network.parts],
        "clusters": list(network.clusters),
        "occupants": list(network.occupants),
        "run": network.run,
    }


def networks_to_json(networks: Networks) -> Document:
    """`network list -o json`."""
    return {
        "schemaVersion": VERSION,
        "networks": [network_to_json(n) for n in networks.found],
        "notLookedAt": [{"where": where, "reason": reason} for where, reason in networks.not_looked_at],
    }


def created_to_json(report: Created) -> Document:
    """`network create -o json`."""
    return {
        "schemaVersion": VERSION,
        "changed": bool(report.made),
        "made": [{"kind": p.kind, "zone": p.zone, "cidr": p.cidr} for p in report.made],
        "network": network_to_json(report.network),
    }


def deleted_to_json(report: Deleted) -> Document:
    """`network delete -o json`."""
    return {
        "schemaVersion": VERSION,
        "name": report.name,
        "provider": report.provider,
        "region": report.region,
        "found": report.found,
        "removed": list(report.removed),
        "left": list(report.left),
    }
