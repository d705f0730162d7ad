"""The alicloud driver's wire, client and credentials; no cloud package and no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alicloud_rig import KEYS, NOW, Answers
from hypothesis import given
from hypothesis import strategies as st

from drivers.alicloud import credentials, network, wire
from drivers.alicloud.api import MOST_PAGES, Endpoints
from drivers.alicloud.choose import Want
from drivers.alicloud.codes import Kind, kind_of, to_error
from drivers.alicloud.driver import AlicloudDriver
from drivers.alicloud.facts import Facts
from drivers.alicloud.things import ALL
from provisioner.errors import (
    AccessError,
    CapacityError,
    ProviderError,
    RefusedKeyError,
)
from provisioner.model.driver import Surroundings
from provisioner.model.secret import Secret

# ---------------------------------------------------------------- codes and wire


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidAccessKeyId.NotFound", Kind.ACCESS),
        ("SignatureDoesNotMatch", Kind.ACCESS),
        ("InvalidSecurityToken.Expired", Kind.ACCESS),
        ("InvalidTimeStamp.Expired", Kind.ACCESS),
        ("Forbidden.RAM", Kind.ACCESS),
        ("Throttling.User", Kind.AGAIN),
        ("ServiceUnavailable", Kind.AGAIN),
        ("OperationDenied.NoStock", Kind.CAPACITY),
        ("Zone.NotOnSale", Kind.CAPACITY),
        ("InvalidResourceType.NotSupported", Kind.CAPACITY),
        ("InvalidInstanceType.ValueNotSupported", Kind.CAPACITY),
        ("QuotaExceed.ElasticQuota", Kind.CAPACITY),
        ("InvalidAccountStatus.NotEnoughBalance", Kind.CAPACITY),
        ("OperationDenied.SpotPriceLowerThanPublicPrice", Kind.CAPACITY),
        ("DependencyViolation.VSwitch", Kind.DEPENDS),
        ("InvalidInstanceId.NotFound", Kind.GONE),
        ("UnsupportedOperation", Kind.UNKNOWN_ACTION),
        ("InvalidParameter", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_what_codes_mean(code: str, kind: Kind) -> None:
    assert kind_of(code) is kind
    expected = {Kind.ACCESS: RefusedKeyError, Kind.CAPACITY: CapacityError}.get(kind, ProviderError)
    assert type(to_error("RunInstances", code, "said")) is (AccessError if code.startswith("Forbidden") else expected)


def test_flattening() -> None:
    assert wire.flatten({"A": [{"Key": "k", "Value": "v"}], "B": ["x", "y"], "C": True, "D": None, "E": {"F": 1}}) == {
        "A.1.Key": "k", "A.1.Value": "v", "B.1": "x", "B.2": "y", "C": "true", "E.F": "1",
    }  # fmt: skip


def test_signature_is_the_one_of_the_vendors_example() -> None:
    params = {
        "TimeStamp": "2016-02-23T12:46:24Z", "Format": "XML", "AccessKeyId": "testid", "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }  # fmt: skip
    del params["TimeStamp"]
    params["Timestamp"] = "2016-02-23T12:46:24Z"
    assert wire.signature("GET", params, Secret("testsecret")) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


@given(st.text(max_size=2000))
def test_cleaned_text_is_one_short_line(text: str) -> None:
    said = wire.clean(text)
    assert len(said) <= wire.MESSAGE_LIMIT + 1
    assert "\n" not in said


@pytest.mark.parametrize(
    "text",
    [
        "Post https://ecs.example/?AccessKeyId=LTAIcanary&Signature=canary: refused",
        "Specified signature is not matched. server string to sign is:POST&%2F&AccessKeyId%3DLTAIcanary",
        "AccessKeyId: LTAIcanary is wrong",
        "SecurityToken=[canary]",
    ],
)
def test_cleaned_text_holds_no_key(text: str) -> None:
    assert "canary" not in wire.clean(text)


# ---------------------------------------------------------------- the client


@pytest.mark.parametrize(
    ("product", "region", "host"),
    [
        ("ecs", "cn-hangzhou", "ecs-cn-hangzhou.aliyuncs.com"),
        ("vpc", "us-east-1", "vpc.aliyuncs.com"),
        ("ecs", "eu-central-1", "ecs.eu-central-1.aliyuncs.com"),
        ("sts", "cn-hangzhou", "sts.cn-hangzhou.aliyuncs.com"),
    ],
)
def test_hosts_of_the_service(product: str, region: str, host: str) -> None:
    assert Endpoints().host(product, region) == host
    assert Endpoints({product: "own.example:8443"}).host(product, region) == "own.example:8443"


def test_throttling_is_waited_out() -> None:
    answers = Answers((400, {"Code": "Throttling.User"}), (503, {}), (200, {"Ok": 1}))
    assert answers.api().call("ecs", "DescribeRegions", "eu-central-1") == {"Ok": 1}
    assert [host for host, _, _ in answers.asked] == ["ecs.eu-central-1.aliyuncs.com"] * 3
    assert len({query for _, query, _ in answers.asked}) == 3, "each try has a nonce of its own"


@pytest.mark.parametrize(
    ("answer", "most"), [((400, {"Code": "Throttling"}), 160), (OSError("refused"), 40), ((502, "no json"), 160)]
)
def test_waiting_has_an_end(answer: object, most: float) -> None:
    answers = Answers(answer)
    with pytest.raises(ProviderError) as caught:
        answers.api().call("ecs", "DescribeRegions", "cn-hangzhou")
    assert 10 < answers.time < most
    assert "canary" not in str(caught.value)


def test_that_nobody_answers_is_told_at_once_and_once(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    answers = Answers(OSError("refused"))
    around = Surroundings(KEYS, tmp_path, lambda: NOW, tell=lambda text: told.append((answers.time, text)))
    driver = AlicloudDriver(around, answers.send, answers.waits())
    for _ in range(2):
        assert not driver.check()[0].ok
    assert [time for time, _ in told] == [0.0]
    assert "ecs-cn-hangzhou.aliyuncs.com does not answer" in told[0][1]
    assert "canary" not in told[0][1]
    busy = Answers((503, {}), (200, {"Regions": {"Region": []}}))
    AlicloudDriver(around, busy.send, busy.waits()).check()
    assert len(told) == 1, "a service that is busy answers"


def test_a_refusal_is_not_repeated() -> None:
    answers = Answers((403, {"Code": "Forbidden.RAM", "Message": "no"}))
    with pytest.raises(AccessError, match=r"DescribeRegions: Forbidden\.RAM: no"):
        answers.api().call("ecs", "DescribeRegions", "cn-hangzhou")
    assert len(answers.asked) == 1


def test_pages_are_read_to_the_end() -> None:
    def answer(*ids: str) -> tuple[int, object]:
        return 200, {"TotalCount": 3, "Vpcs": {"Vpc": [{"VpcId": i} for i in ids]}}

    answers = Answers(answer("a", "b"), answer("c"))
    assert [v["VpcId"] for v in network.list_vpcs(answers.api(), "r")] == ["a", "b", "c"]
    assert "PageNumber=2" in answers.asked[1][2]


def test_no_page_is_larger_than_the_pickiest_listing_takes() -> None:
    answers = Answers((200, {"TotalCount": 0}))
    for kinds in ALL:
        list(answers.api().pages(kinds.product, kinds.listing, "r", kinds.path, {}))
    asked = [query + body for _, query, body in answers.asked]
    sizes = {re.findall(r"Action=(\w+)", one)[0]: re.findall(r"(PageSize|MaxResults)=(\d+)", one) for one in asked}
    assert sizes == {
        "DescribeInstances": [("MaxResults", "100")],
        "DescribeDisks": [("MaxResults", "100")],
        "DescribeSecurityGroups": [("MaxResults", "100")],
        "DescribeVSwitches": [("PageSize", "50")],
        "DescribeVpcs": [("PageSize", "50")],
    }


def rows(*ids: str, **more: object) -> tuple[int, object]:
    return 200, {**more, "Instances": {"Instance": [{"InstanceId": i} for i in ids]}}


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ((rows("a", "b", NextToken="t1"), rows("c", NextToken="")), ["", "NextToken=t1"]),
        (
            (rows("a", TotalCount=3), rows("a", "b", TotalCount=3), rows("c", TotalCount=3)),
            ["", "PageNumber=1", "PageNumber=2"],
        ),
        ((rows("a", "b", "c", TotalCount=9), rows("a", "b", "c", TotalCount=3)), ["", "PageNumber=1"]),
        ((rows("a", "b", "c"),), [""]),
    ],
    ids=["by token", "an older endpoint", "a total that means nothing", "a short page and no word"],
)
def test_machines_are_listed_by_token_and_by_number_where_none_comes(
    answers: tuple[tuple[int, object], ...], asked: list[str]
) -> None:
    account = Answers(*answers)
    listed = account.api().pages("ecs", "DescribeInstances", "r", ("Instances", "Instance"), {})
    assert [row["InstanceId"] for row in listed] == ["a", "b", "c"]
    assert len(account.asked) == len(asked)
    for word, (_, _, body) in zip(asked, account.asked, strict=True):
        assert word in body


TEN = [f"i-0{n}" for n in range(10)]
NEXT, LAST = [f"i-{n}" for n in range(10, 20)], [f"i-{n}" for n in range(20, 25)]


@pytest.mark.parametrize(
    ("answers", "asked", "found"),
    [
        ((rows(*TEN), rows(*TEN), rows(*NEXT), rows(*LAST)), ["", *(f"PageNumber={n}" for n in (1, 2, 3))], 25),
        ((rows(*TEN), rows(*TEN), rows(*NEXT), rows()), ["", *(f"PageNumber={n}" for n in (1, 2, 3))], 20),
        ((rows(*TEN), rows(*TEN), rows(*TEN)), ["", "PageNumber=1", "PageNumber=2"], 10),
        ((rows(*TEN, NextToken=""),), [""], 10),
        ((rows(*TEN, TotalCount=10),), [""], 10),
        ((rows(*TEN, NextToken="t"), rows(*NEXT)), ["", "NextToken=t"], 20),
    ],
    ids=["to a short page", "to an empty page", "no numbers known", "a last token", "a total", "tokens"],
)
def test_a_full_page_without_token_and_total_is_not_taken_for_the_last(
    answers: tuple[tuple[int, object], ...], asked: list[str], found: int
) -> None:
    account = Answers(*answers)
    listed = list(account.api().pages("ecs", "DescribeInstances", "r", ("Instances", "Instance"), {}))
    assert [row["InstanceId"] for row in listed] == [*TEN, *NEXT, *LAST][:found]
    assert len(account.asked) == len(asked)
    for word, (_, _, body) in zip(asked, account.asked, strict=True):
        assert word in body


@pytest.mark.parametrize(
    ("action", "answer"),
    [("DescribeInstances", rows("a", NextToken="t")), ("DescribeVpcs", rows("a", TotalCount=MOST_PAGES + 1))],
)
def test_a_listing_that_does_not_end_is_an_error_and_no_shorter_listing(
    action: str, answer: tuple[int, object]
) -> None:
    endless = Answers(answer)
    with pytest.raises(ProviderError, match=f"{action} has not come to its end") as caught:
        list(endless.api().pages("ecs", action, "r", ("Instances", "Instance"), {}))
    assert caught.value.exit_code == 6
    assert "ALIBABA_CLOUD_ENDPOINT_ECS" in caught.value.hint
    assert len(endless.asked) == MOST_PAGES


def test_tokens_are_followed() -> None:
    answers = Answers((200, {"NextToken": "t", "X": {"Y": [1]}}), (200, {"X": {"Y": [2]}}))
    assert list(answers.api().tokens("DescribeInstanceTypes", "r", ("X", "Y"), {})) == [1, 2]
    assert "NextToken=t" in answers.asked[1][2]


def test_a_long_list_of_types_is_looked_up_ten_at_a_time() -> None:
    names = tuple(f"ecs.g{n}.large" for n in range(23))
    answers = Answers((200, {"InstanceTypes": {"InstanceType": []}}))
    assert Facts(answers.api(), "r").types([Want("master", 2, 4, "amd64", names)] * 2) == ()
    asked = [re.findall(r"InstanceTypes\.\d+=([^&]+)", query + body) for _, query, body in answers.asked]
    assert [len(some) for some in asked] == [10, 10, 3]
    assert tuple(name for some in asked for name in some) == names


# ---------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("environ", "source", "words"),
    [
        (KEYS, "$ALIBABA_CLOUD_ACCESS_KEY_ID", 0),
        ({"ALICLOUD_ACCESS_KEY": "a", "ALICLOUD_SECRET_KEY": "b"}, "$ALICLOUD_ACCESS_KEY", 1),
        ({"ACCESSKEYID": "a", "ACCESSKEYSECRET": "b", "RegionID": "cn-chengdu"}, "$ACCESSKEYID", 2),
        ({"ACCESSKEYID": "a", "ACCESSKEYSECRET": "b", **KEYS}, "$ALIBABA_CLOUD_ACCESS_KEY_ID", 0),
    ],
)
def test_names_of_credentials(environ: dict[str, str], source: str, words: int) -> None:
    keys = credentials.environ_keys(environ)
    assert keys is not None
    assert keys.source == source
    assert len(credentials.warnings(environ)) == words


def test_no_key_prints() -> None:
    keys = credentials.environ_keys({**KEYS, "ALIBABA_CLOUD_SECURITY_TOKEN": "canary-token"})
    assert "canary-secret" not in repr(keys)
    assert "canary-token" not in repr(keys)


def test_the_plugin_gets_this_key_and_no_other_way_to_one() -> None:
    environ = {**KEYS, "ALICLOUD_ACCESS_KEY": "other", "ALIBABA_CLOUD_PROFILE": "p", "SSL_CERT_FILE": "/ca"}
    environ |= {
        "ALIBABA_CLOUD_ENDPOINT_ECS": "https://ecs.stack.example:8443/",
        "HTTPS_PROXY": "http://proxy",
        "NO_PROXY": "stack.example",
    }
    keys = credentials.environ_keys(environ)
    assert keys is not None
    given_ = credentials.plugin_environ(environ, keys, "eu-central-1")
    assert given_["ALICLOUD_ACCESS_KEY"] == given_["ALIBABA_CLOUD_ACCESS_KEY_ID"] == "LTAIcanary"
    assert given_["ALIBABA_CLOUD_PROFILE"] == given_["ALICLOUD_SECURITY_TOKEN"] == ""
    assert given_["ALIBABA_CLOUD_ENDPOINT_ECS"] == "ecs.stack.example:8443"
    assert given_["ALIBABA_CLOUD_ACCOUNT_TYPE"] == "International"
    assert given_["SSL_CERT_FILE"] == "/ca"
    assert given_["NO_PROXY"] == r"stack.example,ecs\.stack\.example"
