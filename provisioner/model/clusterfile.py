"""Clusterfiles: several files, several documents each, read strictly, all problems at once, merged in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from provisioner.errors import InvalidFileError, Problem
from provisioner.model.cluster import RolePlaces, read_cluster
from provisioner.model.clusterv1 import read_cluster_v1
from provisioner.model.fields import MAX_PROBLEMS, Path, Report, read
from provisioner.model.formats import CONFIG, KINDS, KUBEADM, V1, V2
from provisioner.model.grammar import did_you_mean
from provisioner.model.infra import read_infra
from provisioner.model.request import ClusterDoc, Clusterfile, InfraDoc, Pool
from provisioner.model.yamlnodes import Document, Map, Scalar, find, find_key, parse_documents

Source = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Reading:
    """What files say and what is wrong with them. `clusterfile` is whole only where `problems` is empty."""

    clusterfile: Clusterfile
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def parse_clusterfile(sources: Sequence[Source]) -> Clusterfile:
    """Read and merge files; each source is its name and its bytes. Raises InvalidFileError with all problems."""
    reading = read_clusterfile(sources)
    if reading.problems:
        raise InvalidFileError(reading.problems)
    return reading.clusterfile


def validate_files(sources: Sequence[Source]) -> tuple[list[Problem], list[Problem]]:
    """The problems and the warnings of files, in file order. Never raises, bounded in time and memory."""
    reading = read_clusterfile(sources)
    return list(reading.problems), list(reading.warnings)


def read_clusterfile(sources: Sequence[Source]) -> Reading:
    """Read and merge files without raising; later files win field by field.

    Env, annotations, tags and network merge by key, lists and single values are replaced whole.
    """
    merged = _Merged()
    reports = [_read_file(name, raw, merged) for name, raw in sources]
    infra = merged.below if merged.infra is None else merged.infra
    if merged.below is not None and merged.infra is not None:
        infra = _merge_infra(merged.below, merged.infra)
    if infra is not None and (infra.pools or infra.machines):
        machines = tuple(Pool(m.name or m.address, m.roles, 1) for m in infra.machines)
        merged.places.check(infra.pools + machines)
    return Reading(
        Clusterfile(merged.cluster, infra, tuple(name for name, _ in sources) if infra else ()),
        tuple(p for report in reports for p in _in_order(report.problems)),
        tuple(p for report in reports for p in _in_order(report.warnings)),
    )


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda p: (p.line, p.column))


@dataclass(slots=True)
class _Merged:
    cluster: ClusterDoc | None = None
    infra: InfraDoc | None = None
    below: InfraDoc | None = None
    """What v1 Clusters say of machines: an Infra document goes over it, wherever it stands."""
    places: RolePlaces = field(default_factory=RolePlaces)


def _read_file(name: str, raw: bytes, merged: _Merged) -> Report:
    report = Report(name)
    documents, problems = parse_documents(name, raw)
    report.problems += problems[:MAX_PROBLEMS]
    if not documents and not problems:
        report.warnings.append(Problem(name, 1, 1, "", "the file holds no document"))
    first: dict[str, int] = {}
    for document in documents:
        _read_document(document, report, merged, first)
    return report


def _read_document(document: Document, report: Report, merged: _Merged, first: dict[str, int]) -> None:
    root = document.root
    if not isinstance(root, Map):
        report.problem(root, (), "a document is a mapping with apiVersion, kind, metadata and spec")
        return
    kind = _read_word(root, "kind", report)
    if kind in ("Cluster", "Infra"):
        _check_single(root, kind, report, first)
    if kind == "Cluster":
        _read_cluster(root, report, merged)
    elif kind == "Infra":
        _check_api_version(root, report)
        doc = read_infra(root, report)
        merged.infra = doc if merged.infra is None else _merge_infra(merged.infra, doc)
    elif kind in KINDS:
        _refuse_kind(root, kind, report)
    elif kind:
        report.problem(find(root, ("kind",)), ("kind",), f"{kind} is no kind we know", did_you_mean(kind, KINDS))


def _read_word(root: Map, key: str, report: Report) -> str:
    node = root.get(key)
    if isinstance(node, Scalar) and node.text and node.kind == "str":
        return node.text
    near = did_you_mean(key, {k.text for k, _ in root.entries}) if node is None else ""
    hint = near or ("one of " + ", ".join(KINDS[:5]) if key == "kind" else f"write {key}: {V2[0]}")
    report.problem(node or root, (key,), "is missing" if node is None else "must be a text", hint)
    return ""


def _check_single(root: Map, kind: str, report: Report, first: dict[str, int]) -> None:
    where = find_key(root, ("kind",))
    if kind in first:
        what = f"a second {kind} in one file; the first stands in line {first[kind]}"
        report.problem(where, ("kind",), what, "keep one, or give the other in a file of its own")
    first.setdefault(kind, where.line)


def _read_cluster(root: Map, report: Report, merged: _Merged) -> None:
    node = root.get("apiVersion")
    version = node.text if isinstance(node, Scalar) else ""
    if version in V1 or (version not in V2 and _looks_v1(root)):
        if version not in V1:
            _check_api_version(root, report)
        doc, below = read_cluster_v1(root, report)
        merged.below = below if merged.below is None else _merge_infra(merged.below, below)
        merged.cluster = doc if merged.cluster is None else _merge_cluster(merged.cluster, doc)
        return
    _check_api_version(root, report)
    doc = read_cluster(root, report, merged.places)
    merged.cluster = doc if merged.cluster is None else _merge_cluster(merged.cluster, doc)


def _looks_v1(root: Map) -> bool:
    spec = root.get("spec")
    return isinstance(spec, Map) and any(spec.get(key) is not None for key in ("masters", "nodes"))


def _check_api_version(root: Map, report: Report) -> None:
    version = _read_word(root, "apiVersion", report)
    if version and version not in V2:
        path: Path = ("apiVersion",)
        hint = did_you_mean(version, V2) or f"write {V2[0]}"
        report.problem(find(root, path), path, f"unknown apiVersion {version}", hint)


def _refuse_kind(root: Map, kind: str, report: Report) -> None:
    path: Path = ("kind",)
    what = f"the kubeadm document {kind}" if kind in KUBEADM else kind
    report.not_built(find_key(root, path), path, what, "remove the document for now")
    if kind == "Config":
        _check_config(root, report)


def _check_config(root: Map, report: Report) -> None:
    read(CONFIG, root, (), report)
    data, strategy = find(root, ("spec", "data")), find(root, ("spec", "strategy"))
    if not (isinstance(strategy, Scalar) and strategy.text == "merge" and isinstance(data, Scalar)):
        return
    documents, problems = parse_documents(report.file, data.text.encode("utf-8"))
    if problems or not all(isinstance(d.root, Map) for d in documents):
        report.problem(data, ("spec", "data"), "strategy merge needs a YAML mapping", "write key: value lines")


def _merge_cluster(old: ClusterDoc, new: ClusterDoc) -> ClusterDoc:
    return replace(
        old,
        name=new.name or old.name,
        image=new.image or old.image,
        env={**old.env, **new.env},
        cmd=new.cmd if "cmd" in new.said else old.cmd,
        data_root=new.data_root or old.data_root,
        role_env=old.role_env + new.role_env,
        annotations={**old.annotations, **new.annotations},
        ssh=new.ssh.over(old.ssh),
        machines=new.machines if "machines" in new.said else old.machines,
        said=old.said | new.said,
    )


def _merge_infra(old: InfraDoc, new: InfraDoc) -> InfraDoc:
    return replace(
        old,
        provider=new.provider or old.provider,
        pools=new.pools if "pools" in new.said else old.pools,
        machines=new.machines if "pools" in new.said else old.machines,
        region=new.region or old.region,
        zones=new.zones if "zones" in new.said else old.zones,
        os_image=new.os_image or old.os_image,
        ssh=new.ssh.over(old.ssh),
        ttl=new.ttl or old.ttl,
        network={**old.network, **new.network},
        endpoints={**old.endpoints, **new.endpoints},
        tags={**old.tags, **new.tags},
        protect=new.protect if "protect" in new.said else old.protect,
        said=old.said | new.said,
    )
