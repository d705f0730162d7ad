"""Clusterfiles: what is read, what is refused by name and where, what later files change."""

from __future__ import annotations

import subprocess
import sys

import pytest

from provisioner.errors import InvalidFileError, Problem
from provisioner.model.clusterfile import parse_clusterfile, read_clusterfile, validate_files
from provisioner.model.request import ClusterDoc, Clusterfile, InfraDoc, Pool

HEAD = "apiVersion: sealer.io/v2\nkind: {kind}\nmetadata: {{name: etcd}}\nspec:\n"
CLUSTER = HEAD.format(kind="Cluster")
INFRA = HEAD.format(kind="Infra")
MASTER = "  hosts: [{roles: [master], count: 3}]\n"


def _parse(*texts: str) -> Clusterfile:
    return parse_clusterfile([(f"f{i}", text.encode()) for i, text in enumerate(texts)])


def _cluster(*texts: str) -> ClusterDoc:
    found = _parse(*(CLUSTER + text for text in texts)).cluster
    assert found is not None
    return found


def _infra(*texts: str) -> InfraDoc:
    found = _parse(*(INFRA + text for text in texts)).infra
    assert found is not None
    return found


def _problems(text: str) -> list[Problem]:
    return validate_files([("f", text.encode())])[0]


def _warnings(text: str) -> list[Problem]:
    problems, warnings = validate_files([("f", text.encode())])
    assert problems == []
    return warnings


FULL = """\
apiVersion: sealer.io/v2
kind: Cluster
metadata:
  name: etcd
  annotations: {sealer-cloud.cmd.1: "repeat=once idempotent=true env=A,B", other.example/x: y}
spec:
  image: etcd:v1
  env: [A=1, "B=two words", A=2, "TOKEN=${env:TOKEN}", Empty=, Q="v", D=a;b]
  cmd: [etcdctl member list, echo done]
  dataRoot: /data/sealer
  hosts:
  - {roles: [node], env: [A=3]}
---
apiVersion: sealer.cloud/v2
kind: Infra
spec:
  provider: CONTAINER
  network: {cidr: 10.9.0.0/24}
  tags: {team: ci}
  protect: true
  hosts:
  - {roles: [master], count: "3", cpu: 4, memory: 8, systemDisk: 40, dataDisks: [100, "200"]}
  - {name: workers, role: [node, gpu], count: 2, dataDisk: [10], env: {A: "4"}}
"""


def test_every_field_is_read() -> None:
    assert _parse(FULL) == Clusterfile(
        ClusterDoc(
            name="etcd",
            image="etcd:v1",
            env={"A": "2", "B": "two words", "TOKEN": "${env:TOKEN}", "Empty": "", "Q": '"v"', "D": "a;b"},
            cmd=("etcdctl member list", "echo done"),
            data_root="/data/sealer",
            role_env=((("node",), {"A": "3"}),),
            annotations={"sealer-cloud.cmd.1": "repeat=once idempotent=true env=A,B"},
            said=frozenset({"image", "env", "cmd", "data_root", "role_env", "annotations"}),
        ),
        InfraDoc(
            provider="local",
            pools=(
                Pool("master", ("master",), 3, 4, 8, 40, (100, 200)),
                Pool("workers", ("node", "gpu"), 2, data_disks=(10,), env={"A": "4"}),
            ),
            network={"cidr": "10.9.0.0/24"},
            tags={"team": "ci"},
            protect=True,
            said=frozenset({"pools", "network", "tags", "protect"}),
        ),
    )


def test_no_file_says_nothing() -> None:
    assert _parse() == Clusterfile()
    assert _parse("# nothing\n") == Clusterfile()
    assert [w.message for w in _warnings("# nothing\n")] == ["the file holds no document"]


def test_numbers_in_text_fields_stay_as_written() -> None:
    assert _cluster("  cmd: [000000, 0x10, 123e4]\n").cmd == ("000000", "0x10", "123e4")


def test_later_files_win_field_by_field() -> None:
    both = _cluster("  image: a:1\n  env: [A=1, B=1]\n  cmd: [x]\n", "  env: [B=2]\n  dataRoot: /data/x\n")
    assert (both.image, both.env, both.cmd, both.data_root) == ("a:1", {"A": "1", "B": "2"}, ("x",), "/data/x")
    infra = _infra(MASTER + "  protect: true\n  tags: {a: b}\n", "  protect: false\n  tags: {c: d}\n")
    assert (infra.protect, infra.tags, infra.pools[0].count) == (False, {"a": "b", "c": "d"}, 3)
    assert _infra(MASTER, "  hosts: [{roles: [master], count: 1}]\n").pools == (Pool("master", ("master",), 1),)


def test_the_error_carries_all_problems_of_all_files_in_order() -> None:
    with pytest.raises(InvalidFileError) as caught:
        _parse(CLUSTER + "  imag: x\n  env: 3\n", INFRA + "  hosts: []\n  zoness: [a]\n")
    found = [(p.file, p.line, p.column, p.key) for p in caught.value.problems]
    assert found == [("f0", 5, 3, "spec.imag"), ("f0", 6, 8, "spec.env"), ("f1", 6, 3, "spec.zoness")]
    assert caught.value.exit_code == 3
    assert "did you mean image?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("  Image: x\n", 5, "spec.Image", "did you mean image?"),
        ("  image: {your image}\n", 5, "spec.image", "without braces"),
        ("  image: Etcd:v1\n", 5, "spec.image", "not allowed"),
        ("  image: a:1:2\n", 5, "spec.image", "tag"),
        ("  image: yes\n", 5, "spec.image", "in quotes"),
        ("  image: -rf\n", 5, "spec.image", "no image reference"),
        ("  masters: {count: 1}\n", 5, "spec.masters", "Infra"),
        ("  certSANS: [a]\n", 5, "spec.certSANS", "CertSANs"),
        ("  env: {A: b}\n", 5, "spec.env", "KEY=VALUE"),
        ("  env: [A]\n", 5, "spec.env[0]", "no '='"),
        ("  env: [1A=b]\n", 5, "spec.env[0]", "digit"),
        ("  env: [SEALER_HOST=b]\n", 5, "spec.env[0]", "itself"),
        ("  env: [HostIP=b]\n", 5, "spec.env[0]", "itself"),
        ("  env: [RegistryURL=b]\n", 5, "spec.env[0]", "itself"),
        ("  env: ['A=x${env:B}']\n", 5, "spec.env[0]", "whole value"),
        ("  env: [[a]]\n", 5, "spec.env[0]", "must be a text"),
        ("  cmd: x\n", 5, "spec.cmd", "[x]"),
        ("  cmd: [null]\n", 5, "spec.cmd[0]", "empty"),
        ("  cmd:\n    -x\n", 6, "spec.cmd", "space after each dash"),
        ("  dataRoot: /\n", 5, "spec.dataRoot", "system"),
        ("  dataRoot: /etc\n", 5, "spec.dataRoot", "system"),
        ("  dataRoot: data\n", 5, "spec.dataRoot", "absolute"),
        ("  dataRoot: /a/../b\n", 5, "spec.dataRoot", ".."),
        ('  dataRoot: "/a\\nb"\n', 5, "spec.dataRoot", "control"),
        ("  dataRoot: /var/lib/sealer-cloud/x\n", 5, "spec.dataRoot", "own"),
        ("  hosts: {a: b}\n", 5, "spec.hosts", "must be a list"),
        ("  hosts: [{roles: [master]}]\n", 5, "spec.hosts[0]", "no env"),
        ("  hosts: [{env: [A=b]}]\n", 5, "spec.hosts[0]", "no roles"),
        ("  hosts: [{roles: [Master], env: [A=b]}]\n", 5, "spec.hosts[0].roles[0]", "lower-case"),
        ("  hosts: [{roles: [a, a], env: [A=b]}]\n", 5, "spec.hosts[0].roles[1]", "twice"),
        ("  hosts: [{roles: [a], count: 3, env: [A=b]}]\n", 5, "spec.hosts[0].count", "Infra"),
    ],
)
def test_what_is_wrong_in_a_cluster_is_named(text: str, line: int, key: str, words: str) -> None:
    (problem, *_) = _problems(CLUSTER + text)
    assert (problem.line, problem.key) == (line, key)
    assert words in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("  provider: aliclou\n", 5, "spec.provider", "alicloud"),
        ("  network: {cidr: 10.0.0.0/8}\n", 5, "spec.network.cidr", "/16"),
        ("  network: {cidr: 10.0.0.1/24}\n", 5, "spec.network.cidr", "host bits"),
        ("  network: {cidr: 10.0.0.0}\n", 5, "spec.network.cidr", "/16"),
        ("  network: {cidr: 'fd00::/64'}\n", 5, "spec.network.cidr", "IPv4"),
        ("  protect: yes\n", 5, "spec.protect", "true or false"),
        ("  tags: {sealer-cloud-x: y}\n", 5, "spec.tags.sealer-cloud-x", "ours"),
        ("  tags: {a: true}\n", 5, "spec.tags.a", "quotes"),
        ("  hosts: [{roles: [node], count: 2}]\n", 5, "spec.hosts", "master"),
        ("  hosts: [{roles: [master], count: 0}]\n", 5, "spec.hosts", "master"),
        ("  hosts: [{roles: [master], count: -1}]\n", 5, "spec.hosts[0].count", "between 0"),
        ("  hosts: [{roles: [master], count: 022}]\n", 5, "spec.hosts[0].count", "octal"),
        ("  hosts: [{roles: [master], count: 2000000000}]\n", 5, "spec.hosts[0].count", "1000"),
        ("  hosts: [{roles: [master], memory: 0.5}]\n", 5, "spec.hosts[0].memory", "whole"),
        ("  hosts: [{roles: [master], cpu: 0}]\n", 5, "spec.hosts[0].cpu", "between 1"),
        ("  hosts: [{roles: master}]\n", 5, "spec.hosts[0].roles", "[master]"),
        ("  hosts: [{roles: [master], role: [node]}]\n", 5, "spec.hosts[0].role", "another spelling"),
        ("  hosts:\n  - {roles: [master]}\n  - {roles: [master]}\n", 7, "spec.hosts[1].name", "line 6"),
        ("  hosts: [{roles: [master]}, {name: node, roles: [db]}]\n", 5, "spec.hosts[1].name", "first role"),
    ],
)
def test_what_is_wrong_in_an_infra_is_named(text: str, line: int, key: str, words: str) -> None:
    (problem, *_) = _problems(INFRA + text)
    assert (problem.line, problem.key) == (line, key)
    assert words in f"{problem.message} {problem.hint}"


_CLUSTER_LATER = (
    "cmd_args: [a=b]",
    "appNames: [a]",
    "containerRuntime: {type: docker}",
    "hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]",
    "registry: {localRegistry: {ha: true}}",
    *(f"hosts: [{{roles: [a], env: [A=b], {k}}}]" for k in ("ssh: {user: a}", "labels: {a: b}", "taints: [a]")),
)
_INFRA_LATER = (
    "ssh: {passwordFile: /x}",
    "ssh: {sudo: {mode: auto, passwordFile: /x}}",
    "hosts: [{roles: [master], address: 10.0.0.1, hostKeys: ['%s'], ssh: {passwordFile: /x}}]" % ("SHA256:" + "a" * 43),
)


@pytest.mark.parametrize(
    "text", [*(CLUSTER + f"  {t}\n" for t in _CLUSTER_LATER), *(INFRA + f"  {t}\n" for t in _INFRA_LATER)]
)
def test_what_is_not_built_is_refused_by_name_and_line(text: str) -> None:
    (problem,) = _problems(text)
    assert problem.line == 5
    assert problem.message == "is not built yet"
    assert problem.key.rsplit(".", 1)[-1] in text


@pytest.mark.parametrize(
    "text",
    [
        *(CLUSTER + f"  {t}\n" for t in ("ssh: {}", "appNames: []", "registry:", "status: {}")),
        *(INFRA + f"  {t}\n" for t in ("zones: []", "ttl: null", "network: {subnets: []}")),
        INFRA + "  hosts: [{roles: [master], spot: false, instanceType: null, taints: []}]\n",
    ],
)
def test_what_asks_for_nothing_is_let_pass(text: str) -> None:
    assert _problems(text) == []


@pytest.mark.parametrize("version", ["sealer.io/v1", "sealer.aliyun.com/v1alpha1", "zlink.aliyun.com/v1alpha1"])
def test_a_v1_cluster_shows_all_its_own_problems(version: str) -> None:
    found = _problems(f"apiVersion: {version}\nkind: Cluster\nspec:\n  masters: {{count: -1}}\n  nodez: 1\n")
    assert [(p.line, p.key) for p in found] == [(4, "spec.masters.count"), (5, "spec.nodez")]


@pytest.mark.parametrize("kind", ["Config", "Plugin", "Application", "InitConfiguration", "KubeadmConfig"])
def test_kinds_to_come_are_refused_by_name(kind: str) -> None:
    found = _problems(f"kind: {kind}\nspec: {{path: etc/a, data: x}}\n")
    assert [(p.line, p.key) for p in found] == [(1, "kind")]
    assert f"{kind} is not built yet" in found[0].message


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("kind: Clutser\n", 1, "kind", "did you mean Cluster?"),
        ("Kind: Cluster\n", 1, "kind", "did you mean Kind?"),
        ("apiVersion: sealer.io/v2\nspec: {}\n", 1, "kind", "Cluster"),
        ("kind: [a]\n", 1, "kind", "text"),
        ("kind: Cluster\nspec: {}\n", 1, "apiVersion", "sealer.io/v2"),
        ("apiVersion: sealer.io/v3\nkind: Infra\n", 1, "apiVersion", "did you mean sealer.io/v2?"),
        ("just words\n", 1, "", "mapping"),
        ("- a\n", 1, "", "mapping"),
        (CLUSTER + "---\n" + CLUSTER, 7, "kind", "line 2"),
        (CLUSTER.replace("etcd", "Etcd_1"), 3, "metadata.name", "lower-case"),
        (CLUSTER.replace("{name: etcd}", "{annotations: {sealer-cloud.cmd.0: a}}"), 3, "", "cmd.N"),
        (CLUSTER.replace("{name: etcd}", "{annotations: {sealer-cloud.cmd.1: repeat=twice}}"), 3, "", "repeat=once"),
        (CLUSTER + "  hosts: [{roles: [db], env: [A=b]}]\n---\n" + INFRA + MASTER, 5, "spec.hosts[0].roles", "no pool"),
        ("kind: Config\nspec: {path: ../x, data: y}\n", 2, "spec.path", "rootfs"),
        ("kind: Config\nspec: {path: a}\n", 2, "spec", "data is missing"),
        ("kind: Config\nspec: {path: a, data: 'a: b', strategy: mrege}\n", 2, "spec.strategy", "merge"),
    ],
)
def test_what_is_wrong_around_the_spec_is_named(text: str, line: int, key: str, words: str) -> None:
    found = [p for p in _problems(text) if "not built" not in p.message]
    assert [p.line for p in found] == [line]
    assert found[0].key.startswith(key)
    assert words in f"{found[0].message} {found[0].hint}"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (INFRA + "  hosts: [{roles: [master], count: 2}]\n", 5, "odd"),
        (INFRA + "  hosts: [{roles: [master]}, {count: 2}]\n", 5, "nodes"),
        (CLUSTER.replace("{name: etcd}", "{annotation: {a: b}}"), 3, "not read"),
    ],
)
def test_what_only_deserves_a_look_is_a_warning(text: str, line: int, words: str) -> None:
    (warning,) = _warnings(text)
    assert warning.line == line
    assert words in f"{warning.message} {warning.hint}"


def test_no_file_makes_more_than_200_problems() -> None:
    text = CLUSTER + "".join(f"  key{i}: x\n" for i in range(3000))
    assert len(_problems(text)) == 200


def test_a_reading_gives_the_value_beside_its_problems() -> None:
    reading = read_clusterfile([("f", (CLUSTER + "  image: a:1\n  nope: x\n").encode())])
    assert reading.clusterfile.cluster is not None
    assert (reading.clusterfile.cluster.image, len(reading.problems)) == ("a:1", 1)


def test_validating_starts_without_heavy_imports() -> None:
    code = "import sys, provisioner.model.clusterfile; print({'pydantic', 'asyncio', 'pulumi', 'typer'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
