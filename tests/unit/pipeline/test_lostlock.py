"""The shared lock is broken while a run goes on: exit 10 with the new holder's name, and nothing is done any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from provisioner.errors import LockedError
from provisioner.infra.locks import ClusterLock

from .conftest import Stage

NOW = "it is held by `up app` (pid 5 on runner-b, run r2, since 2026-01-01) now"


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called as the heartbeat calls it."""
    made: list[Callable[[str], None]] = []
    init = ClusterLock.__init__

    def seen(self, settings, cluster, owner, lost) -> None:
        made.append(lost)
        init(self, settings, cluster, owner, lost)

    monkeypatch.setattr(ClusterLock, "__init__", seen)
    return lambda: made[-1](NOW)


@pytest.mark.parametrize("point", ["up/before/m2", "up/end"])
async def test_a_run_whose_lock_is_broken_ends_at_once_as_locked(
    stage: Stage, lose: Callable[[], None], point: str
) -> None:
    stage.engine._at = lambda name: lose() if name == point else None
    with pytest.raises(LockedError, match=r"lock of cluster app was lost.*`up app` \(pid 5 on runner-b") as told:
        await stage.up()
    assert told.value.exit_code == 10
    assert "status app" in told.value.hint
    assert not any("lay" in host.history or "run" in host.history for host in stage.hosts.values()), "no step began"
    stage.engine._at = lambda _name: None
    await stage.up()


async def test_a_host_gets_no_further_step(stage: Stage, lose: Callable[[], None]) -> None:
    connect = stage.connect
    begun: list[str] = []

    async def losing(host, keys):
        connection = await connect(host, keys)
        run = connection.run

        async def spy(argv, **more):
            found = await run(argv, **more)
            if "run" in stage.host(host.name).history and not begun:
                begun.append(host.name)
                lose()
            return found

        connection.run = spy
        return connection

    stage.connect = losing  # type: ignore[method-assign]
    with pytest.raises(LockedError):
        await stage.up()
    assert begun
    ran = {name: host.history.count("run") for name, host in stage.hosts.items()}
    await asyncio.sleep(0)
    assert max(ran.values()) <= 1, "the step after the one that was under way was never begun"
    assert "start" not in {p.name for h in stage.hosts.values() for p in h.folder.rglob("data/*")}
