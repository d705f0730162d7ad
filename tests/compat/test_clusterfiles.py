"""Upstream's own Clusterfiles and our mutants of them: read, or refused at the right line; never anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import InvalidFileError, Problem
from provisioner.model.clusterfile import parse_clusterfile, read_clusterfile, validate_files
from provisioner.model.grammar import to_provider
from provisioner.model.request import Pool

CORPUS = Path(__file__).parent / "corpus"
NOT_BUILT = "is not built yet"
DERIVED = {"podCIDR": "PodCIDR", "svcCIDR": "SvcCIDR"}


def _expectations(name: str) -> list[dict[str, Any]]:
    lines = (CORPUS / name).read_text().splitlines()
    return [e for e in map(json.loads, lines) if not e["file"].startswith("kubefiles/")]


UPSTREAM = _expectations("expect.jsonl")
MUTANTS = _expectations("mutants/expect.jsonl")


def _problems(file: str) -> tuple[Problem, ...]:
    try:
        parse_clusterfile([(file, (CORPUS / file).read_bytes())])
    except InvalidFileError as error:
        return error.problems
    return ()


def _near(problem: Problem, expected: dict[str, Any]) -> bool:
    line, tolerance = int(expected["line"]), int(expected.get("line_tolerance", 0))
    return abs(problem.line - line) <= tolerance


@pytest.mark.parametrize("expected", [*UPSTREAM, *MUTANTS], ids=lambda e: e["file"])
def test_every_problem_has_a_place_and_words(expected: dict[str, Any]) -> None:
    lines = (CORPUS / expected["file"]).read_bytes().count(b"\n") + 1
    for problem in _problems(expected["file"]):
        assert problem.file == expected["file"]
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message


@pytest.mark.parametrize("expected", [e for e in UPSTREAM if e["expect"] == "accept"], ids=lambda e: e["file"])
def test_what_upstream_takes_is_at_most_not_built_yet(expected: dict[str, Any]) -> None:
    wrong = [p for p in _problems(expected["file"]) if NOT_BUILT not in p.message]
    assert wrong == []


@pytest.mark.parametrize("expected", [e for e in UPSTREAM if e["expect"] == "reject"], ids=lambda e: e["file"])
def test_what_upstream_refuses_is_refused_at_its_line(expected: dict[str, Any]) -> None:
    found = [p for p in _problems(expected["file"]) if NOT_BUILT not in p.message]
    assert any(_near(p, expected) for p in found), found


@pytest.mark.parametrize("expected", MUTANTS, ids=lambda e: e["file"])
def test_every_mutant_is_refused_for_its_defect(expected: dict[str, Any]) -> None:
    found = [p for p in _problems(expected["file"]) if NOT_BUILT not in p.message]
    assert any(_near(p, expected) for p in found), found
    if expected["yaml"]:
        assert any(p.key.startswith(expected["key"]) or expected["key"] == p.key for p in found), found


@pytest.mark.parametrize(
    "expected",
    [e for e in UPSTREAM if e["expect"] == "accept" and e["facts"].get("form") == "v2"],
    ids=lambda e: e["file"],
)
def test_a_v2_file_means_what_upstream_reads(expected: dict[str, Any]) -> None:
    facts = expected["facts"]
    reading = read_clusterfile([(expected["file"], (CORPUS / expected["file"]).read_bytes())])
    cluster = reading.clusterfile.cluster
    assert cluster is not None
    assert (cluster.name, cluster.image) == (facts["name"], facts["image"])
    assert cluster.cmd == (tuple(facts["cmd"]) if "cmd" in facts else None)
    for env in facts.get("env", {}).values():
        assert cluster.env.keys() <= env.keys()


def test_the_infra_document_of_upstreams_design_is_read() -> None:
    expected = next(e for e in UPSTREAM if "infra" in e["facts"])
    reading = read_clusterfile([(expected["file"], (CORPUS / expected["file"]).read_bytes())])
    infra, facts = reading.clusterfile.infra, expected["facts"]["infra"]
    assert infra is not None
    assert infra.provider == "alicloud"
    assert [
        {
            "role": list(pool.roles),
            "count": pool.count,
            "cpu": pool.cpu,
            "memory": pool.memory,
            "systemDisk": pool.system_disk,
            "dataDisk": list(pool.data_disks),
        }
        for pool in infra.pools
    ] == facts["groups"]


def test_two_clusters_in_one_file_are_refused_naming_both_lines() -> None:
    found = [p for p in _problems("clusterfiles/059-v2-everything-two-clusters.yaml") if "second Cluster" in p.message]
    assert [(p.line, "line 43" in p.message) for p in found] == [(153, True)]


def _size(pool: Pool) -> dict[str, object]:
    return {
        "count": pool.count,
        "cpu": pool.cpu,
        "memory": pool.memory,
        "systemDisk": pool.system_disk,
        "dataDisks": list(pool.data_disks),
    }


@pytest.mark.parametrize(
    "expected",
    [e for e in UPSTREAM if e["expect"] == "accept" and e["facts"].get("form") == "v1"],
    ids=lambda e: e["file"],
)
def test_a_v1_file_means_what_upstream_reads(expected: dict[str, Any]) -> None:
    facts = expected["facts"]
    reading = read_clusterfile([(expected["file"], (CORPUS / expected["file"]).read_bytes())])
    cluster, infra = reading.clusterfile.cluster, reading.clusterfile.infra
    assert cluster is not None
    assert infra is not None
    assert (cluster.name, cluster.image) == (facts["name"], facts["image"])
    assert infra.provider == (to_provider(facts["provider"]) if facts["provider"] else None)
    assert (infra.ssh.user or "root", infra.ssh.port or 22) == (facts["ssh"]["user"], facts["ssh"]["port"])
    pools = {pool.name: _size(pool) for pool in infra.pools}
    for group, role in (("masters", "master"), ("nodes", "node")):
        wanted = dict(facts[group])
        addresses = wanted.pop("ips", [])
        assert pools.get(role, {}) == wanted
        found = [machine.address for machine in infra.machines if machine.roles == (role,)]
        assert found == ([] if infra.provider == "alicloud" else addresses)  # a cloud's are where upstream's own stood
    assert {key: cluster.env.get(ours) for key, ours in DERIVED.items() if key in facts} == {
        key: facts[key] for key in DERIVED if key in facts
    }


BUILT = (
    "clusterfiles/011-v1-get-started-alicloud-no-ssh.yaml",
    "clusterfiles/013-v1-saved-state-alicloud-scaled.yaml",
    "clusterfiles/019-v1-rootfs-default-v0.3.yaml",
    "clusterfiles/029-v1-reference-alicloud-status-in-spec.yaml",
)


@pytest.mark.parametrize("file", BUILT)
def test_upstreams_cloud_files_run_unchanged(file: str) -> None:
    assert _problems(file) == ()


@pytest.mark.parametrize("file", [e["file"] for e in UPSTREAM])
def test_no_password_of_a_file_is_repeated(file: str) -> None:
    problems, warnings = validate_files([(file, (CORPUS / file).read_bytes())])
    assert "Seadent123" not in str((problems, warnings))
