"""The least policy that a run needs, as IAM writes policies. Pure."""

from __future__ import annotations

import json

READS = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceAttribute",
    "ec2:DescribeInstanceCreditSpecifications",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcs",
    "ec2:GetConsoleOutput",
    "pricing:GetProducts",
    "servicequotas:GetServiceQuota",
    "sts:GetCallerIdentity",
)
CREATES = (
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateInternetGateway",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateVpc",
    "ec2:RunInstances",
)
CHANGES = (
    "ec2:AssociateRouteTable",
    "ec2:AttachInternetGateway",
    "ec2:CancelSpotInstanceRequests",
    "ec2:CreateRoute",
    "ec2:DeleteInternetGateway",
    "ec2:DeleteRoute",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteSubnet",
    "ec2:DeleteTags",
    "ec2:DeleteVolume",
    "ec2:DeleteVpc",
    "ec2:DetachInternetGateway",
    "ec2:DisassociateRouteTable",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifySubnetAttribute",
    "ec2:ModifyVpcAttribute",
    "ec2:ReplaceRoute",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
)
NETWORKS = (
    "ec2:AssociateRouteTable",
    "ec2:AttachInternetGateway",
    "ec2:CreateRoute",
    "ec2:DeleteInternetGateway",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSubnet",
    "ec2:DeleteVpc",
    "ec2:DetachInternetGateway",
    "ec2:DisassociateRouteTable",
    "ec2:ModifyVpcAttribute",
    "ec2:ReplaceRoute",
)
"""What `network create|delete` change; leave the statement out for runners that only use networks."""


def policy() -> str:
    """The policy as JSON. What changes or removes is allowed only on what carries our tag."""
    ours = {"Null": {"aws:ResourceTag/sealer-cloud:cid": "false"}}
    shared = {"Null": {"aws:ResourceTag/sealer-cloud:network": "false"}}
    statements = [
        {"Sid": "Look", "Effect": "Allow", "Action": [*READS], "Resource": "*"},
        {"Sid": "Make", "Effect": "Allow", "Action": [*CREATES], "Resource": "*"},
        {"Sid": "Mark", "Effect": "Allow", "Action": ["ec2:CreateTags"], "Resource": "*"},
        {"Sid": "ChangeOurs", "Effect": "Allow", "Action": [*CHANGES], "Resource": "*", "Condition": ours},
        {"Sid": "SharedNetworks", "Effect": "Allow", "Action": [*NETWORKS], "Resource": "*", "Condition": shared},
        {
            "Sid": "Spot",
            "Effect": "Allow",
            "Action": ["iam:CreateServiceLinkedRole"],
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
