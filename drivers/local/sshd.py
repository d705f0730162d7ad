"""Finding a sshd for the hosts: the machine's own, else a copy that `make setup` unpacked without installing it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import PreconditionError

MACHINE_SSHD = Path("/usr/sbin/sshd")
HELPERS = "usr/lib/openssh"
"""Where Debian keeps sshd-session and sshd-auth (OpenSSH 9.8 and newer run as several programs)."""

PACKAGE = "openssh-server"
LIST = "files"
"""In the unpacked folder: the files a host needs, one path a line; written last, so that the copy is whole or absent."""

_RESOLVED = re.compile(r"^\s*\S+ => (?P<path>/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SshServer:
    """The sshd that hosts run: what must be copied into each (`(source, path below /)`), and what it understands."""

    files: tuple[tuple[Path, str], ...]
    has_penalties: bool


def find_sshd(unpacked: Path, machine: Path = MACHINE_SSHD) -> SshServer:
    """The machine's sshd, else the unpacked one. Raises PreconditionError with the command that brings one."""
    if os.access(machine, os.X_OK):
        return SshServer((), _has_penalties(machine))
    try:
        names = (unpacked / LIST).read_text("utf-8").split()
    except OSError as error:
        raise PreconditionError(
            "this machine has no sshd for the local hosts",
            hint=f"run `make setup` (it unpacks one to {unpacked} and installs nothing)",
        ) from error
    return SshServer(tuple((unpacked / n, n) for n in names), _has_penalties(unpacked / "usr/sbin/sshd"))


def unpack_sshd(target: Path) -> Path:
    """Get Debian's sshd and the libraries this machine lacks, and unpack them; nothing is installed or started.

    Does nothing where the machine or `target` has one. Raises PreconditionError when the packages cannot be had.
    """
    if os.access(MACHINE_SSHD, os.X_OK) or (target / LIST).exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".openssh-") as work:
        tree = Path(work, "tree")
        packages = Path(work, "packages")
        (packages / "partial").mkdir(parents=True)
        _download(packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(tree)])
        kept = Path(work, "kept")
        names = needed_files(tree)
        for name in names:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, kept / name)
        (kept / LIST).write_text("\n".join(names) + "\n", "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        kept.rename(target)
    return target


def needed_files(tree: Path) -> tuple[str, ...]:
    """What a host needs of an unpacked tree: sshd, its helpers, and the libraries that only the tree has (or has newer).

    Raises PreconditionError when a library is nowhere.
    """
    programs = [p for p in (tree / "usr/sbin/sshd", *sorted((tree / HELPERS).glob("sshd-*"))) if p.is_file()]
    libraries = sorted({str(p.parent) for p in tree.rglob("*.so.*")})
    found: set[str] = set()
    for program in programs:
        text = _run(["ldd", str(program)], library_path=libraries)
        missing = [line.strip() for line in text.splitlines() if "not found" in line]
        if missing:
            raise PreconditionError(f"sshd lacks libraries on this machine: {'; '.join(missing)}")
        found.update(inside_tree(text, tree))
    return (*(str(p.relative_to(tree)) for p in programs), *sorted(found))


def inside_tree(ldd: str, tree: Path) -> frozenset[str]:
    """The libraries that `ldd` resolved to files of the tree, as paths below it."""
    paths = (Path(match["path"]) for match in _RESOLVED.finditer(ldd))
    return frozenset(str(p.relative_to(tree)) for p in paths if p.is_relative_to(tree))


def _download(packages: Path) -> None:
    command = [
        *("apt-get", "install", "--download-only", "--no-install-recommends", "-y", "-q"),
        *(
            "-o",
            f"Dir::Cache::archives={packages}",
            "-o",
            "Debug::NoLocking=1",
            "-o",
            "APT::Sandbox::User=root",
            PACKAGE,
        ),
    ]
    try:
        _run(command)
    except PreconditionError:  # no package lists yet, or old ones
        _run(["apt-get", "update", "-q"])
        _run(command)


def _has_penalties(sshd: Path) -> bool:
    try:
        return b"persourcepenalties" in sshd.read_bytes()
    except OSError as error:
        raise PreconditionError(f"cannot read {sshd}: {error.strerror}", hint="run `make setup`") from error


def _run(command: Sequence[str], library_path: Sequence[str] = ()) -> str:
    settings = ["LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"]
    if library_path:
        settings.append(f"LD_LIBRARY_PATH={':'.join(library_path)}")
    try:
        # `env` adds to what we inherit: a proxy for the package registry may stand there.
        done = subprocess.run(
            ["env", *settings, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreconditionError(
            f"{command[0]} cannot be run: {error}", hint="install openssh-server by hand"
        ) from error
    if done.returncode != 0:
        raise PreconditionError(
            f"{command[0]} failed ({done.returncode})",
            hint="is a package registry reachable?",
            evidence=done.stderr[-2000:],
        )
    return done.stdout
