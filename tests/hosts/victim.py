"""A process that makes hosts and may be killed on its way: `python -m tests.hosts.victim CID KEY [N] [HOSTS]`.

With N it ends itself by SIGKILL at its N-th act (a file opened for writing, a folder made, a rename, a program started,
a call into the kernel); without (or with 0), it prints how many acts there were. HOSTS is one where it is not said.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from drivers.local import machines
from drivers.local.machines import HostInputs
from provisioner.model.ids import ClusterId, HostName

ACTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen", "ctypes.get_errno", "open"}


class Killer:
    """Counts acts; at the one that was asked for the process ends without a word."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.on = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or event not in ACTS or (event == "open" and not _writes(args)):
            return
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(args: tuple[Any, ...]) -> bool:
    return isinstance(args[2], int) and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def main(cid: str, key: str, at: str = "0", hosts: str = "1") -> None:
    killer = Killer(int(at))
    sys.addaudithook(killer)
    killer.on = True
    machines.ensure_network(ClusterId(cid))
    for slot in range(int(hosts)):
        machines.ensure_host(HostInputs(ClusterId(cid), HostName(f"m{slot + 1}"), slot, key))
    killer.on = False
    print(killer.seen, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
