"""A client of the simulator that shares nothing with the product: it finds what both would get wrong alike."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import urllib.error
import urllib.request
import uuid
from typing import Any
from urllib.parse import quote, urlencode

from tests.clouds.alicloud.sim.server import KEY_ID, SECRET, Simulator

VERSIONS = {"ecs": "2014-05-26", "vpc": "2016-04-28", "sts": "2015-04-01"}


def ask(
    simulator: Simulator,
    product: str,
    action: str,
    *,
    secret: str = SECRET,
    key: str = KEY_ID,
    get: bool = False,
    **params: Any,
) -> tuple[int, dict]:
    """One call; `Tag__1__Key` stands for `Tag.1.Key`. Status and answer."""
    common = {
        "Action": action, "Version": VERSIONS[product], "AccessKeyId": key, "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": uuid.uuid4().hex, "SignatureVersion": "1.0", "Timestamp": "2026-11-24T00:00:00Z",
        "Format": "JSON", "RegionId": "cn-hangzhou",
    }  # fmt: skip
    own = {k.replace("__", "."): str(v) for k, v in params.items()}
    common = {k: v for k, v in common.items() if k not in own}
    everything = sorted({**common, **own}.items())
    text = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in everything)
    method = "GET" if get else "POST"
    digest = hmac.new(f"{secret}&".encode(), f"{method}&%2F&{quote(text, safe='~')}".encode(), hashlib.sha1).digest()
    query = {**common, **(own if get else {}), "Signature": base64.b64encode(digest).decode()}
    body = None if get else urlencode(own).encode()
    request = urllib.request.Request(f"https://{simulator.endpoint}/?{urlencode(query)}", data=body, method=method)
    context = ssl.create_default_context(cafile=str(simulator.trusted))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def good(simulator: Simulator, product: str, action: str, **params: Any) -> dict:
    """A call that must succeed."""
    status, answer = ask(simulator, product, action, **params)
    assert status == 200, answer
    return answer


def make_network(simulator: Simulator, zone: str = "cn-hangzhou-h") -> tuple[str, str, str]:
    """VPC, vSwitch, group."""
    vpc = good(simulator, "vpc", "CreateVpc", CidrBlock="10.77.0.0/16")["VpcId"]
    switch = good(simulator, "vpc", "CreateVSwitch", VpcId=vpc, ZoneId=zone, CidrBlock="10.77.0.0/24")["VSwitchId"]
    return vpc, switch, good(simulator, "ecs", "CreateSecurityGroup", VpcId=vpc)["SecurityGroupId"]


def run_words(switch: str, group: str, **more: Any) -> dict[str, Any]:
    """The parameters of a small instance."""
    return {
        "ImageId": "debian_12_6_x64_20G_alibase_20240711.vhd", "InstanceType": "ecs.c7.large", "VSwitchId": switch,
        "SecurityGroupIds__1": group, **more,
    }  # fmt: skip
