"""The peer on AWS: the same resources as a hand-written Automation API program would have them, and no more.

python benchmarks/aws_peer.py up|again|down WORKDIR ENGINE_ROOT CID IMAGE_ID
"""

import sys

import pulumi
import pulumi_aws as aws

from benchmarks.automation import run
from benchmarks.cloud_hosts import CID, TAGS, Bought, Where, hosts

REGION = "eu-central-1"
EVERYWHERE = "0.0.0.0/0"


def program() -> None:
    where = Where("aws", REGION)
    cloud = aws.Provider("cloud", region=REGION, skip_metadata_api_check=True, skip_region_validation=True)
    opts = pulumi.ResourceOptions(provider=cloud, depends_on=[where.intent])
    vpc = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16", enable_dns_hostnames=True, tags=TAGS, opts=opts)
    gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, tags=TAGS, opts=opts)
    way = aws.ec2.RouteTableRouteArgs(cidr_block=EVERYWHERE, gateway_id=gateway.id)
    routes = aws.ec2.RouteTable("routes", vpc_id=vpc.id, routes=[way], tags=TAGS, opts=opts)
    subnet = aws.ec2.Subnet(
        "subnet", vpc_id=vpc.id, availability_zone=f"{REGION}a", cidr_block="10.0.0.0/20", tags=TAGS, opts=opts
    )
    routed = aws.ec2.RouteTableAssociation("routed", subnet_id=subnet.id, route_table_id=routes.id, opts=opts)
    group = aws.ec2.SecurityGroup("hosts", vpc_id=vpc.id, description=CID, tags=TAGS, opts=opts)
    ready = [routed, *rules(group, opts)]
    after = pulumi.ResourceOptions(provider=cloud, depends_on=[where.intent, *ready], ignore_changes=["userDataBase64"])
    hosts(where, lambda name, data, public: bought(name, data, subnet, group, public=public, opts=after))


def rules(group, opts):
    """Among themselves all, from outside SSH, to outside all."""
    more = {"security_group_id": group.id, "tags": TAGS, "opts": opts}
    ingress, egress = aws.vpc.SecurityGroupIngressRule, aws.vpc.SecurityGroupEgressRule
    return [
        ingress("inside", referenced_security_group_id=group.id, ip_protocol="-1", **more),
        ingress("ssh", cidr_ipv4=EVERYWHERE, from_port=22, to_port=22, ip_protocol="tcp", **more),
        egress("outside", cidr_ipv4=EVERYWHERE, ip_protocol="-1", **more),
    ]


def bought(name, data, subnet, group, *, public, opts):
    machine = aws.ec2.Instance(
        name,
        ami=sys.argv[5],
        instance_type="t3.medium",
        subnet_id=subnet.id,
        vpc_security_group_ids=[group.id],
        associate_public_ip_address=public,
        user_data_base64=data,
        metadata_options=aws.ec2.InstanceMetadataOptionsArgs(http_endpoint="enabled", http_tokens="required"),
        root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(volume_size=10, volume_type="gp3"),
        tags=TAGS,
        volume_tags=TAGS,
        opts=opts,
    )
    running = machine.instance_state.apply(lambda state: state == "running")
    return Bought(machine, machine.private_ip, machine.public_ip, running)


if __name__ == "__main__":
    run(program, *sys.argv[1:4])
