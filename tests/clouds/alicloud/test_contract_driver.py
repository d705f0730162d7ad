"""The promises of every driver, kept by alicloud on a simulated account."""

from __future__ import annotations

import pytest

from provisioner.model.accepted import Accepted, AcceptedSpot
from provisioner.model.ids import ClusterId
from tests.clouds.alicloud.asked import chosen, driver
from tests.clouds.alicloud.made import make_cluster
from tests.clouds.alicloud.sim.server import Simulator
from tests.contract.driver.promises import *  # noqa: F403 - the tests themselves
from tests.contract.driver.promises import Rig

pytestmark = pytest.mark.clouds


class AlicloudRig(Rig):
    """Requests whose machines were chosen."""

    def accepted(self, **pool: object) -> Accepted:
        """A request that the driver can serve, changed by `pool`."""
        return chosen(self.driver, super().accepted(**pool))  # type: ignore[arg-type]


@pytest.fixture
def rig(alicloud: Simulator) -> Rig:
    """A driver on an empty account."""

    def make(cid: ClusterId, host: str) -> None:
        make_cluster(alicloud, cid, host)

    one = driver(alicloud, ALIBABA_CLOUD_REGION_ID="cn-hangzhou")
    return AlicloudRig(one, "alicloud", make, unserved=("spot", AcceptedSpot(max_price=1.0, currency="USD")))


@pytest.fixture
def finder(rig: Rig) -> Rig:
    """The same: what stands in an account is found by its tags."""
    return rig
