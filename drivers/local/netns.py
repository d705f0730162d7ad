"""Named network namespaces that leave nothing behind, and small works inside a host's namespaces.

`ip netns add` would turn /run/netns into a shared mount that stays for ever. Namespaces belong to threads, so each work
runs in a thread of its own that ends with it; nothing is forked from a process that may have many threads.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from drivers.local.kernel import CLONE_FS, CLONE_NEWNET, CLONE_NEWNS, bind, detach, setns, unshare
from provisioner.errors import PreconditionError, ProviderError

T = TypeVar("T")

WORK_SECONDS = 10.0
FOLDER_MODE = 0o755
"""What `ip netns` itself gives /run/netns."""


def in_own_thread(work: Callable[[], T], what: str) -> T:
    """Run a work in a thread of its own, at most 10 s: a host could make any read hang. Raises what the work raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=body, name="sealer-netns", daemon=True)
    thread.start()
    thread.join(WORK_SECONDS)
    if errors:
        raise errors[0]
    if not results:
        raise ProviderError(f"{what} takes longer than {WORK_SECONDS:.0f} s")
    return results[0]


def ensure_netns(path: Path, marker: Path) -> None:
    """Make a named network namespace, if it is not there. `marker` remembers that the folder itself is ours.

    Raises PreconditionError without the right to do so.
    """
    try:
        _ensure_folder(path.parent, marker)
        if is_netns(path):
            return
        path.touch(0o444)
        in_own_thread(lambda: _keep_new(path), f"network namespace {path.name}")
    except OSError as error:
        raise PreconditionError(
            f"cannot make network namespace {path.name}: {error}",
            hint="run this as root (CAP_SYS_ADMIN, CAP_NET_ADMIN)",
        ) from error


def _ensure_folder(folder: Path, marker: Path) -> None:
    if not folder.is_dir():
        marker.touch()  # before the folder: a kill between the two must not make us forget
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if marker.exists() and stat.S_IMODE(folder.stat().st_mode) != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)  # whatever our umask was: others' namespaces are named in it, too


def _keep_new(path: Path) -> bool:
    unshare(CLONE_NEWNET)
    bind("/proc/thread-self/ns/net", str(path))
    return True


def is_netns(path: Path) -> bool:
    """True for a file with a namespace mounted on it; one without is what a killed run left."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def remove_netns(path: Path) -> None:
    """Let a named network namespace go; idempotent. Its links vanish with its last process. Raises ProviderError."""
    try:
        while is_netns(path):
            detach(str(path))
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ProviderError(f"cannot remove network namespace {path.name}: {error}") from error


def links_in(path: Path) -> frozenset[str]:
    """The names of the links in a named network namespace. Raises ProviderError."""

    def look() -> frozenset[str]:
        setns(str(path), CLONE_NEWNET)
        lines = Path("/proc/thread-self/net/dev").read_text("ascii").splitlines()[2:]
        return frozenset(line.partition(":")[0].strip() for line in lines)

    try:
        return in_own_thread(look, f"looking into {path.name}")
    except OSError as error:
        raise ProviderError(f"cannot look into network namespace {path.name}: {error}") from error


def in_mounts_of(pid: int, work: Callable[[], T]) -> T | None:
    """Run a work with the mounts and the root of a process; None when the process is gone."""

    def body() -> T:
        unshare(CLONE_FS)  # the kernel moves only a thread that shares its root with nobody
        setns(f"/proc/{pid}/ns/mnt", CLONE_NEWNS)
        return work()

    with suppress(FileNotFoundError, ProcessLookupError):
        return in_own_thread(body, f"a work inside process {pid}")
    return None
