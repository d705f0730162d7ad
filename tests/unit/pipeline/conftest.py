"""The whole pipeline on fakes: engine, driver, images and clock in memory, hosts as real shells in folders."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from provisioner import pipeline
from provisioner.events import Event
from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.model.ids import ClusterName, HostName
from provisioner.model.plan import Plan
from provisioner.model.report import DownReport, UpReport
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.site import Site
from provisioner.settings import load_settings
from provisioner.stop import Stop
from provisioner.transport.connection import Connection
from provisioner.world import DownPlan, UpChoice, World
from tests.fakes.connection import FakeHost, end_processes, open_fake
from tests.fakes.driver import FakeCloud, FakeDriver
from tests.fakes.engine import FakeEngine
from tests.fakes.hosts import QuickClock
from tests.fakes.images import FakeImages

ENV_SH = b"#!/bin/sh\n# sealer:env\necho $SEALER_HOST >> $SEALER_DATA/$(basename $0)\n"
FILES = {
    "bin/tool": b"#!/bin/sh\necho tool\n",
    "etc/app.conf.tmpl": b"colour={{ .COLOUR }}\n",
    "scripts/init.sh": b"#!/bin/sh\n# sealer:env\nmkdir -p $SEALER_DATA && echo $SEALER_PHASE >> $SEALER_DATA/init\n",
    "scripts/start.sh": b"#!/bin/sh\n# sealer:env\necho $SEALER_PHASE >> $SEALER_DATA/start\n",
    "scripts/health.sh": b"#!/bin/sh\ncat $SEALER_DATA/broken 2>/dev/null && exit 1\necho fine\n",
}
UP = UpArgs(image="app:v1", provider="local", masters="2", nodes="1", env=("COLOUR=green",))
YES = UpChoice(yes=True)


@dataclass
class Stage:
    """A user with a world of fakes. `seen` collects events, `asked` the plans that were shown."""

    folder: Path
    answer: bool = True
    hosts: dict[str, FakeHost] = field(default_factory=dict)
    connects: list[str] = field(default_factory=list)
    seen: list[Event] = field(default_factory=list)
    asked: list[Plan] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    templates: Templates | None = None

    def __post_init__(self) -> None:
        self.engine = FakeEngine()
        self.driver: FakeDriver = FakeDriver(self.engine.machines)
        self.images = FakeImages()
        self.images.add(
            "app:v1", FILES, env={"COLOUR": "none"}, cmd=('echo "who=$SEALER_CLUSTER" >> "$SEALER_OUTPUT"',)
        )
        self.count = 0

    @property
    def world(self) -> World:
        env = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **self.environ}
        return World(
            settings=load_settings(env),
            clock=QuickClock(),
            events=self.seen.append,
            stop=Stop(),
            engine=self.engine,
            images=self.images,
            connect=self.connect,
            drivers={"local": lambda _around: self.driver},
            random=self.random,
        )

    def random(self, count: int) -> bytes:
        self.count += 1
        return bytes((self.count + i) % 32 for i in range(count))

    async def connect(self, host: InventoryHost, _keys: ClusterKeys) -> Connection:
        self.connects.append(host.name)
        key = f"{host.name}-{host.machine_id}"
        if key not in self.hosts:
            self.hosts[key] = FakeHost(HostName(host.name), self.folder / "hosts" / key, os.environ["PATH"])
        return open_fake(self.hosts[key])

    def host(self, name: str) -> FakeHost:
        return [h for key, h in self.hosts.items() if key.startswith(f"{name}-")][-1]  # the newest machine of that name

    def data(self, name: str, file: str) -> list[str]:
        path = self.host(name).at(f"/var/lib/sealer/data/app/data/{file}")
        return path.read_text().splitlines() if path.exists() else []

    async def up(self, args: UpArgs = UP, choice: UpChoice = YES, files: Clusterfile | None = None) -> UpReport:
        return await pipeline.up(self.world, args, files or Clusterfile(), choice, self.confirm)

    async def stand(self, args: UpArgs = UP, prepare: Callable[[Stage], None] = lambda _stage: None) -> None:
        """What `up(args)` on a new stage gives, for tests that begin there: one real `up`, and copies of what it made.

        Hosts are shells that run some 800 programs for it, so most of the time of these tests would be this one call.
        `prepare` is a function of a module, which makes a new stage what this one is.
        """
        assert self.templates is not None, "a stage of its own has none"
        assert not self.hosts, "it stands already"
        one = self.templates.of(type(self), prepare, cloud=self.engine.cloud)
        if not one.hosts:
            await one.up(args)
        shutil.copytree(one.folder, self.folder, dirs_exist_ok=True, symlinks=True)
        made = ("engine", "driver", "images", "seen", "asked", "connects", "count")
        self.__dict__ |= copy.deepcopy({name: one.__dict__[name] for name in made})  # at once: they share machines
        for key, host in one.hosts.items():
            here = FakeHost(host.name, self.folder / "hosts" / key, host.path, history=list(host.history))
            self.hosts[key] = here

    def sell(self) -> None:
        """From now on machines are bought from a cloud."""
        self.driver = FakeCloud(self.engine.machines)
        self.engine.cloud = True

    async def plan(self, args: UpArgs = UP, choice: UpChoice = YES) -> Plan:
        return await pipeline.plan(self.world, args, Clusterfile(), choice)

    async def down(self, provider: str | None = None) -> DownReport:
        return await pipeline.down(self.world, ClusterName("app"), Site(provider), self.confirm_down)

    def confirm(self, plan: Plan) -> bool:
        self.asked.append(plan)
        return self.answer

    def confirm_down(self, _plan: DownPlan) -> bool:
        return self.answer


class Templates:
    """The stages that `stand` copies, made once per run of the tests."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._made: dict[object, Stage] = {}

    def of(self, kind: type[Stage], prepare: Callable[[Stage], None], *, cloud: bool) -> Stage:
        """The one of this kind; without hosts where it does not stand yet."""
        key = (kind, prepare.__module__, prepare.__qualname__, cloud)
        if key not in self._made:
            self._made[key] = one = kind(self._folder("standing"))
            prepare(one)
            if cloud:
                one.sell()
        return self._made[key]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp)


@pytest.fixture
def stage(tmp_path: Path, templates: Templates) -> Iterator[Stage]:
    it = Stage(tmp_path, templates=templates)
    yield it
    end_processes(it.hosts.values())


def changed(args: UpArgs, **fields: object) -> UpArgs:
    return replace(args, **fields)  # type: ignore[arg-type]
