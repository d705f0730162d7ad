"""What `pulumi-resource-aws` is made of here: one kind per resource type that our programs use, on boto3.

It answers as the real one does where the engine or our product look: ids, outputs, in-place changes against replacements,
"gone" as an empty read, errors in the real one's words. Defaults, waiters and diff rules of the real one are its own.
"""

import contextlib

from botocore.exceptions import ClientError


class RefusedError(Exception):
    """An answer of the API, in the words of the real provider."""

    def __init__(self, doing, action, error):
        told = error.response["Error"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        super().__init__(
            f"{doing}: operation error EC2: {action}, https response error StatusCode: {status}, RequestID: 0, "
            f"api error {told['Code']}: {told['Message']}"
        )


def tag_list(tags):
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def tag_map(raw):
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags") or () if not tag["Key"].startswith("aws:")}


def marked(kind, tags):
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(tags)}]} if tags else {}


def retag(ec2, id_, old, new):
    gone = [{"Key": key} for key in (old or {}) if key not in (new or {})]
    if gone:
        ec2.delete_tags(Resources=[id_], Tags=gone)
    if new:
        ec2.create_tags(Resources=[id_], Tags=tag_list(new))


class Kind:
    """`replaces`: inputs whose change needs another one. `made`: outputs that only the run knows; `blind`: what an import does not see."""

    token = ""
    replaces = ()
    made = ()
    blind = ()

    def __init__(self, ec2):
        self.ec2 = ec2

    def create(self, inputs):
        raise NotImplementedError

    def named(self, id_):
        """The id of what an import names, which may do so in other words."""
        return id_

    def look(self, id_):
        """What is there now, as inputs and outputs by Pulumi's names; None when it is gone."""
        raise NotImplementedError

    def update(self, id_, old, new):
        retag(self.ec2, id_, old.get("tags"), new.get("tags"))

    def delete(self, id_):
        raise NotImplementedError

    def _one(self, action, key, **arguments):
        """One described thing; None for an empty answer and for `not found`."""
        try:
            found = getattr(self.ec2, action)(**arguments)[key]
        except ClientError as error:
            if "NotFound" in error.response["Error"]["Code"]:
                return None
            raise
        return found[0] if found else None


class Vpc(Kind):
    token = "aws:ec2/vpc:Vpc"
    replaces = ("cidrBlock",)
    made = ("arn", "defaultSecurityGroupId", "mainRouteTableId")
    blind = ("enableDnsSupport", "enableDnsHostnames")

    def create(self, inputs):
        made = self.ec2.create_vpc(CidrBlock=inputs["cidrBlock"], **marked("vpc", inputs.get("tags")))["Vpc"]
        for key, name in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames")):
            if key in inputs:
                self.ec2.modify_vpc_attribute(VpcId=made["VpcId"], **{name: {"Value": inputs[key]}})
        return made["VpcId"]

    def look(self, id_):
        raw = self._one("describe_vpcs", "Vpcs", VpcIds=[id_])
        return raw and {"cidrBlock": raw["CidrBlock"], "tags": tag_map(raw), "arn": f"arn:aws:ec2:::vpc/{id_}"}

    def delete(self, id_):
        self.ec2.delete_vpc(VpcId=id_)


class Gateway(Kind):
    token = "aws:ec2/internetGateway:InternetGateway"
    replaces = ("vpcId",)
    made = ("arn",)

    def create(self, inputs):
        made = self.ec2.create_internet_gateway(**marked("internet-gateway", inputs.get("tags")))["InternetGateway"]
        self.ec2.attach_internet_gateway(InternetGatewayId=made["InternetGatewayId"], VpcId=inputs["vpcId"])
        return made["InternetGatewayId"]

    def look(self, id_):
        raw = self._one("describe_internet_gateways", "InternetGateways", InternetGatewayIds=[id_])
        return raw and {"vpcId": (raw["Attachments"] or [{}])[0].get("VpcId"), "tags": tag_map(raw)}

    def delete(self, id_):
        vpc = (self.look(id_) or {}).get("vpcId")
        if vpc:
            self.ec2.detach_internet_gateway(InternetGatewayId=id_, VpcId=vpc)
        self.ec2.delete_internet_gateway(InternetGatewayId=id_)


class RouteTable(Kind):
    token = "aws:ec2/routeTable:RouteTable"
    replaces = ("vpcId",)
    made = ("arn",)

    def create(self, inputs):
        made = self.ec2.create_route_table(VpcId=inputs["vpcId"], **marked("route-table", inputs.get("tags")))
        id_ = made["RouteTable"]["RouteTableId"]
        for route in inputs.get("routes") or ():
            self.ec2.create_route(
                RouteTableId=id_, DestinationCidrBlock=route["cidrBlock"], GatewayId=route["gatewayId"]
            )
        return id_

    def look(self, id_):
        raw = self._one("describe_route_tables", "RouteTables", RouteTableIds=[id_])
        if raw is None:
            return None
        routes = [
            {"cidrBlock": r["DestinationCidrBlock"], "gatewayId": r["GatewayId"]}
            for r in raw["Routes"]
            if r.get("GatewayId", "local") != "local"
        ]
        return {"vpcId": raw["VpcId"], "routes": routes, "tags": tag_map(raw)}

    def delete(self, id_):
        self.ec2.delete_route_table(RouteTableId=id_)


class Subnet(Kind):
    token = "aws:ec2/subnet:Subnet"
    replaces = ("vpcId", "cidrBlock", "availabilityZone")
    made = ("arn",)

    def create(self, inputs):
        made = self.ec2.create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            AvailabilityZone=inputs["availabilityZone"],
            **marked("subnet", inputs.get("tags")),
        )
        return made["Subnet"]["SubnetId"]

    def look(self, id_):
        raw = self._one("describe_subnets", "Subnets", SubnetIds=[id_])
        return raw and {
            "vpcId": raw["VpcId"],
            "cidrBlock": raw["CidrBlock"],
            "availabilityZone": raw["AvailabilityZone"],
            "tags": tag_map(raw),
        }

    def delete(self, id_):
        self.ec2.delete_subnet(SubnetId=id_)


class Association(Kind):
    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    replaces = ("subnetId", "routeTableId")

    def create(self, inputs):
        made = self.ec2.associate_route_table(SubnetId=inputs["subnetId"], RouteTableId=inputs["routeTableId"])
        return made["AssociationId"]

    def named(self, id_):
        subnet, slash, table = id_.partition("/")
        if not slash:
            return id_
        raw = self._one("describe_route_tables", "RouteTables", RouteTableIds=[table]) or {}
        used = [a for a in raw.get("Associations", ()) if a.get("SubnetId") == subnet]
        return used[0]["RouteTableAssociationId"] if used else id_

    def look(self, id_):
        where = [{"Name": "association.route-table-association-id", "Values": [id_]}]
        raw = self._one("describe_route_tables", "RouteTables", Filters=where)
        used = [a for a in (raw or {}).get("Associations", ()) if a["RouteTableAssociationId"] == id_]
        return {"subnetId": used[0].get("SubnetId"), "routeTableId": used[0]["RouteTableId"]} if used else None

    def update(self, id_, old, new):
        """Nothing can change in place."""

    def delete(self, id_):
        self.ec2.disassociate_route_table(AssociationId=id_)


class Group(Kind):
    token = "aws:ec2/securityGroup:SecurityGroup"
    replaces = ("vpcId", "description", "name")
    made = ("arn", "name")

    def create(self, inputs):
        tags = inputs.get("tags") or {}
        id_ = self.ec2.create_security_group(
            GroupName=inputs.get("name") or tags.get("Name", "hosts"),
            Description=inputs["description"],
            VpcId=inputs["vpcId"],
            **marked("security-group", tags),
        )["GroupId"]
        # The real provider takes away the rule that lets everything out, and so do we.
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        with contextlib.suppress(ClientError):
            self.ec2.revoke_security_group_egress(GroupId=id_, IpPermissions=[everything])
        return id_

    def look(self, id_):
        raw = self._one("describe_security_groups", "SecurityGroups", GroupIds=[id_])
        return raw and {
            "vpcId": raw["VpcId"],
            "description": raw["Description"],
            "tags": tag_map(raw),
            "name": raw["GroupName"],
        }

    def delete(self, id_):
        self.ec2.delete_security_group(GroupId=id_)


class Rule(Kind):
    """Ingress; the egress rule differs in two calls."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    replaces = ("securityGroupId", "cidrIpv4", "fromPort", "toPort", "ipProtocol", "referencedSecurityGroupId")
    made = ("arn", "securityGroupRuleId")
    side = "ingress"

    def create(self, inputs):
        permission = {"IpProtocol": inputs["ipProtocol"]}
        if "fromPort" in inputs:
            permission |= {"FromPort": int(inputs["fromPort"]), "ToPort": int(inputs["toPort"])}
        if "cidrIpv4" in inputs:
            permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"]}]
        if "referencedSecurityGroupId" in inputs:
            permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"]}]
        made = getattr(self.ec2, f"authorize_security_group_{self.side}")(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            **marked("security-group-rule", inputs.get("tags")),
        )
        return made["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    def look(self, id_):
        where = [{"Name": "security-group-rule-id", "Values": [id_]}]
        raw = self._one("describe_security_group_rules", "SecurityGroupRules", Filters=where)
        if raw is None:
            return None
        tags = self.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [id_]}])["Tags"]
        found = {
            "securityGroupId": raw["GroupId"],
            "ipProtocol": raw["IpProtocol"],
            "cidrIpv4": raw.get("CidrIpv4"),
            **({"fromPort": raw["FromPort"], "toPort": raw["ToPort"]} if raw["IpProtocol"] != "-1" else {}),
            "referencedSecurityGroupId": (raw.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "tags": {tag["Key"]: tag["Value"] for tag in tags},
        }
        return {key: value for key, value in found.items() if value is not None}

    def delete(self, id_):
        raw = self._one(
            "describe_security_group_rules",
            "SecurityGroupRules",
            Filters=[{"Name": "security-group-rule-id", "Values": [id_]}],
        )
        if raw:
            getattr(self.ec2, f"revoke_security_group_{self.side}")(GroupId=raw["GroupId"], SecurityGroupRuleIds=[id_])


class EgressRule(Rule):
    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    side = "egress"
