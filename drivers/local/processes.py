"""A host's processes: started fresh, found through cgroups, never through a pid file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from drivers.local import cgroups
from drivers.local.locks import wait_for
from drivers.local.names import Place
from drivers.local.state import HostRecord, disk_of
from provisioner.errors import PreconditionError, ProviderError
from provisioner.model.ids import HostName
from provisioner.settings import python_executable

CODE = Path(__file__).resolve().parents[2]
STUB = "import sys; sys.path.insert(0, sys.argv[1]); from drivers.local.guest.boot import main; main(sys.argv[2:])"
SUPERVISE = Path(__file__).with_name("supervise.sh")

SSH_PORT = 22
START_SECONDS = 60.0
"""How long a host may take until its sshd answers; it takes about 0.2 s, but the machine may be very busy."""

SETTLE_SECONDS = 3.0
CONSOLE_LIMIT = 1 << 20
TAIL = 2000
_LISTEN = "0A"


def start(place: Place, host: HostRecord) -> None:
    """Start a host's supervisor in a session and cgroup of its own, holding nothing of ours.

    Raises PreconditionError; ProviderError, with the console's end, when it does not start.
    """
    cgroups.make_host_groups(place.cgroup, host.name)
    run = place.run / host.name
    try:
        for folder in ("root", "mask"):
            (run / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        _launch(place, host.name, _command(place, host, run))
    except subprocess.TimeoutExpired as error:
        raise ProviderError(
            f"the supervisor of {host.name} did not start within {START_SECONDS:.0f} s",
            hint="run the same command again",
            host=host.name,
            evidence=console_tail(place, host.name),
        ) from error
    except OSError as error:
        raise PreconditionError(
            f"cannot start {host.name}: {error}", hint="is util-linux (unshare) installed?"
        ) from error


def _command(place: Place, host: HostRecord, run: Path) -> list[str]:
    guest = (
        str(disk_of(place, host.name)),
        str(run),
        str(host.name),
        str(place.netns_path(place.netns(host.name))),
        f"{place.cgroup}/{host.name}/{cgroups.GUEST}",
    )
    return [python_executable(), "-I", "-S", "-c", STUB, str(CODE), *guest]


def _launch(place: Place, name: HostName, command: list[str]) -> None:
    joins = cgroups.join_files(place.cgroup, name)
    with console_file(place, name).open("ab") as console:
        if console.tell() > CONSOLE_LIMIT:
            console.truncate(0)
        launcher = subprocess.run(
            [*_supervisor(place), *joins, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            start_new_session=True,
            check=False,
            timeout=START_SECONDS,
        )
    if launcher.returncode != 0:
        raise ProviderError(f"the supervisor of {name} did not start", host=name, evidence=console_tail(place, name))


def _supervisor(place: Place) -> tuple[str, str, str, str]:
    return ("/bin/sh", "-c", _script(SUPERVISE), place.mark)


@cache
def _script(path: Path) -> str:
    return path.read_text("ascii")


def is_supervisor(place: Place, pid: int) -> bool:
    """True for a supervisor of this cluster: root's, and exactly our words; no other process is ours to end."""
    folder = Path("/proc", str(pid))
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
        status = (folder / "status").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    ours = [os.fsencode(word) for word in _supervisor(place)]
    return words[: len(ours)] == ours and ["Uid:", "0", "0", "0", "0"] in (line.split() for line in status)


def end_supervisor(place: Place, pid: int) -> None:
    """SIGKILL to a supervisor of this cluster, and to nothing that has its pid by now."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if is_supervisor(place, pid):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def console_file(place: Place, name: HostName) -> Path:
    """What the host's supervisor, boot and sshd say."""
    return place.host_folder(name) / "console.log"


def console_tail(place: Place, name: HostName) -> str:
    """The console's last 2000 bytes as text: evidence for an error."""
    try:
        return console_file(place, name).read_bytes()[-TAIL:].decode("utf-8", "replace")
    except OSError:
        return ""


def first_process(place: Place, name: HostName) -> int | None:
    """The machine's number of the host's pid 1, if it lives."""
    for pid in sorted(cgroups.seen_pids(f"{place.cgroup}/{name}/{cgroups.GUEST}")):
        if _namespace_pids(pid)[1:] == ["1"]:
            return pid
    return None


def _namespace_pids(pid: int) -> list[str]:
    """A process's numbers, from the outermost pid namespace inwards; a container's in the host has three."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:]
    except OSError:
        pass
    return []


def is_listening(pid: int) -> bool:
    """True when something listens on port 22 in the network namespace of a process; no connection is made."""
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]
    except OSError:
        return False
    sockets = (line.split() for line in lines)
    return any(s[1].endswith(f":{SSH_PORT:04X}") and s[3] == _LISTEN for s in sockets)


def is_running(place: Place, name: HostName) -> bool:
    """True when the host's first process lives and its sshd listens.

    A supervisor without them is a host in the middle of a boot: that is waited for, 3 s at most.
    """
    if not cgroups.seen_pids(f"{place.cgroup}/{name}"):
        return False
    return wait_for(lambda: _up(place, name), SETTLE_SECONDS) is True


def _up(place: Place, name: HostName) -> bool | None:
    pid = first_process(place, name)
    if pid is not None and is_listening(pid):
        return True
    return None if cgroups.seen_pids(f"{place.cgroup}/{name}/{cgroups.SUPERVISOR}") else False


def wait_for_ssh(place: Place, host: HostRecord) -> None:
    """Wait until the host's sshd takes connections. Raises ProviderError with the console's end when it does not."""
    seen = wait_for(lambda: _answers(place, host), START_SECONDS, pause=0.008)
    if seen is not True:
        why = "ended while it started" if seen is False else f"does not answer on port 22 after {START_SECONDS:.0f} s"
        raise ProviderError(
            f"host {host.name} ({host.address}) {why}",
            hint="its console tells why",
            host=host.name,
            evidence=console_tail(place, host.name),
        )


def _answers(place: Place, host: HostRecord) -> bool | None:
    pid = first_process(place, host.name)
    if pid is None:
        return None if cgroups.seen_pids(f"{place.cgroup}/{host.name}") else False
    if not is_listening(pid):
        return None
    try:
        with socket.create_connection((host.address, SSH_PORT), timeout=1.0):
            return True
    except OSError:
        return None
