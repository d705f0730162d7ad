"""One v1 `Cluster` document, upstream's cloud form: it means a `Cluster` and an `Infra`, and is read as both.

Values that tuned the runtime (`network`, `certSANS`) become the env that upstream's own v2 has for them.
"""

from __future__ import annotations

from typing import Any

from provisioner.model.cluster import check_unique, read_annotations, to_machine
from provisioner.model.fields import Path, Report, read
from provisioner.model.formats import CLUSTER_V1
from provisioner.model.grammar import BUILT_PROVIDERS, to_provider
from provisioner.model.login import read_old_login
from provisioner.model.request import ClusterDoc, InfraDoc, Machine, Pool, SshDoc
from provisioner.model.yamlnodes import Map, Scalar, find, find_key

_GROUPS = {"masters": "master", "nodes": "node"}
_SIZES = ("cpu", "memory", "systemDisk", "dataDisks")
_WHERE_MADE = "is not read: addresses of machines that upstream made; `up` makes its own"
_WHERE_EXIST = "is not read: the machines exist, with the size that they have"


def read_cluster_v1(root: Map, report: Report) -> tuple[ClusterDoc, InfraDoc]:
    """Read a v1 Cluster; problems go to the report, what is wrong is left out of the values."""
    values: Any = read(CLUSTER_V1, root, (), report) or {}
    metadata, spec = values.get("metadata") or {}, values.get("spec") or {}
    _check_overlap(root, report)
    provider = to_provider(spec["provider"]) if spec.get("provider") else None
    exist = _exist(spec, provider)
    if provider and provider not in BUILT_PROVIDERS:
        where: Path = ("spec", "provider")
        report.warn(find(root, where), where, f"provider {provider} is not built yet", "--provider local")
    ssh = read_old_login(spec.get("ssh"), root, ("spec", "ssh"), report, exist=exist)
    machines = _read_machines(root, spec, report) if exist else ()
    pools = () if exist else _read_pools(root, spec, report)
    cluster = _to_cluster(metadata, spec, read_annotations(root, report))
    said = frozenset({"pools"} if machines or pools else ())
    return cluster, InfraDoc(provider, pools, said=said, ssh=ssh, machines=machines)


def _exist(spec: Any, provider: str | None) -> bool:
    """True where its addresses are of machines to work on: saved states of clouds hold addresses too."""
    listed = any((spec.get(group) or {}).get("ipList") for group in _GROUPS)
    return provider == "baremetal" or (provider is None and listed)


def _to_cluster(metadata: Any, spec: Any, annotations: dict[str, str]) -> ClusterDoc:
    network = spec.get("network") or {}
    derived = {
        "PodCIDR": network.get("podCIDR"),
        "SvcCIDR": network.get("svcCIDR"),
        "CertSANs": ",".join(spec.get("certSANS") or ()),
    }
    env = {**{key: value for key, value in derived.items() if value}, **(spec.get("env") or {})}
    said = {
        *({"env"} if env or spec.get("env") is not None else ()),
        *({"image"} if spec.get("image") else ()),
        *({"annotations"} if annotations else ()),
    }
    return ClusterDoc(metadata.get("name"), spec.get("image"), env, annotations=annotations, said=frozenset(said))


def _read_pools(root: Map, spec: Any, report: Report) -> tuple[Pool, ...]:
    pools = []
    for group, role in _GROUPS.items():
        said = spec.get(group) or {}
        path: Path = ("spec", group)
        if said.get("ipList"):
            report.warn(find_key(root, (*path, "ipList")), (*path, "ipList"), _WHERE_MADE, "remove it")
        if not any(said.get(key) for key in ("count", "ipList", *_SIZES)) and said.get("count") is None:
            continue
        if "count" not in said:
            report.problem(find(root, path), path, "count is missing", "write how many machines, like count: 3")
        if said.get("count") is not None:
            pools.append(_to_pool(role, said))
    return tuple(pools)


def _to_pool(role: str, said: Any) -> Pool:
    disks = said.get("dataDisks") or ()
    return Pool(role, (role,), said["count"], said.get("cpu"), said.get("memory"), said.get("systemDisk"), disks)


def _read_machines(root: Map, spec: Any, report: Report) -> tuple[Machine, ...]:
    machines: list[Machine] = []
    seen: dict[str, int] = {}
    for group, role in _GROUPS.items():
        said = spec.get(group) or {}
        path: Path = ("spec", group)
        check_unique(root, (*path, "ipList"), report, seen)
        for key in _SIZES:
            if said.get(key):
                report.warn(find_key(root, (*path, key)), (*path, key), _WHERE_EXIST, "remove it")
        if not said.get("ipList") and said.get("count"):
            what = "a machine of provider baremetal has an address"
            report.problem(find_key(root, (*path, "count")), (*path, "count"), what, "write ipList: [ADDRESS, …]")
        machines += [to_machine(text, (role,), {}, SshDoc()) for text in said.get("ipList") or ()]
    return tuple(machines)


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
