"""A cluster of fake hosts, the clock that never waits, and everything a run of stage 2 needs around them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provisioner.apply.context import Patience, RunContext
from provisioner.apply.distribute import Archives
from provisioner.apply.output import Masker
from provisioner.apply.wire import Author
from provisioner.events import Event
from provisioner.failpoints import Failpoint, no_failpoint
from provisioner.model.facts import FactMap
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost, SshTarget
from provisioner.model.ids import ClusterId, ClusterName, HostName, RunId
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Secret
from provisioner.stop import Stop
from provisioner.transport.connection import Connection
from provisioner.transport.hostset import HostSet, open_hosts
from tests.fakes.connection import FakeHost, end_processes, open_fake

CLUSTER = ClusterName("app")
CID = ClusterId("app-abc234")
PATHS = HostPaths(CLUSTER, CID)
KEYS = ClusterKeys(Secret("no key: fake hosts ask for none"), "ssh-ed25519 AAAA", Secret("5e" * 32))


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a real process to come so far."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a process on a host sets no event of ours
            await asyncio.sleep(0.01)


class QuickClock:
    """Time that passes only where somebody waits: a thousand seconds take none. Real processes get real time."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 14, 0, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class FakeHosts:
    """Hosts by name below a folder; `connect` is a Connect. Masters are those whose name starts with `m`."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("m1", "m2", "n1"), path: str | None = None) -> None:
        path = path or os.environ["PATH"]
        self.hosts = {HostName(n): FakeHost(HostName(n), folder / n, path) for n in names}
        machines = tuple(self._machine(number, name) for number, name in enumerate(self.hosts, start=10))
        self.inventory = Inventory(CLUSTER, CID, machines)

    @staticmethod
    def _machine(number: int, name: HostName) -> InventoryHost:
        address = f"10.213.0.{number}"
        roles = ("master",) if name.startswith("m") else ("node",)
        return InventoryHost(name, roles, address, SshTarget(address), ("ssh-ed25519 AAAA",), f"machine-{name}", True)

    def __getitem__(self, name: str) -> FakeHost:
        return self.hosts[HostName(name)]

    async def connect(self, host: InventoryHost, _keys: ClusterKeys) -> Connection:
        return open_fake(self.hosts[host.name])

    async def open(self) -> HostSet:
        return await open_hosts(self.inventory, KEYS, self.connect, QuickClock())

    def close(self) -> None:
        end_processes(self.hosts.values())


def author(run: str = "20261124T140000Z-aaaaaa") -> Author:
    return Author(RunId(run), CID, "test", "0.1.0")


def context_of(
    archives: Archives,
    facts: FactMap,
    events: list[Event] | None = None,
    *,
    run: str = "20261124T140000Z-aaaaaa",
    secrets: tuple[Secret, ...] = (),
    failpoint: Failpoint = no_failpoint,
    patience: Patience | None = None,
    clock: QuickClock | None = None,
) -> RunContext:
    seen: list[Event] = [] if events is None else events
    return RunContext(
        author=author(run),
        paths=PATHS,
        facts=facts,
        archives=archives,
        masker=Masker(secrets),
        clock=clock or QuickClock(),
        events=seen.append,
        stop=Stop(),
        resume="sealer-cloud up app",
        patience=patience or Patience(),
        failpoint=failpoint,
    )


@contextmanager
def busybox_path(folder: Path) -> Iterator[str]:
    """A PATH that holds busybox applets and nothing else. Fetched as a Debian package where the machine has none."""
    binary = shutil.which("busybox") or _fetch_busybox(folder)
    applets = folder / "applets"
    applets.mkdir(parents=True, exist_ok=True)
    for name in subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split():
        link = applets / name
        if not link.is_symlink():
            link.symlink_to(binary)
    yield str(applets)


def _fetch_busybox(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "busybox-static"], cwd=folder, capture_output=True, check=True)
    package = next(folder.glob("busybox-static_*.deb"))
    subprocess.run(["dpkg-deb", "-x", package, folder / "package"], check=True)
    return str(next(p for p in (folder / "package").rglob("busybox") if os.access(p, os.X_OK) and p.is_file()))
