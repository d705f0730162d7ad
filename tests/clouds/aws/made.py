"""What a cluster of ours leaves in an account, made by hand."""

from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, RunId
from provisioner.model.tags import HOST, tags_of
from tests.clouds.aws.cloud import REGION
from tests.clouds.aws.requests import CID, RUN

DEADLINE = "2026-11-25T10:00:00Z"


def tags(cid=CID, **more):
    return tags_of(Marks(ClusterId(cid), RunId(RUN), DEADLINE, ci_run="77"), {}, **more)


def spec(kind, **given):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in given.items()]}]


def make_network(cloud, cid=CID, region=REGION):
    """All kinds that a cluster of ours has, made by hand with its tags; the subnet and the group."""
    ec2, marks = cloud.client(region), tags(cid)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=spec("vpc", **marks))["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=spec("internet-gateway", **marks))["InternetGateway"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    routes = ec2.create_route_table(VpcId=vpc, TagSpecifications=spec("route-table", **marks))["RouteTable"]
    where = {"VpcId": vpc, "CidrBlock": "10.0.0.0/20", "AvailabilityZone": f"{region}a"}
    subnet = ec2.create_subnet(**where, TagSpecifications=spec("subnet", **marks))["Subnet"]["SubnetId"]
    ec2.associate_route_table(RouteTableId=routes["RouteTableId"], SubnetId=subnet)
    named = {"GroupName": "hosts", "Description": "hosts", "VpcId": vpc}
    group = ec2.create_security_group(**named, TagSpecifications=spec("security-group", **marks))["GroupId"]
    return subnet, group


def make_machine(cloud, subnet, host, cid=CID, region=REGION, **more):
    """`more` goes into RunInstances."""
    marks = tags(cid, **{HOST: host})
    made = cloud.client(region).run_instances(
        ImageId=cloud.image(),
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=[*spec("instance", **marks), *spec("volume", **marks)],
        **more,
    )
    return made["Instances"][0]["InstanceId"]
