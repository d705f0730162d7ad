"""Machines that nobody of the product made: local hosts set up by the test like a person's own, with the person's key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.local import machines
from drivers.local.machines import HostState

from .cluster import Cluster

# The machines that tests run on have no sudo. An interpreter with the setuid bit, for this one script, does what
# `sudo -n` does for a user who may everything.
SUDO = """#!/usr/bin/sudo-python -IS
import os, sys
os.setgroups([0]); os.setgid(0); os.setuid(0)
words = [w for n, w in enumerate(sys.argv[1:]) if not (n < 2 and w in ("-n", "--"))]
os.environ["SUDO_USER"] = "ops"
os.execvp(words[0], words)
"""
OPS = """
set -e
useradd -m -s /bin/sh -p '*' ops
mkdir -p -m 700 ~ops/.ssh
cp ~root/.ssh/authorized_keys ~ops/.ssh/
chown -R ops ~ops/.ssh
cp "$(readlink -f /usr/bin/python3)" /usr/bin/sudo-python
chmod 4755 /usr/bin/sudo-python
cat >/usr/bin/sudo
chmod 755 /usr/bin/sudo
rm ~root/.ssh/authorized_keys
"""


@dataclass
class Foreign:
    """Three machines: m1 as root; m2 as `ops` with sudo alone; m3 as root, but only for who comes from m1."""

    cluster: Cluster
    hosts: tuple[HostState, ...]
    key: Path

    def __getitem__(self, name: str) -> HostState:
        return next(h for h in self.hosts if h.name == name)

    def run(self, name: str, command: str) -> str:
        """As root, by the test's own way in."""
        return asyncio.run(self.cluster.run(self[name], command))

    def disk(self, name: str) -> list[str]:
        """Everything that lies on a machine's own disk, by path."""
        root = Path("/var/lib/sealer-cloud/local", self.cluster.cid, "hosts", name, "disk")
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if "work" not in p.relative_to(root).parts[:-1])

    def processes(self, name: str) -> set[str]:
        """Command lines of what runs on a machine, but for what a look itself needs."""
        found = set()
        for pids in Path("/sys/fs/cgroup").glob(f"**/sealer-cloud-{self.cluster.cid}/{name}/**/cgroup.procs"):
            for pid in pids.read_text().split():
                try:
                    found.add(Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
                except OSError:
                    continue
        return {line for line in found if "sshd:" not in line}

    def fingerprint(self, name: str) -> str:
        blob = base64.b64decode(self[name].host_key.split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


@contextmanager
def foreign_machines(folder: Path) -> Iterator[Foreign]:
    """Make them, and take them away again."""
    cluster = Cluster("foreign")
    try:
        hosts = cluster.up(3)
        key = folder / "id_person"
        cluster.key.write_private_key(str(key))
        key.chmod(0o600)
        it = Foreign(cluster, hosts, key)
        script = f"cat >/tmp/ops <<'END'\n{OPS}END\nsh /tmp/ops <<'END'\n{SUDO}END\nrm /tmp/ops"
        it.run("m2", script)
        line = f'from="{it["m1"].address}" {cluster.login_public}'
        it.run("m3", f"echo '{line}' >~root/.ssh/authorized_keys")
        yield it
    finally:
        machines.sweep(cluster.cid)
