"""One `Cluster` document: from nodes to `ClusterDoc`, with the checks that look at more than one field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.model.fields import Path, Report, Text, read
from provisioner.model.formats import CLUSTER_V1, CLUSTER_V2, check_annotation
from provisioner.model.grammar import did_you_mean
from provisioner.model.request import ClusterDoc, Pool
from provisioner.model.yamlnodes import Map, Node, Scalar, Seq, find, find_key

_FIELDS = {"image": "image", "env": "env", "cmd": "cmd", "dataRoot": "data_root", "hosts": "role_env"}


@dataclass(slots=True)
class RolePlaces:
    """Where env for roles was written: those can be checked only once all pools are known."""

    places: list[tuple[Report, Node, Path, tuple[str, ...]]] = field(default_factory=list)

    def check(self, pools: tuple[Pool, ...]) -> None:
        """Refuse env that no pool would get."""
        for report, node, path, roles in self.places:
            if not any(matches(roles, pool.roles) for pool in pools):
                known = {role for pool in pools for role in pool.roles}
                hint = next(filter(None, (did_you_mean(r, known) for r in roles if r not in known)), "")
                report.problem(node, path, f"no pool of machines has the roles {', '.join(roles)}", hint)


def matches(wanted: tuple[str, ...], roles: tuple[str, ...]) -> bool:
    """True if a pool has all the roles that an entry of `Cluster.spec.hosts` names."""
    return set(wanted) <= set(roles)


def read_cluster(root: Map, report: Report, places: RolePlaces) -> ClusterDoc:
    """Read a v2 Cluster; problems go to the report, what is wrong is left out of the value."""
    values: Any = read(CLUSTER_V2, root, (), report) or {}
    metadata, spec = values.get("metadata") or {}, values.get("spec") or {}
    _check_addresses(root, ("spec", "hosts"), "ips", report)
    annotations = _read_annotations(root, report)
    doc = ClusterDoc(
        name=metadata.get("name"),
        image=spec.get("image"),
        env=spec.get("env") or {},
        cmd=spec.get("cmd"),
        data_root=spec.get("dataRoot"),
        role_env=_read_role_env(root, spec.get("hosts") or (), report, places),
        annotations=annotations,
    )
    said = {ours for theirs, ours in _FIELDS.items() if spec.get(theirs) is not None}
    return replace(doc, said=frozenset(said | ({"annotations"} if annotations else set())))


def check_cluster_v1(root: Map, report: Report) -> None:
    """Refuse a v1 Cluster by name, and say what is wrong inside it in the same breath."""
    where = find_key(root, ("apiVersion",))
    report.not_built(
        where, ("apiVersion",), "a v1 Cluster", "write kind: Cluster and kind: Infra with apiVersion: sealer.io/v2"
    )
    read(CLUSTER_V1, root, (), report)
    for group in ("masters", "nodes"):
        _check_unique(root, ("spec", group, "ipList"), report, {})
    _check_overlap(root, report)


def _read_annotations(root: Map, report: Report) -> dict[str, str]:
    node = find(root, ("metadata", "annotations"))
    path: Path = ("metadata", "annotations")
    if not isinstance(node, Map) or node is root or node is root.get("metadata"):
        return {}
    found: dict[str, str] = {}
    for key, value in node.entries:
        if not key.text.startswith("sealer-cloud."):
            continue
        text = read(Text(), value, (*path, key.text), report)
        if not isinstance(text, str):
            continue
        if complaint := check_annotation(key.text, text):
            report.problem(key, (*path, key.text), complaint)
        found[key.text] = text
    return found


def _read_role_env(
    root: Map, hosts: tuple[Any, ...], report: Report, places: RolePlaces
) -> tuple[tuple[tuple[str, ...], Mapping[str, str]], ...]:
    found = []
    for index, entry in enumerate(hosts):
        path: Path = ("spec", "hosts", index)
        node = find(root, path)
        if isinstance(node, Map) and node.get("ips") is not None:
            continue  # a machine that exists: refused by name already
        roles, env = entry.get("roles") or (), entry.get("env")
        lacks = [key for key in ("roles", "env") if not isinstance(node, Map) or node.get(key) is None]
        if lacks:
            hint = "machines to make stand in an Infra document (kind: Infra, spec.hosts)"
            report.problem(node, path, f"an entry without addresses gives env to roles, and has no {lacks[0]}", hint)
        if not roles or env is None:
            continue
        places.places.append((report, find(root, (*path, "roles")), (*path, "roles"), roles))
        found.append((roles, env))
    return tuple(found)


def _check_addresses(root: Map, path: Path, key: str, report: Report) -> None:
    hosts = find(root, path)
    seen: dict[str, int] = {}
    for index in range(len(hosts.items) if isinstance(hosts, Seq) else 0):
        _check_unique(root, (*path, index, key), report, seen)


def _check_unique(root: Map, path: Path, report: Report, seen: dict[str, int]) -> None:
    node = find(root, path)
    for index, item in enumerate(node.items if isinstance(node, Seq) else ()):
        if not isinstance(item, Scalar):
            continue
        if item.text in seen:
            report.problem(item, (*path, index), f"{item.text[:80]} stands twice; first in line {seen[item.text]}")
        seen.setdefault(item.text, item.line)


def _check_overlap(root: Map, report: Report) -> None:
    import ipaddress

    path: Path = ("spec", "network", "svcCIDR")
    texts = [n.text for n in (find(root, (*path[:-1], k)) for k in ("podCIDR", "svcCIDR")) if isinstance(n, Scalar)]
    try:
        pods, services = (ipaddress.ip_network(text.split(",")[0]) for text in texts)
    except ValueError:
        return  # one is missing or no network; the walk has said so
    if pods.version == services.version and pods.overlaps(services):
        report.problem(find(root, path), path, f"overlaps podCIDR {pods}")
