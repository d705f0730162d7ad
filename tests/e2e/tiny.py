"""Cluster images of a few lines, for what needs no etcd: each script notes in SEALER_DATA that it ran, and with what."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.e2e.product import ROOT, Product
from tests.e2e.snapshot import disk_files
from tests.hosts.outside import look

NOTE = '#!/bin/sh\n{marks}echo "{name} $SEALER_PHASE" >>"$SEALER_DATA/log"\n'
START = """#!/bin/sh
# sealer:env COLOUR
# A daemon that lives on, one at a time.
[ ! -f /run/app.pid ] || kill "$(cat /run/app.pid)" 2>/dev/null
setsid sleep 86400 </dev/null >/dev/null 2>&1 &
echo $! >/run/app.pid
echo "start $SEALER_PHASE" >>"$SEALER_DATA/log"
date +%s.%N >>"$SEALER_DATA/started"
"""
HEALTH = """#!/bin/sh
[ -f /run/app.pid ] && kill -0 "$(cat /run/app.pid)" || { echo "app does not run"; exit 1; }
echo "app runs"
"""
INIT = NOTE.format(name="init", marks="# sealer:env\n")

NOBODY = "nobody-z7z7z7"
"""Nobody's cluster: a look for its marks finds what belongs to no cluster at all."""
GREED = "cpu=4096 memory=64TiB disk=900TiB ports=22 commands=nosuchtool arch=arm64"
BASIC: dict[str, str] = {"scripts/init.sh": INIT, "scripts/start.sh": START, "scripts/health.sh": HEALTH}


def build(user: Product, reference: str, files: Mapping[str, str], *lines: str) -> str:
    """Build an image of these files (those in scripts/ and bin/ are executable) and Kubefile lines; returns its digest."""
    context = user.home / "contexts" / reference.replace(":", "-")
    for name, text in files.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.startswith(("scripts/", "bin/")) else 0o644)
    kubefile = user.home / "contexts" / f"{context.name}.Kubefile"
    kubefile.write_text("\n".join(("FROM scratch", "COPY . .", *lines)) + "\n")
    answer = user.ok("image", "build", "-t", reference, "-f", str(kubefile), str(context), "-o", "json")
    return str(answer.json["digest"])


def unique(word: str) -> str:
    """A cluster name that no other run of the tests on this machine has."""
    return f"{word}-{os.getpid()}"


@contextmanager
def visit(home: Path, data: Path, cluster: str, **extra: str) -> Iterator[Product]:
    """A user with the images of another; what is left of the cluster is removed, and the machine looks as before."""
    before = look(NOBODY)
    user = Product(home, {"XDG_DATA_HOME": str(data), "SEALER_CLOUD_NAME": cluster, **extra}, cluster=cluster)
    home.mkdir(parents=True, exist_ok=True)
    try:
        yield user
    finally:
        user.remember()
        user.run("down", cluster, "--provider", "local", "--yes")
    nothing_left(user.cid, before)


def nothing_left(cid: str, before: dict[str, list[str]]) -> None:
    """The machine looks as it did before."""
    now = look(cid)
    changed = {kind: sorted(set(now[kind]) ^ set(before[kind])) for kind in now if now[kind] != before[kind]}
    assert changed == {}, changed


def state_files(user: Product) -> dict[str, tuple[int, int]]:
    """Every file and folder of the state folder: size (of files) and change time of files; a lock counts by its size."""
    found = {}
    for path in sorted(user.state.rglob("*")):
        stat = path.lstat()
        plain = path.is_file()
        time = stat.st_mtime_ns if plain and path.name != "lock" else 0
        found[str(path.relative_to(user.state))] = (stat.st_size if plain else -1, time)
    return found


def everything(user: Product) -> tuple[dict[str, tuple[int, int]], dict[str, list[str]]]:
    """The user's state and the hosts' disks, to be compared with a later look."""
    return state_files(user), disk_files(user.cid)


def on_disk(user: Product, host: str, path: str) -> Path:
    """A file of a host as it lies on our disk: below the data root, or below our own state there."""
    disk = Path("/var/lib/sealer-cloud/local", user.cid, "hosts", host, "disk/real")
    kept = {"/var/lib/sealer-cloud/": "var-lib-sealer-cloud", "/var/lib/sealer/": "var-lib-sealer"}
    for prefix, folder in kept.items():
        if path.startswith(prefix):
            return disk / folder / path.removeprefix(prefix)
    raise AssertionError(path)


def data(user: Product, host: str, name: str) -> Path:
    """A file below SEALER_DATA."""
    return on_disk(user, host, f"/var/lib/sealer/data/{user.cluster}/data/{name}")


def rootfs(user: Product, host: str, name: str) -> Path:
    """A file of the current rootfs."""
    base = on_disk(user, host, f"/var/lib/sealer/data/{user.cluster}")
    return base / (base / "rootfs").readlink() / name


def keeps_schema(kind: str, document: object) -> None:
    """The document is what docs/schema promises for this command."""
    files = {f.name: json.loads(f.read_text()) for f in (ROOT / "docs/schema").glob("*.schema.json")}
    registry: Registry = Registry().with_resources((n, Resource.from_contents(s)) for n, s in files.items())
    Draft202012Validator(files[f"{kind}.schema.json"], registry=registry).validate(document)


def notes(user: Product, host: str) -> list[str]:
    """What the scripts of a host noted, in order."""
    path = data(user, host, "log")
    return path.read_text().splitlines() if path.exists() else []
