"""Clusters that nobody's state knows: made by calls of the test's own client, with the tags that the product writes."""

from __future__ import annotations

from tests.clouds.alicloud.client import good, run_words
from tests.clouds.alicloud.sim.server import Simulator


def tag_words(**tags: str) -> dict[str, str]:
    """Our tags as parameters of a call; `expires_at` stands for `sealer-cloud:expires-at`."""
    named = {f"sealer-cloud:{key.replace('_', '-')}": value for key, value in tags.items()}
    rows = enumerate(named.items(), start=1)
    return {f"Tag__{n}__{part}": text for n, row in rows for part, text in zip(("Key", "Value"), row, strict=True)}


def make_cluster(simulator: Simulator, cid: str, *hosts: str, region: str = "cn-hangzhou", **tags: str) -> list[str]:
    """A network with machines of a cluster; returns the machines' ids."""
    own = {"cluster": cid.rpartition("-")[0], "cid": cid, **tags}
    words = {"RegionId": region, **tag_words(**own)}
    zone = simulator.account.catalogue.zones[region][0]
    vpc = good(simulator, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **words)["VpcId"]
    place = {"VpcId": vpc, "ZoneId": zone, "CidrBlock": "10.8.0.0/24", "VSwitchName": f"{cid}-{zone}"}
    switch = good(simulator, "vpc", "CreateVSwitch", RegionId=region, **place)["VSwitchId"]
    group = good(simulator, "ecs", "CreateSecurityGroup", VpcId=vpc, **words)["SecurityGroupId"]
    made = []
    for host in hosts:
        marked = {"RegionId": region, **tag_words(**own, host=host)}
        answer = good(simulator, "ecs", "RunInstances", **run_words(switch, group, **marked))
        made += answer["InstanceIdSets"]["InstanceIdSet"]
    return made
