"""The peer on Alibaba Cloud: the same resources as a hand-written Automation API program would have them, and no more.

python benchmarks/alicloud_peer.py up|again|down WORKDIR ENGINE_ROOT CID
"""

import base64
import sys

import pulumi
import pulumi_alicloud as alicloud

import pulumi_sealer as sealer
from benchmarks.automation import run
from provisioner.model.userdata import user_data

HOSTS = ("m1", "m2", "m3")
TAGS = {"sealer-cloud:cid": sys.argv[4]}


def program() -> None:
    cid = sys.argv[4]
    intent = sealer.Intent("intent", cid=cid, request={"schemaVersion": 1}, secrets={})
    cloud = alicloud.Provider(
        "cloud",
        region="cn-hangzhou",
        account_type="Domestic",  # else the provider asks the vendor's billing service, which is no part of the simulator
        skip_region_validation=True,
        protocol="HTTPS",
    )
    opts = pulumi.ResourceOptions(provider=cloud, depends_on=[intent])
    vpc = alicloud.vpc.Network("network", vpc_name=cid, cidr_block="10.0.0.0/16", tags=TAGS, opts=opts)
    switch = alicloud.vpc.Switch(
        "subnet", vpc_id=vpc.id, zone_id="cn-hangzhou-h", cidr_block="10.0.0.0/20", tags=TAGS, opts=opts
    )
    group = alicloud.ecs.SecurityGroup("hosts", vpc_id=vpc.id, security_group_name=cid, tags=TAGS, opts=opts)
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
    first = host(HOSTS[0], (cid, intent, cloud), (switch, group, rule), None)
    for name in HOSTS[1:]:
        host(name, (cid, intent, cloud), (switch, group, rule), first)


def host(name, made, network, first):
    cid, intent, _ = made
    key = sealer.HostKey(f"{name}-key", cid=cid, host=name, opts=pulumi.ResourceOptions(depends_on=[intent]))
    machine = bought(name, made, key, network, public=first is None)
    return machine, key, known(name, made, machine, key, first)


def bought(name, made, key, network, *, public):
    cid, intent, cloud = made
    switch, group, rule = network
    return alicloud.ecs.Instance(
        name,
        instance_name=f"{cid}-{name}",
        host_name=name,
        image_id="debian_12_6_x64_20G_alibase_20240711.vhd",
        instance_type="ecs.c7.large",
        vswitch_id=switch.id,
        security_groups=[group.id],
        system_disk_category="cloud_essd",
        system_disk_size=40,
        internet_charge_type="PayByTraffic",
        internet_max_bandwidth_out=100 if public else 0,
        user_data=pulumi.Output.all(key.bootstrap_private, key.bootstrap_public, intent.login_public).apply(
            lambda values: script(name, *values)
        ),
        tags=TAGS,
        opts=pulumi.ResourceOptions(provider=cloud, depends_on=[intent, rule], ignore_changes=["userData"]),
    )


def known(name, made, machine, key, first):
    cid, intent, _ = made
    return sealer.HostIdentity(
        f"{name}-identity",
        cid=cid,
        host=name,
        roles=["master"],
        address=machine.primary_ip_address,
        ssh_host=machine.primary_ip_address if first else machine.public_ip,
        ssh_port=22,
        ssh_user="root",
        machine_id=machine.id,
        running=machine.status.apply(lambda status: status == "Running"),
        bootstrap_public=key.bootstrap_public,
        lasting_public=key.lasting_public,
        lasting_private=key.lasting_private,
        login_private=intent.login_private,
        provider="alicloud",
        region="cn-hangzhou",
        jump=through(*first) if first else None,
        wait_seconds=600,
        opts=pulumi.ResourceOptions(depends_on=[intent, *([first[2]] if first else [])]),
    )


def through(machine, key, _identity):
    return {"host": machine.public_ip, "port": 22, "user": "root", "hostKeys": [key.lasting_public]}


def script(name, private, public, login):
    text = user_data(
        host=name,
        bootstrap_private=private,
        bootstrap_public=public,
        login_public=login,
        user="root",
        power_off_at=None,
    )
    return base64.b64encode(text.encode()).decode()


if __name__ == "__main__":
    run(program, *sys.argv[1:4])
