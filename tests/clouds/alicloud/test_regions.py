"""A region that is none: wrong use, whoever names it; where the service lists none, any name is taken."""

import pytest

from provisioner.errors import ProviderError, UsageError
from provisioner.model.ids import ClusterId
from tests.clouds.alicloud.asked import CID, accepted, driver
from tests.clouds.alicloud.sim.faults import Fault

pytestmark = pytest.mark.clouds
NOWHERE = "cn-hangzhuo"
WAYS = {
    "up": lambda one, where: one.choose(accepted(region=where), None, standing=frozenset()),
    "gc": lambda one, where: one.survey((where,)),
    "network list": lambda one, where: one.networks((where,)),
    "status, down": lambda one, where: one.find(None, (where,)),
    "adopt": lambda one, where: one.standing(ClusterId(CID), where),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_wherever_one_is_named(alicloud, way):
    with pytest.raises(UsageError, match=f"no region '{NOWHERE}'") as caught:
        WAYS[way](driver(alicloud), NOWHERE)
    assert "did you mean cn-hangzhou?" in caught.value.hint
    assert "cn-beijing" in caught.value.hint
    assert alicloud.account.counts() == {"DescribeRegions": 1}, "its own address is not tried"


@pytest.mark.parametrize("code", ["UnsupportedOperation", "Forbidden.RAM"])
def test_where_the_list_cannot_be_had_the_name_is_taken(alicloud, code):
    alicloud.account.faults.add(Fault("DescribeRegions", code, times=9))
    assert driver(alicloud).find(None, ("cn-hangzhou",)) == ()
    with pytest.raises(ProviderError, match="InvalidRegionId"):
        driver(alicloud).find(None, (NOWHERE,))
