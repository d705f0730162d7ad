"""What is refused where a cluster stands: it stays as it was, state, hosts and all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Product
from tests.e2e.refusing import HEAD, INFRA, NAME, UP, assert_nothing_made, ledger, refused

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


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
