"""Machines that a cut run bought and no state knows: what is taken over, and what is not."""

from __future__ import annotations

import pytest

from provisioner import machines
from provisioner.errors import UsageError
from provisioner.model.request import Clusterfile, InfraDoc, Pool, UpArgs

from .conftest import UP, Stage
from .test_clouds import cut, warnings


@pytest.fixture
def cloud(stage: Stage) -> Stage:
    stage.sell()
    return stage


async def test_a_machine_with_other_disks_than_are_asked_for_now_is_not_taken_over(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who is refused has changed nothing: a machine that somebody stopped stays stopped."""
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(machines, "stopped_machines", lambda _outputs, _provider: {"m1": "machine-1"})
    monkeypatch.setattr(cloud.driver, "start", started.append, raising=False)
    await cut(cloud, "n1")
    started.clear()
    before = (dict(cloud.engine.machines), list(cloud.engine.mutations))
    pools = (Pool("master", ("master",), 2), Pool("node", ("node",), 1, data_disks=(50,)))
    wish = Clusterfile(infra=InfraDoc("local", pools=pools, said=frozenset({"pools"})))
    with pytest.raises(UsageError, match=r"has made n1 \(machine-3\) with .*dataDisks \[\], and not .*\[50\]") as told:
        await cloud.up(UpArgs(image=UP.image), files=wish)
    assert "`sealer-cloud down app`" in told.value.hint
    assert before == (cloud.engine.machines, cloud.engine.mutations)
    assert started == []
    await cloud.up()
    assert "is taken over" in warnings(cloud)
    assert started == [("machine-1",)]
