"""What may not change: files of hosts and backend with their times, and the processes of hosts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.e2e.product import Product

LIVE = ("/data/etcd/member", "/data/etcd.log", "/run/", "/proc/", "/sys/", "/dev/")
"""Places that a running etcd writes by itself."""


def backend_files(product: Product) -> dict[str, tuple[int, int]]:
    """Every file of the state folder: size and modification time in nanoseconds."""
    return {
        str(p.relative_to(product.state)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in sorted(product.state.rglob("*"))
        if p.is_file()
    }


def host_files(product: Product) -> dict[str, list[str]]:
    """Every file below the folders that we write on the hosts, with size and time."""
    return disk_files(product.status()["cid"])


def disk_files(cid: str) -> dict[str, list[str]]:
    """As `host_files`, for a cluster that cannot be asked."""
    found = {}
    for disk in sorted(Path("/var/lib/sealer-cloud/local", cid, "hosts").glob("*/disk")):
        lines = []
        for path in sorted(disk.rglob("*")):
            text = str(path.relative_to(disk))
            if path.is_file() and not path.is_symlink() and not any(live.strip("/") in text for live in LIVE):
                lines.append(f"{text} {path.stat().st_size} {path.stat().st_mtime_ns}")
        found[disk.parent.name] = lines
    return found


def pids_of(cid: str, host: str) -> list[int]:
    """Processes of a host, by its cgroup."""
    pids = set()
    for root in Path("/sys/fs/cgroup").glob(f"**/sealer-cloud-{cid}/{host}/**/cgroup.procs"):
        pids |= {int(p) for p in root.read_text().split()}
    return sorted(pids)


def host_pids(product: Product) -> dict[str, list[int]]:
    """The etcd processes of all hosts: the same pids mean that nothing was restarted."""
    cid = product.status()["cid"]
    return {
        host: [p for p in pids_of(cid, host) if Path(f"/proc/{p}/comm").read_text().strip() == "etcd"]
        for host in ("m1", "m2", "m3")
    }


def stop_host(product: Product, host: str) -> None:
    """Kill every process of a host, as a power cut does; its disk stays."""
    cid = product.status()["cid"]
    for pid in pids_of(cid, host):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
