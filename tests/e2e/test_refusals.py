"""Words, files and images that are refused: what and what to do, the documented exit code, nothing was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Product
from tests.e2e.refusing import HEAD, INFRA, NAME, UP, assert_nothing_made, refused
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


# ---- words, files, images: nothing stands yet ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, tiny_home: Path) -> Product:
    """A user who has images and no cluster."""
    extra = {"XDG_DATA_HOME": str(tiny_home / "data"), "SEALER_CLOUD_NAME": NAME}
    return Product(tmp_path_factory.mktemp("reader"), extra, cluster=NAME)


WORDS: list[tuple[int, tuple[str, ...], tuple[str, ...]]] = [
    (3, ("up",), ("no image",)),
    (3, ("up", "app:v1", "--provider", "local"), ("no terminal", "--yes")),
    (3, ("up", "app:v1", "--yes"), ("provider must be named", "--provider local")),
    (3, ("up", "app:v1", "--yes", "--provider", "aliclou"), ("'aliclou' is no provider", "did you mean alicloud?")),
    (3, ("up", "app:v1", "--yes", "--provider", "baremetal"), ("none is named", "--masters 10.1.2.3")),
    (3, ("up", "app:v1", "--yes", "--provider", "moon"), ("'moon' is no provider", "local")),
    (3, ("up", "APP:v1", "--yes", "--provider", "local"), ("'APP:v1'", "lower-case")),
    (3, ("up", "../x", "--yes", "--provider", "local"), ("'../x'",)),
    (3, ("up", "app@sha256:123", "--yes", "--provider", "local"), ("'sha256:123'",)),
    (4, ("up", "nosuch:v1", "--yes", "--provider", "local"), ("nosuch:v1 is not in the store", "image build")),
    (3, (*UP, "--nosuch"), ("--nosuch", "up --help")),
    (3, (*UP, "other:v1"), ("other:v1", "up --help")),
    (3, (*UP, "--masters", "0"), ("at least one master",)),
    (3, (*UP, "--masters", "-1"), ("'-1' is no count",)),
    (3, (*UP, "--masters", "10.0.0.1"), ("makes its own", "--provider baremetal")),
    (3, (*UP, "-e", "novalue"), ("'novalue'", "KEY=VALUE")),
    (3, (*UP, "-e", "SEALER_HOST=x"), ("SEALER_HOST", "another name")),
    (5, (*UP, "--env-secret", "NOPE"), ("NOPE", "set the variable")),
    (5, (*UP, "--env-secret", "K=${file:/nosuch}"), ("/nosuch", "create the file")),
    (3, (*UP, "--timeout", "3 bananas"), ("--timeout", "1h30m")),
    (3, (*UP, "-n", "Bad_Name"), ("'Bad_Name'", "lower-case")),
    (3, (*UP, "--data-root", "/etc"), ("'/etc'",)),
    (12, (*UP, "--expect-plan", "sha256:00"), ("sha256:00", "plan")),
    (3, (*UP, "--redo", "nonsense"), ("--redo nonsense", "cluster/cmd/1")),
    (3, (*UP, "--assume-done", "m1/start/start.sh"), ("--assume-done m1/start/start.sh", "cluster/cmd/1")),
    (12, ("plan", "app:v1", "--expect-plan", "sha256:00"), ("sha256:00",)),
    (3, ("status", "nosuch"), ("nosuch",)),
    (3, ("exec", "nosuch", "--", "true"), ("nosuch",)),
    (3, ("ssh", "nosuch", "m1"), ("nosuch",)),
    (3, ("down", "nosuch", "--yes", "--provider", "aliclou"), ("did you mean alicloud?",)),
    (4, ("image", "rm", "nosuch:v1"), ("nosuch:v1",)),
    (3, ("frobnicate",), ("frobnicate", "--help")),
]


@pytest.mark.parametrize(("code", "words", "said"), WORDS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_words(reader: Product, code: int, words: tuple[str, ...], said: tuple[str, ...]) -> None:
    extra = () if words[0] == "ssh" else ("-o", "json")
    at = words.index("--") if "--" in words else len(words)
    before = look(tiny.NOBODY)
    answer = reader.run(*words[:at], *extra, *words[at:])
    if extra:
        refused(answer, code, *said)
    else:
        assert answer.rc == code
        assert all(word in answer.err for word in said)
    assert_nothing_made(reader)
    tiny.nothing_left(tiny.NOBODY, before)


CLUSTERFILES: dict[str, tuple[int, str | bytes, tuple[str, ...]]] = {
    "unknown-key": (3, HEAD + "  imagee: x\n", ("Clusterfile:7:3", "imagee", "did you mean")),
    "no-yaml": (3, HEAD + "  env: [\n", ("Clusterfile:",)),
    "binary": (3, b"\x00\xff\xfe", ("Clusterfile:",)),
    "empty": (3, "", ("Clusterfile",)),
    "twice": (3, HEAD + "---\n" + HEAD, ("Cluster",)),
    "double-key": (3, HEAD + "  image: app:v2\n", ("Clusterfile:7", "image")),
    "v1": (3, HEAD.replace("v2", "v1") + "  ssh: {passwd: hunter2}\n  masters: {ipList: [10.0.0.1]}\n", ("passwd",)),
    "other-kind": (3, HEAD + "---\napiVersion: sealer.io/v2\nkind: Plugin\nmetadata: {name: x}\n", ("Plugin",)),
    "kubeadm": (3, HEAD + "---\napiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n", ("kubeadm",)),
    "cloud": (3, HEAD + INFRA.replace("local", "alicloud"), ("region", "ALIBABA_CLOUD_REGION_ID")),
    "spot": (3, HEAD + INFRA + "  hosts:\n    - {roles: [master], count: 1, spot: true}\n", ("spot",)),
    "addresses": (3, HEAD + "  hosts:\n    - {ips: [10.0.0.1], roles: [master]}\n", ("addresses", "baremetal")),
    "half-reference": (3, HEAD + "  env: ['A=x${env:B}y']\n", ("spec.env", "reference")),
    "gone-reference": (5, HEAD + "  env: ['A=${env:NO_SUCH_VALUE}']\n", ("A", "NO_SUCH_VALUE")),
    "several": (3, HEAD + "  a: 1\n  b: 2\n  env: 7\n", ("Clusterfile:7", "Clusterfile:8", "Clusterfile:9")),
    "bomb": (3, "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{'*' + chr(97 + i)}{(',*' + chr(97 + i)) * 7}]\n" for i in range(9)), ("Clusterfile",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CLUSTERFILES)
def test_clusterfile(reader: Product, case: str) -> None:
    code, text, said = CLUSTERFILES[case]
    file = reader.home / "Clusterfile"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    named = () if INFRA[:-6] in file.read_text(errors="replace") else ("--provider", "local")
    refused(reader.run("up", "-f", str(file), *named, "--yes", "-o", "json"), code, *said)
    assert_nothing_made(reader)


def test_a_clusterfile_that_is_not_there(reader: Product) -> None:
    refused(reader.run("up", "-f", "nosuch.yaml", "--provider", "local", "--yes", "-o", "json"), 3, "nosuch.yaml")
    (reader.home / "empty-folder").mkdir(exist_ok=True)
    refused(reader.run("up", "-f", "empty-folder", "--provider", "local", "--yes", "-o", "json"), 3, "empty-folder")


KUBEFILES: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "run": (3, "FROM scratch\nRUN true\n", ("Kubefile:2:1", "RUN", "init.sh")),
    "unknown": (3, "FROM scratch\nCOPYY . .\n", ("Kubefile:2:1", "COPYY", "COPY")),
    "no-from": (3, "COPY . .\n", ("Kubefile:1", "FROM")),
    "other-base": (3, "FROM debian:12\n", ("Kubefile:1", "debian:12")),
    "two-problems": (3, "FROM scratch\nRUN a\nADD b c\n", ("Kubefile:2", "Kubefile:3")),
    "no-source": (3, "FROM scratch\nCOPY nosuch .\n", ("Kubefile:2", "nosuch")),
    "outside": (3, "FROM scratch\nCOPY ../../etc/passwd .\n", ("Kubefile:2", "../../etc/passwd")),
    "bad-env": (3, "FROM scratch\nENV 1A=2\n", ("Kubefile:2", "1A")),
}


@pytest.mark.parametrize("case", KUBEFILES)
def test_kubefile(tmp_path: Path, case: str) -> None:
    code, text, said = KUBEFILES[case]
    user = Product(tmp_path)
    (tmp_path / "context").mkdir()
    (tmp_path / "Kubefile").write_text(text)
    refused(user.run("image", "build", "-t", "x:v1", "-f", "Kubefile", "context", "-o", "json"), code, *said)
    assert user.ok("image", "ls", "-o", "name").out == ""
    assert list((tmp_path / "data").rglob("blobs/sha256/*")) == []


def test_image_build_words(tmp_path: Path) -> None:
    user = Product(tmp_path)
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY Kubefile .\n")
    build = ("image", "build", "-o", "json", "-f", "Kubefile")
    refused(user.run(*build, "-t", "Bad:v1", "."), 3, "Bad:v1")
    refused(user.run(*build, "-t", "x:v1", "nosuch"), 3, "nosuch")
    refused(user.run("image", "build", "-o", "json", "-f", "Nofile", "-t", "x:v1", "."), 3, "Nofile")
    refused(user.run(*build, "."), 3, "--tag")
