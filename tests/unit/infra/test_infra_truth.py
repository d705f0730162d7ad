"""Between the engine's refresh and its first step: what was not told of is asked about, as what is gone is."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from provisioner.errors import AccessError
from provisioner.infra import automation
from provisioner.infra.changes import StepSeen
from provisioner.infra.pulumi_engine import _demand_truth
from provisioner.infra.statefile import Deployment

CLOUD = "alicloud:ecs/instance:Instance"
STATE = Deployment(resources=tuple({"urn": urn, "type": CLOUD, "custom": True} for urn in ("u1", "u2")))


def still() -> None:
    raise AccessError("the key is deleted")


@pytest.mark.parametrize(("told", "asked"), [(("u1", "u2"), False), (("u1",), True), ((), True)])
def test_a_refresh_of_which_not_all_was_told_in_time_is_not_believed(
    told: tuple[str, ...], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "_LAST_EVENT", 0.0)
    seen = automation.Seen(lambda _step: None)
    seen.steps += [StepSeen(urn, CLOUD, urn, "refresh", "done") for urn in told]
    run = cast("automation.Run", SimpleNamespace(seen=seen))
    if asked:
        with pytest.raises(AccessError):
            _demand_truth(run, STATE, still)
    else:
        _demand_truth(run, STATE, still)


@pytest.mark.parametrize("fault", [AccessError("the key is deleted"), KeyError("a fault of ours")])
def test_whatever_the_look_after_the_refresh_raises_is_told_and_not_that_the_engine_was_killed(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []

    class Killed:
        """A stack whose engine ends as one that was killed in its program."""

        def __init__(self, inline: Callable[[], object]) -> None:
            self._inline = inline

        def up(self, **_words: object) -> None:
            try:
                self._inline()
            except Exception as error:
                raise automation._EngineFailedError(automation.CommandResult("", "", -9)) from error

    def refreshed() -> None:
        raise fault

    monkeypatch.setattr(automation, "_stack", lambda _run, _name, inline: Killed(inline))
    child = SimpleNamespace(kill=lambda: killed.append("engine"))
    seen = automation.Seen(lambda _step: None)
    run = cast("automation.Run", SimpleNamespace(seen=seen, child=child, parallel=1))
    with pytest.raises(type(fault)) as told:
        automation.up(run, "demo", lambda _sink: None, lambda _kind, _value: None, refreshed)
    assert told.value is fault
    assert killed == ["engine"]
