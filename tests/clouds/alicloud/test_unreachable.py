"""The service goes away while machines are made: the wait has an end, and no text holds what signs a request."""

import time

import pulumi
import pytest

from drivers.alicloud import resources
from provisioner.errors import ProviderError
from provisioner.model.ids import ClusterId
from tests.clouds.alicloud.asked import CID, accepted, chosen
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET
from tests.clouds.alicloud.stage import NAME, Stage

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.timeout(600)]
SHORT = pulumi.CustomTimeouts(create="1s", update="1s", delete="1s")
"""Instead of ten minutes; the plugin adds half a minute of its own before it gives up."""


def test_it_ends_in_time_and_the_next_run_finds_what_was_bought(alicloud, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "MACHINE_TIMEOUTS", SHORT)
    stage, account = Stage(alicloud, tmp_path), alicloud.account
    request = chosen(stage.driver, accepted())
    account.faults.add(Fault("DescribeInstances", mode="drop"))
    begun = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        stage.up(request)
    assert time.monotonic() - begun < 240
    assert caught.value.exit_code == 6
    assert account.counts()["RunInstances"] == 1
    error = caught.value
    told = f"{error} {error.message} {error.hint} {error.evidence} {stage.state_text()}"
    kept = "".join(p.read_bytes().decode(errors="replace") for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert not [word for word in (KEY_ID, SECRET, "Signature=", "AccessKeyId=") if word in told + kept]
    account.faults.clear()
    known = frozenset(stage.engine.stored(NAME).machine_ids)
    assert len(known | set(stage.driver.orphans(ClusterId(CID), known).values())) == 1
    assert stage.driver.sweep(ClusterId(CID))
    assert account.store.counts() == {}
