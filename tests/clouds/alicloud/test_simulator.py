"""The simulator is as strict as the cloud: a defect of the product must not pass here."""

from __future__ import annotations

import base64
import http.client
import urllib.error
from datetime import UTC, datetime, timedelta

import pytest

from tests.clouds.alicloud.client import ask, good, make_network, run_words
from tests.clouds.alicloud.sim.faults import Fault, key_deleted, no_stock, spot_refused, throttled, token_expired
from tests.clouds.alicloud.sim.server import SECRET, Simulator
from tests.clouds.alicloud.sim.store import page
from tests.clouds.alicloud.sim.wire import Params

pytestmark = pytest.mark.clouds


def test_signature_is_checked_over_query_and_form(alicloud: Simulator) -> None:
    assert ask(alicloud, "ecs", "DescribeRegions")[0] == 200
    assert ask(alicloud, "ecs", "DescribeRegions", get=True)[0] == 200
    assert ask(alicloud, "ecs", "DescribeRegions", secret="wrong")[1]["Code"] == "SignatureDoesNotMatch"
    status, answer = ask(alicloud, "ecs", "DescribeRegions", key="LTAIother")
    assert (status, answer["Code"]) == (404, "InvalidAccessKeyId.NotFound")
    assert [call.code for call in alicloud.account.log] == [
        "",
        "",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId.NotFound",
    ]


@pytest.mark.parametrize(
    ("product", "action", "params", "code"),
    [
        ("ecs", "BuyEverything", {}, "Simulator.NoSuchAction"),
        ("vpc", "RunInstances", {}, "Simulator.NoSuchAction"),
        ("ecs", "DescribeInstances", {"InstanceIDs": "[]"}, "Simulator.NoSuchParameter"),
        ("ecs", "RunInstances", {"ImageId": "x"}, "MissingParameter.InstanceType"),
        ("ecs", "DescribeZones", {"RegionId": "mars-1"}, "InvalidRegionId.Unknown"),
        ("vpc", "CreateVpc", {"CidrBlock": "10.0.0.1/16"}, "InvalidCidrBlock.Malformed"),
    ],
)
def test_what_it_does_not_know_is_400_and_never_gone(
    alicloud: Simulator, product: str, action: str, params: dict, code: str
) -> None:
    status, answer = ask(alicloud, product, action, **params)
    assert (status, answer["Code"]) == (400, code)
    assert "NotFound" not in answer["Message"]


def test_what_is_gone_is_404(alicloud: Simulator) -> None:
    status, answer = ask(alicloud, "vpc", "DescribeVpcAttribute", VpcId="vpc-nothing")
    assert status == 404
    assert "NotFound" in answer["Code"]
    assert "NotFound" in answer["Message"]


def test_same_client_token_buys_once(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    words = run_words(switch, group, ClientToken="once")
    first, second = (good(alicloud, "ecs", "RunInstances", **words)["InstanceIdSets"] for _ in range(2))
    assert first == second
    assert alicloud.account.store.counts()["instance"] == 1


def test_it_releases_machines_when_their_time_has_come_and_none_too_soon(alicloud: Simulator) -> None:
    account, begin = alicloud.account, datetime(2026, 11, 24, 10, tzinfo=UTC)
    account.now = lambda: begin
    vpc, switch, group = make_network(alicloud)
    for wrong in ("2026-11-24T10:29:00Z", "2029-12-24T10:00:00Z", "soon"):
        words = run_words(switch, group, AutoReleaseTime=wrong)
        assert ask(alicloud, "ecs", "RunInstances", **words)[1]["Code"] == "InvalidAutoReleaseTime.Malformed"
    words = run_words(switch, group, AutoReleaseTime="2026-11-24T10:30:00Z")
    (own,) = good(alicloud, "ecs", "RunInstances", **words)["InstanceIdSets"]["InstanceIdSet"]
    later = {"InstanceId": own, "AutoReleaseTime": "2026-11-24T11:00:00Z"}
    account.now = lambda: begin + timedelta(minutes=29)
    assert good(alicloud, "ecs", "ModifyInstanceAutoReleaseTime", **later)
    account.now = lambda: begin + timedelta(minutes=59)
    assert ask(alicloud, "ecs", "ModifyInstanceAutoReleaseTime", **later)[0] == 400
    assert good(alicloud, "ecs", "DescribeInstances")["TotalCount"] == 1
    account.now = lambda: begin + timedelta(minutes=60)
    assert good(alicloud, "ecs", "DescribeInstances")["TotalCount"] == 0
    assert alicloud.account.store.counts() == {"vpc": 1, "vswitch": 1, "group": 1}, vpc


def test_listing_by_tag_and_page(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    for number in range(5):
        tag = {"Tag__1__Key": "team", "Tag__1__Value": "blue" if number else "red"}
        good(alicloud, "ecs", "RunInstances", **run_words(switch, group, **tag))
    words = {"Tag__1__Key": "team", "Tag__1__Value": "blue", "PageSize": 3}
    pages = [good(alicloud, "ecs", "DescribeInstances", **words, PageNumber=n) for n in (1, 2)]
    assert [len(p["Instances"]["Instance"]) for p in pages] == [3, 1]
    assert pages[0]["TotalCount"] == 4
    by_token = good(alicloud, "ecs", "DescribeInstances", MaxResults=4)
    rest = good(alicloud, "ecs", "DescribeInstances", MaxResults=4, NextToken=by_token["NextToken"])
    assert [len(rest["Instances"]["Instance"]), rest["NextToken"]] == [1, ""]
    found = good(alicloud, "ecs", "ListTagResources", ResourceType="instance", Tag__1__Key="team", Tag__1__Value="red")
    assert len(found["TagResources"]["TagResource"]) == 1


def test_things_go_in_the_order_of_their_dependence(alicloud: Simulator) -> None:
    vpc, switch, group = make_network(alicloud)
    own = good(alicloud, "ecs", "RunInstances", **run_words(switch, group))["InstanceIdSets"]["InstanceIdSet"][0]
    assert ask(alicloud, "vpc", "DeleteVSwitch", VSwitchId=switch)[1]["Code"] == "DependencyViolation"
    assert ask(alicloud, "vpc", "DeleteVpc", VpcId=vpc)[1]["Code"].startswith("DependencyViolation")
    assert ask(alicloud, "ecs", "DeleteInstance", InstanceId=own)[1]["Code"] == "IncorrectInstanceStatus"
    good(alicloud, "ecs", "DeleteInstances", InstanceId__1=own, Force="true")
    good(alicloud, "ecs", "DeleteSecurityGroup", SecurityGroupId=group)
    good(alicloud, "vpc", "DeleteVSwitch", VSwitchId=switch)
    good(alicloud, "vpc", "DeleteVpc", VpcId=vpc)
    assert alicloud.account.store.counts() == {}


def test_faults_by_rule(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    faults, words = alicloud.account.faults, run_words(switch, group)
    faults.add(no_stock(times=1, ZoneId="cn-hangzhou-h"))
    assert ask(alicloud, "ecs", "RunInstances", **words)[1]["Code"] == "OperationDenied.NoStock"
    faults.add(spot_refused())
    good(alicloud, "ecs", "RunInstances", **words)
    spot = {"SpotStrategy": "SpotWithPriceLimit", "SpotPriceLimit": "9"}
    assert ask(alicloud, "ecs", "RunInstances", **words, **spot)[0] == 400
    faults.clear()
    faults.add(throttled("Describe*", times=2))
    codes = [ask(alicloud, "ecs", "DescribeInstances")[1].get("Code") for _ in range(3)]
    assert codes == ["Throttling.User", "Throttling.User", None]
    faults.add(token_expired(after=1))
    assert [ask(alicloud, "ecs", "DescribeInstances")[0] for _ in range(2)] == [200, 400]
    faults.clear()
    faults.add(key_deleted())
    assert ask(alicloud, "ecs", "DescribeInstances")[0] == 404


def test_answers_that_are_lost_and_listings_that_lag(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    for mode in ("drop", "lose"):
        alicloud.account.faults.add(Fault("RunInstances", mode=mode, times=1))
        with pytest.raises((urllib.error.URLError, http.client.HTTPException, ConnectionError)):
            ask(alicloud, "ecs", "RunInstances", **run_words(switch, group))
    assert alicloud.account.store.counts()["instance"] == 1
    alicloud.account.faults.add(Fault("RunInstances", mode="lag", lag=2, times=1))
    good(alicloud, "ecs", "RunInstances", **run_words(switch, group))
    assert [good(alicloud, "ecs", "DescribeInstances")["TotalCount"] for _ in range(3)] == [1, 1, 2]


def test_stock_quota_and_policy(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    words, account = run_words(switch, group), alicloud.account
    account.catalogue.sold_out.add(("cn-hangzhou-h", "ecs.c7.large"))
    assert ask(alicloud, "ecs", "RunInstances", **words)[1]["Code"] == "OperationDenied.NoStock"
    rows = good(
        alicloud, "ecs", "DescribeAvailableResource", DestinationResource="InstanceType", InstanceType="ecs.c7.large"
    )
    stock = {z["ZoneId"]: z["Status"] for z in rows["AvailableZones"]["AvailableZone"]}
    assert stock == {"cn-hangzhou-h": "SoldOut", "cn-hangzhou-i": "Available", "cn-hangzhou-j": "Available"}
    account.catalogue.sold_out.clear()
    account.catalogue.quota_cores = 1
    assert ask(alicloud, "ecs", "RunInstances", **words)[1]["Code"] == "QuotaExceed.ElasticQuota"
    account.allowed = frozenset({"ecs:Describe*"})
    assert ask(alicloud, "ecs", "RunInstances", **words)[1]["Code"] == "Forbidden.RAM"
    assert ask(alicloud, "ecs", "DescribeInstances")[0] == 200


def test_log_counts_calls_and_hides_secrets(alicloud: Simulator) -> None:
    _, switch, group = make_network(alicloud)
    good(alicloud, "ecs", "RunInstances", **run_words(switch, group, UserData=base64.b64encode(b"canary").decode()))
    account = alicloud.account
    assert account.mutations() == ["CreateVpc", "CreateVSwitch", "CreateSecurityGroup", "RunInstances"]
    assert account.log[-1].params["UserData"] == "***"
    assert SECRET not in repr(account.log)


def test_pages_are_cut_by_number_and_token() -> None:
    rows = [{"n": n} for n in range(25)]
    assert len(page(Params(PageNumber="3", PageSize="10"), rows, "A", "B")["A"]["B"]) == 5
    token = page(Params(MaxResults="20"), rows, "A", "B")["NextToken"]
    assert len(page(Params(MaxResults="20", NextToken=token), rows, "A", "B")["A"]["B"]) == 5


@pytest.mark.hosts
def test_instances_are_real_hosts_that_ran_their_user_data(alicloud_hosts: Simulator) -> None:
    import subprocess
    import time

    _vpc, switch, group = make_network(alicloud_hosts)
    script = base64.b64encode(b"#!/bin/sh\nhostname >/run/seen\n").decode()
    words = run_words(switch, group, UserData=script, HostName="m1", InternetMaxBandwidthOut="5")
    own = good(alicloud_hosts, "ecs", "RunInstances", **words)["InstanceIdSets"]["InstanceIdSet"][0]
    deadline = time.monotonic() + 60
    while (row := good(alicloud_hosts, "ecs", "DescribeInstances")["Instances"]["Instance"][0])["Status"] != "Running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    real = alicloud_hosts.account.hosts.real
    assert real.hosts[own].failure == ""
    address = row["PublicIpAddress"]["IpAddress"][0]
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-F", "none")
    seen = subprocess.run(
        ["ssh", "-i", str(real._login), *options, f"root@{address}", "cat /run/seen"], capture_output=True, check=True
    )
    assert seen.stdout == b"m1\n"
    good(alicloud_hosts, "ecs", "DeleteInstance", InstanceId=own, Force="true")
    assert real.hosts == {}
