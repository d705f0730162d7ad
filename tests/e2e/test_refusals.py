"""What is refused: the sentence names what and what to do, the exit code is the documented one, nothing was changed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from drivers.local.defaults import default_paths
from tests.e2e import tiny
from tests.e2e.product import PROGRAM, ROOT, Answer, Product
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]

SCHEMA = Draft202012Validator(json.loads((ROOT / "docs/schema/error.schema.json").read_text()))
UP = ("up", "app:v1", "--provider", "local", "--yes")
NAME = tiny.unique("refuse")


def refused(answer: Answer, code: int, *words: str) -> None:
    """The command ended with `code`, for a person and for a program, and said each of `words` and what to do."""
    assert "Traceback" not in answer.err, answer.err
    error = answer.json.get("error", {"code": 0, "message": "no error", "hint": ""})
    said = f"{error['message']}\n→ {error['hint']}"
    assert (answer.rc, error["code"]) == (code, code), said
    assert "a bug of ours" not in said, said
    SCHEMA.validate(answer.json)
    assert error["hint"] or error.get("problems"), f"no word of what to do: {said}"
    assert [word for word in words if word not in said] == [], said
    assert any(line.startswith("✘ ") for line in answer.err.splitlines()), answer.err


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


def assert_nothing_made(user: Product) -> None:
    """No file in the state folder, and no folder of a cluster: looking and refusing leave nothing."""
    left = [p for p in user.state.rglob("*") if p.is_file() or p.parent.name in {"clusters", "tmp"}]
    assert left == []


HEAD = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata:\n  name: app\nspec:\n  image: app:v1\n"
INFRA = "---\napiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: local\n"
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


# ---- what the operator's machine lacks -------------------------------------------------------------------------------


def behind(user: Product, *prefix: str) -> Callable[..., Answer]:
    """The product started by way of another program, such as one that takes rights away."""

    def run(*words: str) -> Answer:
        import subprocess

        done = subprocess.run(
            [*prefix, str(PROGRAM), *words], env=user.env, cwd=user.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def in_mounts(*lines: str) -> tuple[str, ...]:
    """A prefix that sees other mounts than the rest of the machine; they end with it."""
    script = "; ".join(("set -e", *lines, 'exec "$@"'))
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


@pytest.fixture
def newcomer(tmp_path: Path, tiny_home: Path) -> Iterator[Product]:
    """A user without a cluster; nothing may be there afterwards that was not before."""
    before = look(tiny.NOBODY)
    shutil.copytree(tiny_home / "data", tmp_path / "data")
    user = Product(tmp_path, {"SEALER_CLOUD_NAME": NAME}, cluster=NAME)
    yield user
    tiny.nothing_left(tiny.NOBODY, before)
    assert_nothing_made(user)


def test_missing_tool(newcomer: Product) -> None:
    hidden = [
        f"mount --bind /dev/null {os.path.realpath(p)}" for p in ("/usr/sbin/ip", "/usr/bin/ip") if Path(p).exists()
    ]
    run = behind(newcomer, *in_mounts(*dict.fromkeys(hidden)))
    refused(run(*UP, "-o", "json"), 12, "missing: ip", "iproute2")
    doctor = run("doctor")
    assert doctor.rc == 12
    assert "iproute2" in doctor.out + doctor.err


def test_no_root(newcomer: Product) -> None:
    for path in (newcomer.home, *newcomer.home.rglob("*")):
        os.chown(path, 65534, 65534)
    reads = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")  # our checkout may lie in /root
    run = behind(newcomer, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *reads)
    refused(run(*UP, "-o", "json"), 12, "not root", "sudo")


def test_root_without_rights(newcomer: Product) -> None:
    run = behind(newcomer, "setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
    refused(run(*UP, "-o", "json"), 12, "CAP_SYS_ADMIN", "privileged")


@pytest.mark.parametrize("room", ["4k", "64k", "200k", "8m"])
def test_no_space_for_the_state(newcomer: Product, room: str) -> None:
    newcomer.state.parent.mkdir()
    run = behind(newcomer, *in_mounts(f"mount -t tmpfs -o size={room} none {newcomer.state.parent}"))
    refused(run(*UP, "-o", "json"), 12, "space", str(newcomer.state))


def test_no_space_for_an_image(newcomer: Product) -> None:
    context = newcomer.home / "big"
    context.mkdir()
    (context / "file").write_bytes(os.urandom(4 << 20))
    (newcomer.home / "Kubefile").write_text("FROM scratch\nCOPY file file\n")
    small = newcomer.home / "small"
    small.mkdir()
    newcomer.extra["XDG_DATA_HOME"] = str(small)
    run = behind(newcomer, *in_mounts(f"mount -t tmpfs -o size=1m none {small}"))
    refused(run("image", "build", "-t", "big:v1", "-f", "Kubefile", "big", "-o", "json"), 12, "space", str(small))


def test_no_space_for_hosts(newcomer: Product) -> None:
    lines = ("mount -t tmpfs -o size=20m none /var/lib", "mkdir -m 700 /var/lib/sealer-cloud")
    run = behind(newcomer, *in_mounts(*lines))
    refused(run(*UP, "-o", "json"), 12, "GiB free", "free at least 1 GiB")


def keep_sshd(user: Product) -> None:
    """The unpacked sshd, where there is one, lies in the cache too, and it is not what these tests take away."""
    own = default_paths().sshd
    if own.exists():
        (user.home / "cache/sealer-cloud").mkdir(parents=True)
        (user.home / "cache/sealer-cloud" / own.name).symlink_to(own)


def test_missing_engine(newcomer: Product) -> None:
    newcomer.extra["XDG_CACHE_HOME"] = str(newcomer.home / "cache")
    paths = [p for p in os.environ["PATH"].split(":") if not (Path(p) / "pulumi").exists()]
    newcomer.extra["PATH"] = ":".join(paths)
    keep_sshd(newcomer)
    began = time.monotonic()
    refused(newcomer.run(*UP, "-o", "json"), 12, "no Pulumi engine", "sealer-cloud engine install")
    assert time.monotonic() - began < 5 + 3 * os.getloadavg()[0], "within five seconds on a quiet machine"


def test_an_engine_that_is_none(newcomer: Product) -> None:
    fake = newcomer.home / "bin"
    fake.mkdir()
    (fake / "pulumi").write_text("#!/bin/sh\necho v1.0.0\n")
    (fake / "pulumi").chmod(0o755)
    newcomer.extra |= {"XDG_CACHE_HOME": str(newcomer.home / "cache"), "PATH": f"{fake}:/usr/sbin:/usr/bin:/sbin:/bin"}
    keep_sshd(newcomer)
    refused(newcomer.run(*UP, "-o", "json"), 12, "v1.0.0", "sealer-cloud engine install")


def test_a_label_that_cannot_be_read(newcomer: Product) -> None:
    tiny.build(newcomer, "odd:v1", tiny.BASIC, 'LABEL sealer-cloud.requires="cpu=many"')
    refused(newcomer.run("up", "odd:v1", "--provider", "local", "--yes", "-o", "json"), 4, "'cpu=many'", "cpu=2")


def test_a_template_that_cannot_be_filled(newcomer: Product) -> None:
    tiny.build(newcomer, "odd:v1", {**tiny.BASIC, "etc/a.conf.tmpl": "a\nb {{ .NOPE }}\n"})
    answer = newcomer.run("up", "odd:v1", "--provider", "local", "--yes", "-o", "json")
    refused(answer, 3, "etc/a.conf.tmpl:2", "NOPE")


def test_a_state_folder_that_is_none(newcomer: Product) -> None:
    (newcomer.home / "file").write_text("")
    newcomer.extra["XDG_STATE_HOME"] = str(newcomer.home / "file")
    refused(newcomer.run(*UP, "-o", "json"), 12, str(newcomer.home / "file"), "folder")
    newcomer.extra["XDG_STATE_HOME"] = "relative"
    refused(newcomer.run(*UP, "-o", "json"), 3, "XDG_STATE_HOME", "absolute")


def test_a_working_folder_that_is_gone(newcomer: Product) -> None:
    gone = newcomer.home / "gone"
    gone.mkdir()
    run = behind(newcomer, "sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "sh")
    refused(run(*UP, "-o", "json"), 3, "folder", "gone")


def test_an_answer_that_cannot_be_written(newcomer: Product) -> None:
    run = behind(newcomer, "sh", "-c", 'exec "$@" >/dev/full', "sh")
    answer = run("image", "ls", "-o", "json")
    assert answer.rc == 12
    assert "the disk is full" in answer.err
    run = behind(newcomer, "sh", "-c", 'exec "$@" <&- >&-', "sh")
    assert run("image", "ls").rc == 0
    assert run("version").rc == 0


# ---- damage to the image store ---------------------------------------------------------------------------------------


def blobs_by_size(user: Product) -> list[Path]:
    return sorted((user.home / "data").rglob("blobs/sha256/*"), key=lambda p: p.stat().st_size)


def test_a_corrupt_blob(newcomer: Product) -> None:
    detail = newcomer.ok("image", "inspect", "app:v1", "-o", "json").json
    for kind, digest in (("layer", detail["layers"][0]["digest"]), ("manifest", detail["digest"])):
        blob = next(p for p in blobs_by_size(newcomer) if p.name == digest.removeprefix("sha256:"))
        raw = blob.read_bytes()
        for harm in (raw[:-1] + bytes([raw[-1] ^ 1]), raw[: len(raw) // 2], b""):
            blob.chmod(0o600)
            blob.write_bytes(harm)
            refused(newcomer.run(*UP, "-o", "json"), 4, digest[:19])
        blob.unlink()
        refused(newcomer.run(*UP, "-o", "json"), 4, digest[:19])
        blob.write_bytes(raw)
        assert newcomer.run("image", "inspect", "app:v1").rc == 0, kind


def test_a_corrupt_index(newcomer: Product) -> None:
    index = next((newcomer.home / "data").rglob("index.json"))
    for harm in (b"{", b"", b"[]", b"\xff" * 30):
        index.write_bytes(harm)
        refused(newcomer.run(*UP, "-o", "json"), 4, str(index))


# ---- with a cluster that stands --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, tiny_home: Path) -> Iterator[Product]:
    """A user with one cluster `app` of one host."""
    with tiny.visit(tmp_path_factory.mktemp("standing"), tiny_home / "data", NAME) as user:
        user.ok(*UP)
        yield user
        assert user.ok("status", NAME, "-o", "json").json["phase"] == "ready"


@contextmanager
def replaced(path: Path, data: bytes | None) -> Iterator[None]:
    """The file holds other bytes (None: it is gone) for a while."""
    raw, stat = path.read_bytes(), path.stat()
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(raw)
        path.chmod(stat.st_mode & 0o7777)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@contextmanager
def unchanged(user: Product) -> Iterator[None]:
    """Nothing is written, on the operator or on hosts."""
    before = tiny.everything(user)
    yield
    assert tiny.everything(user) == before


def checkpoint(user: Product) -> Path:
    return user.state / "backend/.pulumi/stacks/sealer-cloud" / f"{NAME}.json"


CHANGE = ("-e", "COLOUR=blue")


@pytest.mark.parametrize("harm", ["half", "empty", "noise", "array", "changed"])
def test_a_damaged_state(standing: Product, harm: str) -> None:
    path = checkpoint(standing)
    raw = path.read_bytes()
    data = {"half": raw[: len(raw) // 2], "empty": b"", "noise": os.urandom(200), "array": b"[]",
            "changed": raw.replace(b'"slot"', b'"slut"', 1)}[harm]  # fmt: skip
    with replaced(path, data), unchanged(standing):
        for words in ((*UP, *CHANGE), ("plan", "app:v1"), ("status", NAME), ("exec", NAME, "--", "true")):
            at = words.index("--") if "--" in words else len(words)
            answer = standing.run(*words[:at], "-o", "json", *words[at:])
            refused(answer, 12, str(path), "backup")
        refused(standing.run("down", NAME, "--yes", "-o", "json"), 12, str(path), f"down {NAME} --provider local")


def test_the_backup_that_is_named_can_be_put_back(standing: Product) -> None:
    path = checkpoint(standing)
    with replaced(path, b"{"):
        hint = standing.run("plan", "app:v1", "-o", "json").json["error"]["hint"]
        source = hint.split("cp ", 1)[1].split(" ", 1)[0]
        assert json.loads(Path(source).read_bytes())


def newer_state(user: Product, change: Callable[[dict], None]) -> tuple[bytes, bytes]:
    """The checkpoint as a newer product would have written it, and its checksum file."""
    document = json.loads(checkpoint(user).read_bytes())
    change(document)
    raw = json.dumps(document).encode()
    md5 = base64.b64encode(hashlib.md5(raw).digest()).decode()
    attrs = json.loads(checkpoint(user).with_name(f"{NAME}.json.attrs").read_bytes())
    return raw, json.dumps({**attrs, "md5": md5}).encode()


def newer_intent(document: dict) -> None:
    intent = next(r for r in document["checkpoint"]["latest"]["resources"] if r["type"] == "sealer:index:Intent")
    for side in ("inputs", "outputs"):
        intent[side]["request"]["schemaVersion"] = 2


def newer_engine(document: dict) -> None:
    document["version"] = 99


@pytest.mark.parametrize("change", [newer_intent, newer_engine])
def test_a_newer_state(standing: Product, change: Callable[[dict], None]) -> None:
    raw, attrs = newer_state(standing, change)
    path = checkpoint(standing)
    with replaced(path.with_name(f"{NAME}.json.attrs"), attrs), replaced(path, raw), unchanged(standing):
        for words in ((*UP, *CHANGE), ("plan", "app:v1"), ("status", NAME), ("down", NAME, "--yes")):
            refused(standing.run(*words, "-o", "json"), 12, "newer")


def ledger(user: Product) -> Path:
    return tiny.on_disk(user, "m1", f"/var/lib/sealer-cloud/{user.cid}/ledger.jsonl")


def with_line(raw: bytes, **fields: object) -> bytes:
    last = raw.splitlines()[-1]
    entry = json.loads(last) | {"seq": raw.count(b"\n") + 1, "prev": hashlib.sha256(last).hexdigest(), **fields}
    return raw + json.dumps(entry, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda raw: with_line(raw, v=2), "newer"),
        (lambda raw: with_line(raw, kind="teleport"), "newer"),
        (lambda raw: with_line(raw, later=1), "ledger"),
        (lambda raw: raw.replace(b'"rc":0', b'"rc":1', 1), "broken"),
        (lambda raw: raw.split(b"\n", 1)[1], "broken"),
        (lambda raw: b"{}\n" + raw, "ledger"),
        (lambda raw: b"\xff\xfe\n" + raw, "ledger"),
    ],
    ids=["version", "kind", "field", "edited", "cut-in-front", "no-entry", "noise"],
)
def test_a_ledger_that_is_newer_or_broken(standing: Product, harm: Callable[[bytes], bytes], said: str) -> None:
    path = ledger(standing)
    with replaced(path, harm(path.read_bytes())), unchanged(standing):
        refused(standing.run(*UP, *CHANGE, "-o", "json"), 12, "m1", said)
        refused(standing.run("plan", "app:v1", "-o", "json"), 12, "m1", said)


def test_a_wrong_passphrase(standing: Product) -> None:
    with replaced(standing.state / "passphrase", b"another"), unchanged(standing):
        refused(standing.run(*UP, *CHANGE, "-o", "json"), 5, "passphrase")
        refused(standing.run("down", NAME, "--yes", "-o", "json"), 5, "passphrase")


def test_a_passphrase_that_is_gone(standing: Product) -> None:
    with replaced(standing.state / "passphrase", None):
        before = tiny.everything(standing)
        refused(standing.run(*UP, *CHANGE, "-o", "json"), 5, str(standing.state / "passphrase"), "restore")
        assert tiny.everything(standing) == before


def test_a_host_that_holds_another_cluster(standing: Product) -> None:
    stranger = ledger(standing).parent.parent / "other-abcdef"
    stranger.mkdir()
    (stranger / "ledger.jsonl").write_bytes(b"")
    try:
        before = tiny.everything(standing)[1]
        refused(standing.run(*UP, *CHANGE, "-o", "json"), 3, "m1", "other-abcdef")
        assert tiny.everything(standing)[1] == before
    finally:
        shutil.rmtree(stranger)


def test_a_host_with_this_name_but_not_our_state(standing: Product) -> None:
    folder = ledger(standing).parent
    hidden = folder.parent.parent.parent / "hidden"
    folder.rename(hidden)
    try:
        before = tiny.everything(standing)[1]
        refused(standing.run(*UP, "-o", "json"), 3, "m1", "not ours")
        assert tiny.everything(standing)[1] == before
    finally:
        hidden.rename(folder)


def test_a_name_that_is_bound(standing: Product) -> None:
    with unchanged(standing):
        words = ("up", "other:v1", "--provider", "local", "--yes", "-o", "json")
        refused(standing.run(*words), 3, f"{NAME} runs app, not other", "--name")
        refused(standing.run(*UP, "--data-root", "/var/lib/sealer/else", "-o", "json"), 3, "/var/lib/sealer/data")


def test_a_cluster_whose_state_is_elsewhere(standing: Product, tmp_path: Path) -> None:
    other = Product(tmp_path, standing.extra, cluster=NAME)
    before = tiny.everything(standing)
    refused(other.run(*UP, "-o", "json"), 3, standing.cid, f"down {NAME} --provider local")
    assert_nothing_made(other)
    assert tiny.everything(standing) == before


def test_ssh_from_a_folder_with_an_odd_name(tmp_path: Path, tiny_home: Path) -> None:
    home = tmp_path / 'with "spaces" ü 100%h'
    with tiny.visit(home, tiny_home / "data", tiny.unique("odd")) as user:
        user.ok(*UP)
        assert user.ok("ssh", user.cluster, "m1", "--", "hostname").out.strip() == "m1"
        no_ssh = Product(home, {**user.extra, "PATH": "/nosuch"}, cluster=user.cluster).run("ssh", user.cluster, "m1")
        assert no_ssh.rc == 12
        assert "openssh-client" in no_ssh.err
        assert user.run("ssh", user.cluster, "m9").rc == 3
        path = user.state / "backend/.pulumi/stacks/sealer-cloud" / f"{user.cluster}.json"
        path.write_bytes(path.read_bytes()[:-100])
        assert "gone" in user.ok("down", user.cluster, "--provider", "local", "--yes").out
        assert user.ok("list", "-o", "name").out == ""


def test_words_that_a_standing_cluster_refuses(standing: Product) -> None:
    with unchanged(standing):
        refused(standing.run(*UP, *CHANGE, "--expect-plan", "sha256:00", "-o", "json"), 12, "sha256:00")
        refused(standing.run(*UP, *CHANGE, "--redo", "m9/start/start.sh", "-o", "json"), 3, "m9/start/start.sh")
        refused(standing.run("up", "app:v1", *CHANGE, "--provider", "local", "-o", "json"), 3, "no terminal", "--yes")
        refused(standing.run("down", NAME, "-o", "json"), 3, "no terminal", "--yes")
        refused(standing.run("exec", NAME, "--host", "m9", "-o", "json", "--", "true"), 3, "m9", "m1")
        refused(standing.run("exec", NAME, "--role", "cook", "-o", "json", "--", "true"), 3, "cook", "master")
        refused(standing.run("exec", NAME, "-o", "json"), 3, "no command")
        refused(standing.run("image", "rm", "app:v1", "-o", "json"), 3, NAME, "--force")


def test_a_protected_cluster(standing: Product) -> None:
    file = standing.home / "protect.yaml"
    words = ("up", "-f", str(file), "--yes")
    file.write_text(HEAD + INFRA + "  protect: true\n")
    standing.ok(*words)
    with unchanged(standing):
        refused(standing.run("down", NAME, "--yes", "-o", "json"), 3, f"{NAME} is protected", "protect: false")
    file.write_text(HEAD + INFRA + "  protect: false\n")
    standing.ok(*words)


def test_hosts_that_lack_what_the_image_asks_for(tmp_path: Path, tiny_home: Path) -> None:
    with tiny.visit(tmp_path, tiny_home / "data", tiny.unique("greedy")) as user:
        answer = user.run("up", "greedy:v1", "--provider", "local", "--yes", "-o", "json")
        lacks = ("cpu:", "memory:", "disk:", "ports in use: 22", "nosuchtool", "arch: amd64, wanted arm64")
        refused(answer, 12, "m1", *lacks, "no host was changed")
        assert not ledger(user).parent.exists(), "nothing of ours lies on the host"
        assert not tiny.data(user, "m1", "").exists()
        (user.state / "passphrase").write_text("another")
        (user.state / "clusters" / user.cluster / "keys.json").unlink()
        way_out = f"down {user.cluster} --provider local"
        refused(user.run("down", user.cluster, "--yes", "-o", "json"), 5, "passphrase", way_out)
        assert "gone" in user.ok(*way_out.split(), "--yes").out
        assert user.ok("list", "-o", "name").out == ""
