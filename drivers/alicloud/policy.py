"""The least policy for this driver and for the plugin on its behalf, as RAM writes policies. Pure."""

from __future__ import annotations

import json

READS = {
    "ecs": (
        "DescribeAccountAttributes",
        "DescribeAvailableResource",
        "DescribeDisks",
        "DescribeImages",
        "DescribeInstanceAttachmentAttributes",
        "DescribeInstanceAttribute",
        "DescribeInstanceMaintenanceAttributes",
        "DescribeInstanceRamRole",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribePrice",
        "DescribeRegions",
        "DescribeSecurityGroupAttribute",
        "DescribeSecurityGroups",
        "DescribeUserData",
        "GetInstanceConsoleOutput",
    ),
    "vpc": (
        "DescribeRouteEntryList",
        "DescribeRouteTableList",
        "DescribeVSwitchAttributes",
        "DescribeVSwitches",
        "DescribeVpcAttribute",
        "DescribeVpcs",
    ),
}
WRITES = {
    "ecs": (
        "AuthorizeSecurityGroup",
        "CreateSecurityGroup",
        "DeleteDisk",
        "DeleteInstance",
        "DeleteSecurityGroup",
        "ModifyInstanceAutoReleaseTime",
        "ModifySecurityGroupPolicy",
        "RevokeSecurityGroup",
        "RunInstances",
        "StartInstance",
        "TagResources",
        "UntagResources",
    ),
    "vpc": ("CreateVSwitch", "CreateVpc", "DeleteVSwitch", "DeleteVpc", "TagResources", "UnTagResources"),
}
NETWORKS = {"ecs": ("DescribeZones",), "vpc": ()}
"""What `network create|list|delete` need beyond that: the last statement, as RAM's statements carry no name."""


def policy() -> str:
    """The policy document, JSON: what reads, what changes, and what only the network commands need."""
    statements = [
        {
            "Effect": "Allow",
            "Action": [f"{product}:{a}" for product, names in actions.items() for a in names],
            "Resource": "*",
        }
        for actions in (READS, WRITES, NETWORKS)
    ]
    return json.dumps({"Version": "1", "Statement": statements}, indent=2)
