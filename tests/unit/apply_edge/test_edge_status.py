"""What `status` says of a host whose health was not asked: it must never look as if all were well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner import stage2
from provisioner.apply.facts import Reading
from provisioner.model.facts import HealthReading, HostFacts
from provisioner.model.ids import HostName
from provisioner.model.ledger import Ledger
from tests.fakes.hosts import PATHS
from tests.unit.apply_edge.edge_rig import Cluster

M1 = HostName("m1")


async def read(cluster: Cluster) -> HostFacts:
    """The first host's facts as they are where health is not asked."""
    async with await cluster.open() as hosts:
        facts = (await stage2.read_hosts(hosts, Reading(PATHS)))[M1]
    assert isinstance(facts, HostFacts)
    assert facts.health is None
    return facts


def said(cluster: Cluster, facts: HostFacts) -> tuple[str, str]:
    row = stage2.read_status(cluster.fakes.inventory, {M1: facts})[0]
    return row.state, row.line


async def test_a_host_that_booted_since_is_unhealthy(cluster: Cluster) -> None:
    await cluster.stand()
    facts = await read(cluster)
    assert said(cluster, facts) == ("laid", "")
    assert said(cluster, replace(facts, boot_id="another")) == ("unhealthy", "booted since; start.sh is due")


@pytest.mark.parametrize(("kept", "state"), [("start", "unhealthy"), ("rootfs", "laid")])
async def test_a_failed_start_is_unhealthy_and_one_that_never_began_is_laid(
    cluster: Cluster, kept: str, state: str
) -> None:
    await cluster.stand()
    facts = await read(cluster)
    entries = [e for e in facts.ledger.entries if e.kind in {"rootfs", kept}]
    broken = tuple(e.model_copy(update={"rc": 1}) if e.kind == "start" and e.event == "result" else e for e in entries)
    assert said(cluster, replace(facts, ledger=Ledger(broken)))[0] == state


@pytest.mark.parametrize(
    ("rc", "line", "shown"),
    [
        (0, "", ("healthy", "")),
        (75, "", ("starting", "health.sh says not yet (75) and printed nothing")),
        (75, "no quorum", ("starting", "no quorum")),
        (3, "", ("unhealthy", "health.sh ended with 3 and printed nothing")),
    ],
)
async def test_a_silent_health_sh_leaves_no_empty_reason(
    cluster: Cluster, rc: int, line: str, shown: tuple[str, str]
) -> None:
    await cluster.stand()
    facts = await read(cluster)
    assert said(cluster, replace(facts, health=HealthReading(rc, line))) == shown
