"""One `Infra` document: from nodes to `InfraDoc`, with the checks that look at more than one field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioner.model.deadline import duration_of
from provisioner.model.endpoints import check_endpoint_of
from provisioner.model.fields import Path, Report, read
from provisioner.model.grammar import BUILT_PROVIDERS, to_provider
from provisioner.model.hosts import is_master
from provisioner.model.infraformat import INFRA, SIZES
from provisioner.model.login import check_jump_keys, read_login, warn_made
from provisioner.model.request import InfraDoc, Machine, OsImageDoc, Pool, Spot, SshDoc
from provisioner.model.yamlnodes import NOTHING, Map, find, find_key, is_null

_HOSTS: Path = ("spec", "hosts")
_ROLE_NAMES = ("master", "node")
"""`--masters` and `--nodes` make pools of these names."""
_ONLY_MADE = ("count", *SIZES)
_ONLY_EXIST = ("hostKeys", "knownHostsFile", "ssh")
_KEY_HINT = "on a path you trust: `ssh-keyscan ADDRESS | ssh-keygen -lf -`, or read it on the machine's console"
_FIELDS = ("region", "zones", "network", "ssh", "osImage", "ttl", "tags", "protect", "endpoints")


def read_infra(root: Map, report: Report) -> InfraDoc:
    """Read an Infra; problems go to the report, what is wrong is left out of the value."""
    values: Any = read(INFRA, root, (), report) or {}
    spec = values.get("spec") or {}
    provider = to_provider(spec["provider"]) if spec.get("provider") else None
    entries = spec.get("hosts") or ()
    exist = any(_exists(root, index) for index in range(len(entries)))
    if provider and provider not in BUILT_PROVIDERS:
        where: Path = ("spec", "provider")
        report.warn(find(root, where), where, f"provider {provider} is not built yet", "--provider local")
    ssh = _read_ssh(root, spec.get("ssh"), report, exist=exist or provider == "baremetal")
    _check_network(root, spec.get("network") or {}, report)
    _check_kinds(root, entries, provider, report)
    endpoints = {word: text for word, text in (spec.get("endpoints") or {}).items() if text}
    _check_endpoints(root, endpoints, provider, report)
    pools = () if exist else _read_pools(root, entries, report)
    machines = _read_machines(root, entries, ssh, report) if exist else ()
    return InfraDoc(
        provider=provider,
        pools=pools,
        network=network_of(spec.get("network") or {}),
        tags=spec.get("tags") or {},
        protect=bool(spec.get("protect")),
        said=frozenset({key for key in _FIELDS if spec.get(key) is not None} | ({"pools"} if _says(spec) else set())),
        region=spec.get("region"),
        zones=spec.get("zones") or (),
        os_image=OsImageDoc(**spec["osImage"]) if spec.get("osImage") else None,
        ssh=ssh,
        ttl=duration_of(spec["ttl"]) if spec.get("ttl") else None,
        machines=machines,
        endpoints=endpoints,
    )


def _says(spec: Any) -> bool:
    return spec.get("hosts") is not None


def network_of(said: Any) -> dict[str, object]:
    """A network's words as they are stored: rules with every key, a single port as a number."""
    network = {key: list(value) if isinstance(value, tuple) else value for key, value in said.items() if value}
    if said.get("ingress"):
        network["ingress"] = [_rule(rule) for rule in said["ingress"]]
    return network


def _rule(rule: Any) -> dict[str, object]:
    port = str(rule.get("port"))
    number: object = int(port) if port.isdigit() else port
    return {"port": number, "from": rule.get("from"), "protocol": rule.get("protocol") or "tcp"}


def _read_ssh(root: Map, said: Any, report: Report, *, exist: bool) -> SshDoc:
    path: Path = ("spec", "ssh", "passwd")
    if said and said.get("passwd"):
        if exist:
            report.not_built(find_key(root, path), path, "a login by password", "write privateKeyFile")
        else:
            warn_made(root, path, report)
    return read_login(said, report)


def _check_network(root: Map, network: Any, report: Report) -> None:
    path: Path = ("spec", "network")
    others = [key for key in ("vpc", "subnets") if network.get(key)]
    if network.get("shared") and others:
        what = f"shared names a network of `network create`, and {others[0]} another one"
        report.problem(find_key(root, (*path, "shared")), (*path, "shared"), what, "keep one of them")


def _check_endpoints(root: Map, endpoints: Any, provider: str | None, report: Report) -> None:
    """Without a provider in the file only their form is checked here; the rest when the provider is known."""
    for word, text in endpoints.items() if provider else ():
        path: Path = ("spec", "endpoints", word)
        if complaint := check_endpoint_of(str(provider), word, text):
            report.problem(find_key(root, path), path, complaint)


def _check_kinds(root: Map, entries: Any, provider: str | None, report: Report) -> None:
    """Machines to make and machines that exist: one kind in a file, and the kind that the provider has."""
    addressed = [_exists(root, index) for index in range(len(entries))]
    for index, (entry, exists) in enumerate(zip(entries, addressed, strict=True)):
        path: Path = (*_HOSTS, index)
        if exists != addressed[0]:
            what = "machines that exist (address) and machines to make (count) do not mix in one cluster"
            report.problem(find(root, path), path, what, "give all of them an address, or none")
        elif provider == "baremetal" and not exists:
            report.problem(find(root, path), path, "a machine of provider baremetal has an address", "write address:")
        elif provider not in (None, "baremetal") and exists:
            what = f"provider {provider} makes its machines: an address names one that exists"
            report.problem(find_key(root, (*path, "address")), (*path, "address"), what, "provider: baremetal")
        for key in _ONLY_MADE if exists else _ONLY_EXIST:
            if entry.get(key) not in (None, False, ()):
                _refuse_kind(root, (*path, key), report, exists=exists)


def _exists(root: Map, index: int) -> bool:
    return _has(root, index, "address")


def _has(root: Map, index: int, key: str) -> bool:
    """True where a host's entry says something under a key, right or wrong."""
    entry = find(root, (*_HOSTS, index))
    return isinstance(entry, Map) and not is_null(entry.get(key) or NOTHING)


def _refuse_kind(root: Map, path: Path, report: Report, *, exists: bool) -> None:
    what = "is for machines to make; this one exists" if exists else "is for machines that exist (with an address)"
    report.problem(find_key(root, path), path, what, "remove it" if exists else "for machines to make see spec.ssh")


def _read_pools(root: Map, entries: Any, report: Report) -> tuple[Pool, ...]:
    sound = all(entry.get(key, 1) is not None for entry in entries for key in ("roles", "count"))
    pools = tuple(_to_pool(root, index, entry, report) for index, entry in enumerate(entries))
    _check_names(root, [(i, p) for i, p in enumerate(pools) if _is_named(entries[i])], report)
    if pools and sound:
        check_masters(root, _HOSTS, [(p.roles, p.count) for p in pools], report)
    return pools


def _to_pool(root: Map, index: int, entry: Any, report: Report) -> Pool:
    roles = _roles(root, index, entry, report)
    count, types = entry.get("count"), entry.get("instanceType") or ()
    return Pool(
        name=entry.get("name") or roles[0],
        roles=roles,
        count=1 if count is None else count,
        cpu=entry.get("cpu"),
        memory=entry.get("memory"),
        system_disk=entry.get("systemDisk"),
        data_disks=entry.get("dataDisks") or (),
        env=entry.get("env") or {},
        instance_types=(types,) if isinstance(types, str) else types,
        spot=_spot(entry.get("spot")),
        labels=entry.get("labels") or {},
        taints=entry.get("taints") or (),
    )


def _roles(root: Map, index: int, entry: Any, report: Report) -> tuple[str, ...]:
    path: Path = (*_HOSTS, index)
    roles: tuple[str, ...] = entry.get("roles") or ()
    if not roles and entry.get("roles", ()) is not None:
        kind = "a machine without roles is a node" if entry.get("address") else "a pool without roles is one of nodes"
        report.warn(find(root, path), path, kind, "write roles: [node]")
    for key in ("labels", "taints"):
        if entry.get(key):
            what = "is kept for images that run Kubernetes; no step reads it yet"
            report.warn(find_key(root, (*path, key)), (*path, key), what)
    return roles or ("node",)


def _spot(said: Any) -> Spot | None:
    if not said:
        return Spot() if isinstance(said, dict) else None
    if said is True:
        return Spot()
    price = said.get("maxPrice") or {}
    return Spot(price.get("perHostHour"), price.get("currency"), said.get("fallback"))


def _read_machines(root: Map, entries: Any, base: SshDoc, report: Report) -> tuple[Machine, ...]:
    machines: list[Machine] = []
    names: dict[str, int] = {}
    addresses: dict[str, int] = {}
    for index, entry in enumerate(entries):
        path: Path = (*_HOSTS, index)
        _check_twice(root, (*path, "name"), entry.get("name"), names, report)
        _check_twice(root, (*path, "address"), entry.get("address"), addresses, report)
        roles = _roles(root, index, entry, report)
        if entry.get("address"):
            machines.append(_to_machine(root, index, entry, roles, base=base, report=report))
    if all(entry.get("roles", 1) is not None for entry in entries):
        check_masters(root, _HOSTS, [(entry.get("roles") or ("node",), 1) for entry in entries], report)
    return tuple(machines)


def _to_machine(root: Map, index: int, entry: Any, roles: tuple[str, ...], *, base: SshDoc, report: Report) -> Machine:
    path: Path = (*_HOSTS, index)
    own = read_login(entry.get("ssh"), report)
    if entry.get("knownHostsFile"):
        own = read_login({"knownHostsFile": entry["knownHostsFile"]}, report).over(own)
    ssh = own.over(base)
    if not ssh.known_hosts_file and not _has(root, index, "hostKeys"):
        what = "its host key is not known, so nobody could tell this machine from another"
        report.problem(find(root, path), path, what, f"write hostKeys or knownHostsFile; {_KEY_HINT}")
    check_jump_keys(root, path, ssh, report)
    return Machine(
        address=entry["address"],
        roles=roles,
        name=entry.get("name"),
        env=entry.get("env") or {},
        ssh=own,
        host_keys=entry.get("hostKeys") or (),
        labels=entry.get("labels") or {},
        taints=entry.get("taints") or (),
    )


def _check_twice(root: Map, path: Path, value: str | None, first: dict[str, int], report: Report) -> None:
    if value is None:
        return
    node = find(root, path)
    if value in first:
        report.problem(node, path, f"{value} stands twice; first in line {first[value]}")
    first.setdefault(value, node.line)


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


def check_masters(root: Map, hosts: Path, groups: list[tuple[tuple[str, ...], int]], report: Report) -> None:
    """No master is a problem, an even number of them a warning. `groups` are roles and counts, in the file's order."""
    masters = sum(count for roles, count in groups if is_master(roles))
    if masters == 0:
        report.problem(find(root, hosts), hosts, "no pool has a master", "give one pool roles: [master], count: 1")
    elif masters % 2 == 0:
        index = next(i for i, (roles, count) in enumerate(groups) if is_master(roles) and count)
        path: Path = (*hosts, index, "count")
        what = f"{masters} masters bear no more failures than {masters - 1}"
        report.warn(find(root, path), path, what, "use an odd number")
