"""AWS without its SDK: error codes, policy, requests that cannot be served, console text, prices."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from drivers.aws.adopting import imports
from drivers.aws.api import machines_of
from drivers.aws.catalogue import query_of
from drivers.aws.credentials import Credentials, endings, region_of, resolve
from drivers.aws.diagnose import console_lines
from drivers.aws.facts import price_in
from drivers.aws.failures import clean, is_gone, of_code
from drivers.aws.permissions import policy
from drivers.aws.spec import check_request, parse_aws
from provisioner.errors import AccessError, CapacityError, PreconditionError, ProviderError, RefusedKeyError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import Bought, Standing
from provisioner.model.secret import Secret


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidClientTokenId", RefusedKeyError),
        ("ExpiredToken", RefusedKeyError),
        ("UnauthorizedOperation", AccessError),
        ("InsufficientInstanceCapacity", CapacityError),
        ("VcpuLimitExceeded", CapacityError),
        ("SpotMaxPriceTooLow", CapacityError),
        ("DependencyViolation", ProviderError),
        ("InternalError", ProviderError),
    ],
)
def test_codes_mean(code, kind):
    error = of_code(code, "words", "RunInstances", "eu-central-1")
    assert type(error) is kind
    assert "eu-central-1" in error.message


def test_no_address_key_or_signature_in_any_text():
    text = clean("at https://ec2.x/?Signature=abc key AKIAIOSFODNN7EXAMPLE token=zz\x1b[31m\nnext")
    for word in ("https", "AKIA", "abc", "zz", "\x1b", "\n"):
        assert word not in text


@pytest.mark.parametrize("code", ["InvalidVpcID.NotFound", "InvalidGroup.NotFound", "InvalidInstanceID.NotFound"])
def test_gone_is_known(code):
    assert is_gone(code)
    assert not is_gone("DependencyViolation")


def test_the_policy_changes_only_what_carries_our_tag():
    statements = {s["Sid"]: s for s in json.loads(policy())["Statement"]}
    assert "Condition" in statements["ChangeOurs"]
    assert "ec2:TerminateInstances" in statements["ChangeOurs"]["Action"]
    reads = statements["Look"]["Action"]
    assert all(a.split(":")[1].startswith(("Describe", "Get")) for a in reads)


def accepted(**more):
    raw = {
        "cluster": "demo",
        "provider": "aws",
        "image": {"reference": "a:1", "repository": "a", "digest": "sha256:" + "0" * 64},
        "pools": [{"name": "m", "roles": ["master"], "count": 1, **more.pop("pool", {})}],
        "hosts": [{"name": "m1", "pool": "m", "roles": ["master"], "slot": 0}],
        "dataRoot": "/d",
        **more,
    }
    return Accepted.model_validate(raw)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"network": {"public": "none"}}, "needs an existing network"),
        ({"network": {"vpc": "vpc-1", "shared": "ci"}}, "exclude each other"),
        ({"network": {"vpc": "vpc-1", "cidr": "ten"}}, "network.cidr ten"),
        ({"network": {"cidr": "10.0.0.0/8"}}, "between /16 and /28"),
        ({"network": {"ingress": [{"port": 6443, "protocol": "icmp"}]}}, "neither tcp nor udp"),
        ({"network": {"ingress": [{"port": 6443, "from": "nowhere"}]}}, "is no IPv4 network"),
        ({"osImage": {"name": "plan9"}}, "'plan9' is not known for aws"),
        ({"osImage": {"name": "debian-12", "arch": "riscv64"}}, "not to be had on aws"),
        ({"network": {"public": "some"}}, "must be all, first, none"),
        ({"network": {"ingress": {"port": 6443}}}, "must be a list"),
        ({"ssh": {"user": "root", "port": 22, "privateKeyFile": "/k"}}, "ssh.privateKeyFile"),
        ({"pool": {"systemDisk": 4}}, "must be 8 to 16384 GiB"),
        ({"pool": {"dataDisks": [8] * 12}}, "more than 11 data disks"),
        ({"pool": {"spot": {"maxPrice": 1, "currency": "CNY"}}}, "in USD, not CNY"),
    ],
)
def test_a_request_that_aws_cannot_serve_is_refused_by_its_key_with_what_to_write(more, message):
    with pytest.raises(UsageError, match=message) as told:
        check_request(accepted(**more))
    assert told.value.hint


def test_what_is_not_chosen_yet_is_chosen_by_up():
    with pytest.raises(PreconditionError, match="no machine was chosen for m1") as told:
        parse_aws(accepted())
    assert "sealer-cloud up" in told.value.hint


def test_images_by_owner_and_name():
    query = query_of("ubuntu-24.04", "arm64")
    assert (query.owner, query.arch) == ("099720109477", "arm64")
    assert "noble-24.04-arm64" in query.name


def test_console_text_is_cleaned_and_cut():
    text = (
        "\x1b[32mok\x1b[0m\r\n" * 20
        + "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nlast\n"
    )
    lines = console_lines(text)
    assert lines[-1] == "last"
    assert len(lines) == 8
    assert "abc" not in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_a_price_is_read_from_what_the_pricing_api_answers():
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": "0.0480000000"}}
    product = {"terms": {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}}
    assert price_in([json.dumps(product)]) == 0.048
    assert price_in([]) is None


def test_a_token_that_ends_soon_is_said():
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def ending(minutes):
        return endings(Credentials(Secret("a"), Secret("b"), expires=now + timedelta(minutes=minutes)), now)

    assert ending(29) == "they end in 29 minutes"
    assert ending(31) == ""
    assert endings(Credentials(Secret("a"), Secret("b")), now) == ""


def test_keys_of_variables_are_taken_and_never_shown():
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_SESSION_TOKEN": "token-canary",
    }
    found = resolve(environ)
    assert found.environ() == environ
    assert "canary" not in repr(found).lower()


def test_the_region_is_that_of_the_variables():
    assert region_of({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}) == "a"
    assert region_of({"AWS_DEFAULT_REGION": "b"}) == "b"
    assert region_of({}) is None


class Listing:
    """An API that lists every machine that is asked for, and notes how many each call asks for."""

    def __init__(self):
        self.asked = []

    def pages(self, _service, _action, _region, _key, **arguments):
        (where,) = arguments["Filters"]
        self.asked.append(len(where["Values"]))
        return [{"Instances": [{"InstanceId": one} for one in where["Values"]]}]


def test_no_filter_has_more_values_than_the_api_takes():
    api, ids = Listing(), [f"i-{n}" for n in range(450)]
    assert [m["InstanceId"] for m in machines_of(api, "r", ids)] == ids
    assert api.asked == [200, 200, 50]


def test_a_tag_that_hides_which_part_is_which_is_said_and_nothing_is_called_gone():
    placement = {"account": "1", "region": "r", "hosts": {}, "subnets": {}}
    request = accepted(placement={**placement, "hosts": {"m1": {"zone": "ra", "type": "t3.small", "imageId": "ami-1"}}})
    found = Standing("r", (Bought("m1", "i-1", "10.0.0.4", None),), {})
    with pytest.raises(UsageError, match=r"of demo these do not stand any more in r: hosts, inside"):
        imports(parse_aws(request), "demo", found)
    tagged = request.model_copy(update={"tags": {"Name": "shop"}})
    with pytest.raises(UsageError, match="demo has a tag Name of its own") as told:
        imports(parse_aws(tagged), "demo", found)
    assert "tags.Name" in told.value.message
    assert not told.value.hint, "the way out has files in it that no driver knows"
