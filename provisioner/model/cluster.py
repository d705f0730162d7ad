"""One v2 `Cluster` document: from nodes to `ClusterDoc`, with the checks that look at more than one field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.model.fields import Path, Report, Text, read
from provisioner.model.formats import CLUSTER_V2, check_annotation
from provisioner.model.grammar import did_you_mean
from provisioner.model.login import read_old_login
from provisioner.model.request import ClusterDoc, Machine, Pool, SshDoc
from provisioner.model.yamlnodes import NOTHING, Map, Node, Scalar, Seq, find, find_key, is_null

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
    entries = spec.get("hosts") or ()
    _check_addresses(root, ("spec", "hosts"), "ips", report)
    exist = [_exists(root, index) for index in range(len(entries))]
    annotations = read_annotations(root, report)
    doc = ClusterDoc(
        name=metadata.get("name"),
        image=spec.get("image"),
        env=spec.get("env") or {},
        cmd=spec.get("cmd"),
        data_root=spec.get("dataRoot"),
        role_env=_read_role_env(root, entries, report, places),
        annotations=annotations,
        ssh=read_old_login(spec.get("ssh"), root, ("spec", "ssh"), report, exist=any(exist)),
        machines=_read_machines(root, entries, report, key=bool((spec.get("ssh") or {}).get("pk"))),
    )
    said = {ours for theirs, ours in _FIELDS.items() if spec.get(theirs) is not None}
    said |= {"annotations"} if annotations else set()
    said |= {"machines"} if any(exist) else set()
    return replace(doc, said=frozenset(said))


def read_annotations(root: Map, report: Report) -> dict[str, str]:
    """The annotations that are ours; problems go to the report."""
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
        if _exists(root, index):
            continue  # machines that exist, with env of their own
        if isinstance(node, Map) and entry.get("ssh"):
            report.not_built(find_key(root, (*path, "ssh")), (*path, "ssh"), "", "give it in Infra's hosts")
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


def _exists(root: Map, index: int) -> bool:
    entry = find(root, ("spec", "hosts", index))
    return isinstance(entry, Map) and not is_null(entry.get("ips") or NOTHING)


def _read_machines(root: Map, entries: tuple[Any, ...], report: Report, *, key: bool) -> tuple[Machine, ...]:
    machines: list[Machine] = []
    for index, entry in enumerate(entries):
        path: Path = ("spec", "hosts", index)
        if not _exists(root, index):
            continue
        roles = entry.get("roles") or ()
        if not roles and entry.get("roles", ()) is not None:
            what = "a machine without roles is a node"
            report.warn(find(root, path), path, what, "write roles: [node]")
        ssh = read_old_login(entry.get("ssh"), root, (*path, "ssh"), report, exist=True, key=key)
        env = entry.get("env") or {}
        machines += [to_machine(text, roles or ("node",), env, ssh) for text in entry.get("ips") or ()]
    return tuple(machines)


def to_machine(text: str, roles: tuple[str, ...], env: Mapping[str, str], ssh: SshDoc) -> Machine:
    """A machine by an address as upstream's files have them: an IP, or `ip:port`."""
    address, colon, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    login = replace(ssh, port=int(port)) if colon else ssh
    return Machine(address, roles, env=env, ssh=login)


def _check_addresses(root: Map, path: Path, key: str, report: Report) -> None:
    hosts = find(root, path)
    seen: dict[str, int] = {}
    for index in range(len(hosts.items) if isinstance(hosts, Seq) else 0):
        check_unique(root, (*path, index, key), report, seen)


def check_unique(root: Map, path: Path, report: Report, seen: dict[str, int]) -> None:
    """Refuse an address that stands twice; `seen` are addresses and their lines."""
    node = find(root, path)
    for index, item in enumerate(node.items if isinstance(node, Seq) else ()):
        if not isinstance(item, Scalar):
            continue
        if item.text in seen:
            report.problem(item, (*path, index), f"{item.text[:80]} stands twice; first in line {seen[item.text]}")
        seen.setdefault(item.text, item.line)
