"""One `Infra` document: from nodes to `InfraDoc`, with the checks that look at more than one pool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioner.model.fields import Path, Report, read
from provisioner.model.formats import INFRA
from provisioner.model.grammar import BUILT_PROVIDERS, to_provider
from provisioner.model.hosts import is_master
from provisioner.model.request import InfraDoc, Pool
from provisioner.model.yamlnodes import Map, find

_HOSTS: Path = ("spec", "hosts")
_ROLE_NAMES = ("master", "node")
"""`--masters` and `--nodes` make pools of these names."""


def read_infra(root: Map, report: Report) -> InfraDoc:
    """Read an Infra; problems go to the report, what is wrong is left out of the value."""
    values: Any = read(INFRA, root, (), report) or {}
    spec = values.get("spec") or {}
    provider = spec.get("provider")
    entries = spec.get("hosts") or ()
    sound = all(entry.get(key, 1) is not None for entry in entries for key in ("roles", "count"))
    pools = tuple(_to_pool(root, index, entry, report) for index, entry in enumerate(entries))
    _check_names(root, [(i, p) for i, p in enumerate(pools) if _is_named(entries[i])], report)
    if pools and sound:
        _check_masters(root, pools, report)
    if provider and to_provider(provider) not in BUILT_PROVIDERS:
        where: Path = ("spec", "provider")
        report.warn(find(root, where), where, f"provider {to_provider(provider)} is not built yet", "--provider local")
    network = {key: value for key, value in (spec.get("network") or {}).items() if value is not None}
    return InfraDoc(
        provider=to_provider(provider) if provider else None,
        pools=pools,
        network=network,
        tags=spec.get("tags") or {},
        protect=bool(spec.get("protect")),
        said=frozenset(
            "pools" if key == "hosts" else key
            for key in ("hosts", "network", "tags", "protect")
            if spec.get(key) is not None
        ),
    )


def _to_pool(root: Map, index: int, entry: Any, report: Report) -> Pool:
    path: Path = (*_HOSTS, index)
    roles = entry.get("roles") or ()
    if not roles and entry.get("roles", ()) is not None:
        report.warn(find(root, path), path, "a pool without roles is one of nodes", "write roles: [node]")
    roles = roles or ("node",)
    count = entry.get("count")
    return Pool(
        name=entry.get("name") or roles[0],
        roles=roles,
        count=1 if count is None else count,
        cpu=entry.get("cpu"),
        memory=entry.get("memory"),
        system_disk=entry.get("systemDisk"),
        data_disks=entry.get("dataDisks") or (),
        env=entry.get("env") or {},
    )


def _is_named(entry: Any) -> bool:
    """False where the pool's name would come from roles that could not be read."""
    return bool(entry.get("name")) or entry.get("roles", ()) is not None


def _check_names(root: Map, pools: Iterable[tuple[int, Pool]], report: Report) -> None:
    first: dict[str, int] = {}
    for index, pool in pools:
        path: Path = (*_HOSTS, index)
        node = find(root, (*path, "name"))
        if pool.name in first:
            before = find(root, (*_HOSTS, first[pool.name])).line
            what = f"a pool named {pool.name} stands in line {before} already"
            hint = "pools that share their first role need a name of their own"
            report.problem(node, (*path, "name"), what, hint)
        elif pool.name in _ROLE_NAMES and pool.roles[0] != pool.name:
            report.problem(node, (*path, "name"), f"{pool.name} names the pool whose first role it is")
        first.setdefault(pool.name, index)


def _check_masters(root: Map, pools: tuple[Pool, ...], report: Report) -> None:
    masters = sum(pool.count for pool in pools if is_master(pool.roles))
    if masters == 0:
        report.problem(find(root, _HOSTS), _HOSTS, "no pool has a master", "give one pool roles: [master], count: 1")
    elif masters % 2 == 0:
        index = next(i for i, pool in enumerate(pools) if is_master(pool.roles) and pool.count)
        path: Path = (*_HOSTS, index, "count")
        what = f"{masters} masters bear no more failures than {masters - 1}"
        report.warn(find(root, path), path, what, "use an odd number")
