"""One host on a machine of another kind: `unshare -m python -m tests.hosts.othermachine v2|shared` shows the driver one.

v2: version 2 cgroups only. shared: mounts are shared with other namespaces, as systemd has it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from drivers.local import machines
from drivers.local.hierarchies import read_hierarchies

from .cluster import Cluster
from .outside import look

UNIFIED = (["umount", "-l", "/sys/fs/cgroup"], ["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"])
SHARED = (["mount", "--make-rshared", "/"],)

SCRIPT = """
set -e
mkdir -p /sys/fs/cgroup/pods/one
echo $$ > /sys/fs/cgroup/pods/one/cgroup.procs
grep ^0:: /proc/self/cgroup
reboot >/dev/null 2>&1 &
"""


def main(kind: str) -> None:
    for argv in UNIFIED if kind == "v2" else SHARED:
        subprocess.run(argv, check=True)
    cluster = Cluster()
    before = look(cluster.cid)
    try:
        (host,) = cluster.up()
        if kind == "v2":
            assert [h.mountpoint for h in read_hierarchies()] == ["/sys/fs/cgroup"]
            assert asyncio.run(cluster.run(host, "grep ^0:: /proc/self/cgroup")) == "0::/init"
            assert asyncio.run(cluster.run(host, SCRIPT)) == "0::/pods/one"
            assert cluster.up() == (host,)
            assert asyncio.run(cluster.run(host, "ls -d /sys/fs/cgroup/pods || true")) == ""
        seen = Path("/proc/self/mountinfo").read_text()
        assert "overlay" not in "".join(line for line in seen.splitlines() if cluster.cid in line)
        cluster.down()
    finally:
        machines.sweep(cluster.cid)
    assert look(cluster.cid) == before
    print("fine")


if __name__ == "__main__":
    main(*sys.argv[1:])
