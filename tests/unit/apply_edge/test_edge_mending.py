"""A host whose health.sh says "not yet" to the end: when it is waited for, and when start.sh runs there again."""

from __future__ import annotations

import pytest

from provisioner.errors import DeadlineError
from tests.unit.apply_edge.edge_rig import SCRIPTS, Cluster

NOT_YET = b"#!/bin/sh\n. scripts/lib.sh\nup || exit 75\necho well\n"


@pytest.mark.slow
async def test_a_service_that_died_and_is_only_not_yet_healthy_is_mended_by_the_second_up(cluster: Cluster) -> None:
    cluster.health_timeout = 5.0
    cluster.files = {**SCRIPTS, "scripts/health.sh": NOT_YET}
    await cluster.up()
    cluster.forget_history()
    cluster.kill_daemon("m2")
    silent = r"^m2 is not healthy within 5 s: health\.sh says not yet \(75\) and printed nothing$"
    with pytest.raises(DeadlineError, match=silent) as caught:
        await cluster.up()
    assert "the next `up` runs start.sh again, and `up --redo m2/start/start.sh` does in any case" in caught.value.hint
    assert cluster.history("m2") == []
    done = await cluster.up()
    assert done.ids == ["m2/start/start.sh", "m2/health/health.sh"]
    assert [cluster.history(h).count("start") for h in ("m1", "m2", "n1")] == [0, 1, 0]
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_who_was_healthy_in_a_run_that_ran_out_is_remembered(cluster: Cluster) -> None:
    slow = b'[ "$SEALER_HOST" != n1 ] || exit 75\n'
    cluster.health_timeout = 5.0
    cluster.files = {**SCRIPTS, "scripts/health.sh": NOT_YET.replace(b"up ||", slow + b"up ||")}
    with pytest.raises(DeadlineError, match=r"^n1 is not healthy"):
        await cluster.up()
    cluster.kill_daemon("m2")
    with pytest.raises(DeadlineError, match="not healthy within"):
        await cluster.up()
    cluster.forget_history()
    with pytest.raises(DeadlineError, match=r"^n1 is not healthy"):
        await cluster.up()
    assert [cluster.history(h).count("start") for h in ("m1", "m2", "n1")] == [0, 1, 0]
