"""The simulated clouds as the benchmarks see them: an account, who uses it, what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clouds.realhosts import RealHosts
from tests.e2e import tiny
from tests.e2e.product import Product

CLUSTER = "web"


@dataclass(frozen=True)
class User:
    """Who holds app:v1 and has the account's credentials; `up` is the main job with three hosts, as words."""

    env: dict[str, str]
    up: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """One account. `image`: what stage 1 alone is told to boot; empty where the driver finds one."""

    calls: Callable[[], int]
    user: Callable[[Path], User]
    plugins: Path
    """The folder of the cloud's plugin for the engine."""
    image: str = ""


@dataclass(frozen=True)
class Cloud:
    """A cloud at zero latency. `quiet` and `per_machine`: what a run that changes nothing may ask; tests hold it, too."""

    name: str
    quiet: int
    per_machine: int
    account: Callable[[Path, RealHosts | None], AbstractContextManager[Account]]
    """An account in this folder, its machines real hosts or (None) records alone."""

    @contextmanager
    def open(self, folder: Path, *, real: bool) -> Iterator[Account]:
        """An empty account; what was made in it is gone afterwards."""
        folder.mkdir(parents=True)
        hosts = RealHosts(folder) if real else None
        try:
            with self.account(folder, hosts) as made:
                yield made
        finally:
            if hosts:
                hosts.close()


def with_image(user: Product, *up: str) -> User:
    """The user, once app:v1 is built."""
    tiny.build(user, "app:v1", tiny.BASIC)
    return User(user.env, ("up", "app:v1", "-n", CLUSTER, *up, "--yes"))


@contextmanager
def alicloud(folder: Path, hosts: RealHosts | None) -> Iterator[Account]:
    """Our own simulator."""
    from drivers.alicloud.driver import PLUGIN_VERSION
    from provisioner.settings import load_settings
    from tests.clouds.alicloud.scene import make_user
    from tests.clouds.alicloud.sim.hosts import InstanceHosts
    from tests.clouds.alicloud.sim.server import Simulator

    plugins = load_settings().cache_dir / "plugins" / f"alicloud-{PLUGIN_VERSION}"
    with Simulator(folder, InstanceHosts(hosts) if hosts else None) as cloud:
        cloud.account.catalogue.quota_cores = 100_000

        def user(home: Path) -> User:
            made = make_user(home, cloud, home / "data", CLUSTER)
            return with_image(made, "--provider", "alicloud", "--masters", "3")

        yield Account(lambda: len(cloud.account.log), user, plugins)


@contextmanager
def aws(folder: Path, hosts: RealHosts | None) -> Iterator[Account]:
    """Moto in this process, and the tests' own plugin: the official one cannot be had where they run."""
    from tests.clouds.aws.cloud import Cloud as Simulated
    from tests.clouds.aws.cloud import hooked, reset, server
    from tests.clouds.aws.scene import make_user, write_infra

    with server() as moto:
        reset(moto)
        with hooked(Simulated(moto, folder, hosts)) as cloud:

            def user(home: Path) -> User:
                made = make_user(cloud, home, home / "data", CLUSTER)
                write_infra(made, cloud, nodes=2)
                return with_image(made, "-f", str(home / "Infra.yaml"))

            yield Account(lambda: len(cloud.gate.log), user, cloud.plugins, cloud.image())


CLOUDS = (Cloud("alicloud", 8, 10, alicloud), Cloud("aws", 13, 1, aws))
