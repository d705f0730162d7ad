"""The promises of every driver, kept by aws on a simulated account."""

import pytest

from provisioner.model.accepted import AcceptedOsImage, AcceptedSpot
from tests.clouds.aws.made import make_machine, make_network
from tests.clouds.aws.requests import chosen
from tests.contract.driver.promises import *  # noqa: F403 - the tests themselves
from tests.contract.driver.promises import Rig


class AwsRig(Rig):
    """Requests name an image that the account has, and machines that were chosen."""

    def accepted(self, **pool):
        image = AcceptedOsImage(id=self.image)
        request = super().accepted(**{"instance_types": ("t3.medium",), **pool})
        return chosen(self.driver, request.model_copy(update={"os_image": image}))


@pytest.fixture
def rig(cloud):
    def make(cid, host):
        subnet, _ = make_network(cloud, cid)
        make_machine(cloud, subnet, host, cid)

    made = AwsRig(cloud.driver(), "aws", make, unserved=("spot", AcceptedSpot(max_price=1.0, currency="CNY")))
    made.image = cloud.image()
    return made


@pytest.fixture
def finder(rig):
    return rig
