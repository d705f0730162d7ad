"""The peer on Alibaba Cloud: the same resources as a hand-written Automation API program would have them, and no more.

python benchmarks/alicloud_peer.py up|again|down WORKDIR ENGINE_ROOT CID
"""

import sys

import pulumi
import pulumi_alicloud as alicloud

from benchmarks.automation import run
from benchmarks.cloud_hosts import CID, TAGS, Bought, Where, hosts

REGION = "cn-hangzhou"


def program() -> None:
    where = Where("alicloud", REGION)
    cloud = alicloud.Provider(
        "cloud",
        region=REGION,
        account_type="Domestic",  # else the provider asks the vendor's billing service, which is no part of the simulator
        skip_region_validation=True,
        protocol="HTTPS",
    )
    opts = pulumi.ResourceOptions(provider=cloud, depends_on=[where.intent])
    vpc = alicloud.vpc.Network("network", vpc_name=CID, cidr_block="10.0.0.0/16", tags=TAGS, opts=opts)
    switch = alicloud.vpc.Switch(
        "subnet", vpc_id=vpc.id, zone_id="cn-hangzhou-h", cidr_block="10.0.0.0/20", tags=TAGS, opts=opts
    )
    group = alicloud.ecs.SecurityGroup("hosts", vpc_id=vpc.id, security_group_name=CID, tags=TAGS, opts=opts)
    rule = alicloud.ecs.SecurityGroupRule(
        "ssh",
        security_group_id=group.id,
        type="ingress",
        ip_protocol="tcp",
        nic_type="intranet",
        port_range="22/22",
        cidr_ip="0.0.0.0/0",
        opts=opts,
    )
    after = pulumi.ResourceOptions(provider=cloud, depends_on=[where.intent, rule], ignore_changes=["userData"])
    hosts(where, lambda name, data, public: bought(name, data, switch, group, public=public, opts=after))


def bought(name, data, switch, group, *, public, opts):
    machine = alicloud.ecs.Instance(
        name,
        instance_name=f"{CID}-{name}",
        host_name=name,
        image_id="debian_12_6_x64_20G_alibase_20240711.vhd",
        instance_type="ecs.c7.large",
        vswitch_id=switch.id,
        security_groups=[group.id],
        system_disk_category="cloud_essd",
        system_disk_size=40,
        internet_charge_type="PayByTraffic",
        internet_max_bandwidth_out=100 if public else 0,
        user_data=data,
        tags=TAGS,
        opts=opts,
    )
    running = machine.status.apply(lambda status: status == "Running")
    return Bought(machine, machine.primary_ip_address, machine.public_ip, running)


if __name__ == "__main__":
    run(program, *sys.argv[1:4])
