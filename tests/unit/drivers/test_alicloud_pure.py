"""The alicloud driver's decisions, by tables; no cloud package and no network."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alicloud_rig import NOW, TYPES, ZONES, Answers, accepted, placement
from hypothesis import given
from hypothesis import strategies as st

from drivers.alicloud import choose, facts, network, policy, sweep, wire
from drivers.alicloud.choose import Candidate, DiskOffer, Market, Want
from drivers.alicloud.codes import to_error
from drivers.alicloud.diagnose import console_lines
from drivers.alicloud.spec import (
    RELEASE_GRACE,
    auto_release,
    check_request,
    parse_network,
    parse_spec,
)
from provisioner.errors import (
    PreconditionError,
    ProviderError,
    SealerError,
    UsageError,
)
from provisioner.model.accepted import AcceptedSpot
from provisioner.model.driver import Choice, Refused
from provisioner.model.ids import ClusterId
from provisioner.model.secret import Secret

# ---------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("want", "names"),
    [
        (Want("p", 2, 8, "amd64"), ["ecs.g7.large", "ecs.g6.large", "ecs.g7.xlarge"]),
        (
            Want("p", 2, 4, "amd64"),
            ["ecs.c7.large", "ecs.t6-c1m2.large", "ecs.g7.large", "ecs.g6.large", "ecs.g7.xlarge"],
        ),
        (Want("p", 2, 4, "arm64"), ["ecs.g8y.large"]),
        (
            Want("p", 2, 4, "amd64", listed=("ecs.t6-c1m2.large", "ecs.g7.large", "none")),
            ["ecs.t6-c1m2.large", "ecs.g7.large"],
        ),
        (Want("p", 64, 4, "amd64"), []),
    ],
)
def test_types_that_match(want: Want, names: list[str]) -> None:
    assert list(choose.matching(want, TYPES)) == names


def test_candidates_go_by_mode_then_zone_then_type() -> None:
    stock = {"r-a": frozenset({"ecs.g6.large"}), "r-b": frozenset({"ecs.g6.large", "ecs.g7.large"})}
    want = Want("p", 2, 8, "amd64", spot=AcceptedSpot(fallback="on-demand"))
    found = choose.candidates(
        want, Market(("r-b", "r-a"), TYPES, {True: {"r-a": frozenset({"ecs.g7.large"})}, False: stock})
    )
    assert found == (
        Candidate("r-a", "ecs.g7.large", spot=True),
        Candidate("r-b", "ecs.g7.large", spot=False),
        Candidate("r-b", "ecs.g6.large", spot=False),
        Candidate("r-a", "ecs.g6.large", spot=False),
    )


names = st.sampled_from([t.name for t in TYPES])


@given(
    st.dictionaries(st.sampled_from(ZONES), st.frozensets(names)),
    st.lists(st.tuples(st.sampled_from(ZONES), names, st.booleans())),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, AcceptedSpot(), AcceptedSpot(fallback="on-demand")]),
)
def test_a_candidate_has_stock_fits_and_was_not_refused(
    stock: dict[str, frozenset[str]], said: list[tuple[str, str, bool]], cpu: int, spot: AcceptedSpot | None
) -> None:
    want = Want("p", cpu, 4, "amd64", spot=spot)
    refused = [Refused("p", zone, name, mode, "NoStock") for zone, name, mode in said]
    found = choose.candidates(want, Market(ZONES, TYPES, {False: stock, True: stock}), refused)
    by_name = {t.name: t for t in TYPES}
    for candidate in found:
        assert candidate.machine_type in stock[candidate.zone]
        assert by_name[candidate.machine_type].cpu >= cpu
        assert (candidate.zone, candidate.machine_type, candidate.spot) not in said
        assert candidate.spot in choose.modes(spot)
    assert len(set(found)) == len(found)
    assert choose.why_none(want, Market(ZONES, TYPES, {False: stock}), refused)


def test_another_pool_is_not_refused() -> None:
    refused = [Refused("other", "r-a", "ecs.g7.large", spot=False, code="NoStock")]
    assert (
        choose.candidates(Want("p", 2, 8, "amd64"), Market(("r-a",), TYPES), refused)[0].machine_type == "ecs.g7.large"
    )


def test_zones_with_most_to_choose_from_come_first() -> None:
    stock = {"r-a": frozenset({"ecs.c7.large"}), "r-b": frozenset(t.name for t in TYPES)}
    market = Market(ZONES, TYPES, {False: stock})
    wants = [Want("p", 2, 4, "amd64"), Want("q", 4, 16, "amd64")]
    assert choose.order_zones((), wants, market) == ("r-b", "r-a")
    assert choose.order_zones(("r-a",), wants, market) == ("r-a",)


@pytest.mark.parametrize(
    ("offers", "sizes", "category"),
    [
        (None, [40], "cloud_essd"),
        ((DiskOffer("cloud_ssd"), DiskOffer("cloud_efficiency")), [40], "cloud_efficiency"),
        ((DiskOffer("cloud_essd", 20, 30), DiskOffer("cloud_ssd", 20, 500)), [40], "cloud_ssd"),
        ((DiskOffer("ephemeral_ssd"),), [40], None),
        ((), [40], None),
    ],
)
def test_disks(offers: tuple[DiskOffer, ...] | None, sizes: list[int], category: str | None) -> None:
    assert choose.pick_disk(offers, sizes) == category


def test_quota() -> None:
    quota = {"max-postpaid-instance-vcpu-count": 10, "used-postpaid-instance-vcpu-count": 7}
    assert choose.over_quota({False: 3}, quota) is None
    assert "3 of 10" in (choose.over_quota({False: 4}, quota) or "")
    assert choose.over_quota({True: 400}, quota) is None


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("debian-12", "debian_12_"),
        ("ubuntu-22.04", "ubuntu_22_04_"),
        ("rocky-9", "rockylinux_9_"),
        ("alinux-3", "aliyun_3_"),
    ],
)
def test_names_of_images(name: str, prefix: str) -> None:
    assert facts.image_prefix(name) == prefix


def test_newest_ordinary_image() -> None:
    rows = [
        {"ImageId": "debian_12_4_x64_20G", "CreationTime": "2023"},
        {"ImageId": "debian_12_6_x64_20G", "CreationTime": "2024"},
        {"ImageId": "debian_12_7_x64_20G_gpu", "CreationTime": "2025"},
        {"ImageId": "debian_12_8_arm64_20G", "CreationTime": "2026", "Architecture": "arm64"},
        {"ImageId": "debian_13_1_x64_20G", "CreationTime": "2026"},
    ]
    assert facts.newest_image(rows, "debian-12", "amd64") == "debian_12_6_x64_20G"
    assert facts.newest_image(rows, "debian-12", "arm64") == "debian_12_8_arm64_20G"
    assert facts.newest_image(rows, "debian-1", "amd64") is None


def test_standing_hosts_cost_no_call(tmp_path: Path) -> None:
    answers = Answers(AssertionError("no call"))
    request = accepted(placement=placement())
    choice = answers.driver(tmp_path).choose(request, None, standing=frozenset({"m1", "m2"}))
    assert choice.placement == placement()
    fewer = request.model_copy(update={"hosts": request.hosts[:1]})
    assert set(answers.driver(tmp_path).choose(fewer, None, standing=frozenset({"m1"})).placement["hosts"]) == {"m1"}
    assert answers.asked == []


# ---------------------------------------------------------------- spec and network


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"network": {"public": "none"}}, "network.public"),
        ({"network": {"public": "some"}}, "network.public"),
        ({"network": {"colour": "red"}}, "network.colour"),
        ({"network": {"cidr": "ten"}}, "network.cidr"),
        ({"network": {"cidr": "2001:db8::/32"}}, "network.cidr"),
        ({"network": {"vpc": "a", "shared": "b"}}, "two networks"),
        ({"ttl": 60}, "ttl"),
        ({"tags": {"acs:x": "y"}}, "acs:x"),
        ({"tags": {str(n): "" for n in range(20)}}, "too many"),
    ],
)
def test_what_cannot_be_served(change: dict[str, object], word: str, tmp_path: Path) -> None:
    answers = Answers(AssertionError("no call"))
    with pytest.raises(UsageError, match=word):
        answers.driver(tmp_path).choose(accepted(**change), None, standing=frozenset())
    with pytest.raises(UsageError, match=word) as told:
        check_request(accepted(**change))
    assert told.value.hint


def test_a_deadline_too_near_is_refused_for_new_machines(tmp_path: Path) -> None:
    near = f"{NOW + timedelta(minutes=20):%Y-%m-%dT%H:%M:%SZ}"
    with pytest.raises(UsageError, match="nearer than the 30m that alicloud needs"):
        Answers(AssertionError()).driver(tmp_path).choose(accepted(expires_at=near), None, standing=frozenset())


@pytest.mark.parametrize(("public", "who"), [("all", [True, True]), ("first", [True, False]), ("none", [False, False])])
def test_spec_of_a_placement(public: str, who: list[bool]) -> None:
    network_ = {"public": public, **({"vpc": "v"} if public == "none" else {})}
    spec = parse_spec(accepted(placement=placement(), network=network_), None)
    assert [m.public for m in spec.machines] == who
    assert spec.machines[0].data_disks == (("cloud_essd", 100),)
    assert spec.machines[0].system_disk == ("cloud_essd", 40)
    with pytest.raises(PreconditionError, match="no machines were chosen"):
        parse_spec(accepted(), None)


@pytest.mark.parametrize(
    ("at", "release"),
    [
        ("2026-11-24T10:00:00Z", "2026-11-24T10:05:00Z"),
        ("2026-11-24T10:00:01Z", "2026-11-24T10:06:00Z"),
        ("2026-11-24T10:15:00Z", "2026-11-24T10:21:00Z"),
        ("2026-11-24T23:54:30+00:00", "2026-11-25T00:01:00Z"),
    ],
)
def test_release_is_never_early(at: str, release: str) -> None:
    assert auto_release(at) == release


def test_ranges_stay_and_do_not_overlap() -> None:
    asked = parse_network(accepted())
    first = network.lay_out(asked, None, {}, ["r-a"])
    both = network.lay_out(asked, None, first, ["r-b", "r-a"])
    assert both["subnets"] == {"r-a": {"cidr": "10.0.0.0/24"}, "r-b": {"cidr": "10.0.1.0/24"}}
    standing = network.Standing("vpc-1", "10.9.0.0/16", {"r-a": "vsw-1"}, ("10.9.0.0/23",), only=False)
    assert network.lay_out(asked, standing, {}, ["r-a", "r-b"]) == {
        "vpcId": "vpc-1", "cidr": "10.9.0.0/16", "subnets": {"r-a": {"id": "vsw-1"}, "r-b": {"cidr": "10.9.2.0/24"}},
    }  # fmt: skip
    with pytest.raises(PreconditionError, match="no free range"):
        network.free_range("10.9.0.0/24", ["10.9.0.0/16"])


# ---------------------------------------------------------------- the rest of the seam


def test_policy_is_sorted_whole_and_without_wildcards() -> None:
    actions = [a for s in json.loads(policy.policy())["Statement"] for a in s["Action"]]
    assert len(set(actions)) == len(actions)
    assert not any("*" in action for action in actions)
    ours = {f"{k.product}:{call}" for k in sweep.ALL for call in (k.listing, k.delete)}
    assert ours <= set(actions)


def test_the_plugin_is_named_when_it_lacks(tmp_path: Path) -> None:
    driver = Answers((200, {})).driver(tmp_path)
    with pytest.raises(PreconditionError, match=r"alicloud 3\.105\.0"):
        driver.needs()
    folder = tmp_path / "plugins" / "alicloud-3.105.0"
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-alicloud").touch()
    needs = driver.needs()
    assert needs.plugins == {"alicloud": folder}
    assert "canary" not in repr(needs)


def test_a_session_that_ends_soon_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Answers((200, {})).driver(tmp_path)
    keys = wire.Keys("a", Secret("b"), Secret("c"), "role", NOW + timedelta(minutes=10))
    monkeypatch.setattr(driver, "_keys", lambda: keys)
    session = next(c for c in driver.check() if c.name == "session")
    assert session.ok
    assert "10 min" in session.detail
    monkeypatch.setattr("drivers.alicloud.driver.place", lambda _api, _ask: Choice(placement()))
    notes = driver.choose(accepted(), None, standing=frozenset()).notes
    assert [note for note in notes if "token" in note] == [
        "the alicloud token may end before the run does: it ends in 10 min"
    ]


def test_two_machines_for_one_host_are_never_guessed() -> None:
    tags = {
        "Tag": [
            {"TagKey": "sealer-cloud:cid", "TagValue": "demo-abc234"},
            {"TagKey": "sealer-cloud:host", "TagValue": "m1"},
        ]
    }
    rows = [{"InstanceId": i, "Tags": tags} for i in ("i-1", "i-2")]
    account = sweep.Account(Answers((200, {"TotalCount": 2, "Instances": {"Instance": rows}})).api(), "r", ("r",))
    with pytest.raises(ProviderError, match="stands twice: i-1 and i-2") as told:
        sweep.orphans(account, ClusterId("demo-abc234"), frozenset())
    assert "`aliyun ecs DeleteInstance --RegionId r --Force true --InstanceId i-2`" in told.value.hint
    assert sweep.orphans(account, ClusterId("demo-abc234"), frozenset({"i-1"})) == {"m1": "i-2"}


def test_console_shows_no_key_and_no_escape() -> None:
    text = "boot\n\x1b[31mred\n-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\nlogin:"
    lines = console_lines(base64.b64encode(text.encode()).decode())
    assert lines == ["console: boot", "console: [31mred", "console: login:"]


def test_nobody_imports_a_clouds_package_to_choose() -> None:
    code = (
        "import sys; import drivers.alicloud.driver; "
        "print([m for m in sys.modules if m.startswith(('pulumi', 'alibabacloud', 'Tea', 'grpc'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_are_of_our_tree() -> None:
    assert all(issubclass(type(to_error("A", code, "")), SealerError) for code in ("x", "Forbidden", "QuotaExceed.X"))


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_the_plugin_sees_that_a_deadline_moved(one: int, other: int) -> None:
    deadlines = [NOW + timedelta(seconds=n) for n in (one, other)]
    before, after = (auto_release(f"{at:%Y-%m-%dT%H:%M:%SZ}") for at in deadlines)
    assert RELEASE_GRACE <= datetime.fromisoformat(before) - deadlines[0] < RELEASE_GRACE + timedelta(minutes=2)
    assert (before == after) == after.startswith(before.strip(":00Z"))  # noqa: B005 - the plugin's own comparison
