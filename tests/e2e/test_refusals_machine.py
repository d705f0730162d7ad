"""What the operator's machine lacks and what harms the image store: the sentence names it and the way out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.local.defaults import default_paths
from tests.e2e import tiny
from tests.e2e.product import Product
from tests.e2e.refusing import NAME, UP, assert_nothing_made, behind, in_mounts, refused
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


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


WATCH = """\
import os, sys

def note(event, args):
    if event in {"subprocess.Popen", "socket.connect", "socket.getaddrinfo"}:
        words = args[1] if event == "subprocess.Popen" else [event, *map(str, args[1:])]
        with open(os.environ["ATTEMPTS"], "a") as log:
            print(*words, file=log)

sys.addaudithook(note)
"""
READS_ROUTES = "ip -j -4 route show table all"
"""All that a run starts before it wants its engine: what networks this machine has."""


def watched(user: Product) -> Path:
    """Where every program that its commands start, and every address that they look up or connect to, is one line."""
    hook, log = user.home / "hook", user.home / "attempts"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH)
    user.extra |= {"PYTHONPATH": str(hook), "ATTEMPTS": str(log)}
    return log


def test_missing_engine(newcomer: Product) -> None:
    newcomer.extra["XDG_CACHE_HOME"] = str(newcomer.home / "cache")
    paths = [p for p in os.environ["PATH"].split(":") if not (Path(p) / "pulumi").exists()]
    newcomer.extra["PATH"] = ":".join(paths)
    keep_sshd(newcomer)
    log = watched(newcomer)
    refused(newcomer.run(*UP, "-o", "json"), 12, "no Pulumi engine", "sealer-cloud engine install")
    assert log.read_text().splitlines() == [READS_ROUTES], "told at once: nothing was fetched, built or asked for"


def test_an_engine_that_is_none(newcomer: Product) -> None:
    fake = newcomer.home / "bin"
    fake.mkdir()
    (fake / "pulumi").write_text("#!/bin/sh\necho v1.0.0\n")
    (fake / "pulumi").chmod(0o755)
    newcomer.extra |= {"XDG_CACHE_HOME": str(newcomer.home / "cache"), "PATH": f"{fake}:/usr/sbin:/usr/bin:/sbin:/bin"}
    keep_sshd(newcomer)
    log = watched(newcomer)
    refused(newcomer.run(*UP, "-o", "json"), 12, "v1.0.0", "sealer-cloud engine install")
    assert log.read_text().splitlines() == [READS_ROUTES, f"{fake}/pulumi version"], "asked once, and not waited for"


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
