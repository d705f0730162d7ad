"""Whose account it is, where STS is not asked: by who owns the networks."""

from pathlib import Path

import pytest

from tests.unit.drivers.alicloud_rig import Answers

ALONE = {"ALIBABA_CLOUD_ENDPOINT_ECS": "ecs.stack:443", "ALIBABA_CLOUD_ENDPOINT_VPC": "vpc.stack:443"}


@pytest.mark.parametrize(
    ("owners", "known", "account"),
    [
        ((), None, None),
        ((), "1", None),
        ((1, 1), None, "1"),
        ((2,), "1", "2"),
        ((2, 1), None, None),  # one of them is shared with us, and nobody says which
        ((2, 1), "1", "1"),
        ((2, 3), "1", None),
        ((None,), "1", None),
    ],
)
def test_an_owner_counts_where_he_is_the_only_one_or_the_known_one(
    tmp_path: Path, owners: tuple[int | None, ...], known: str | None, account: str | None
) -> None:
    rows = [{"VpcId": f"vpc-{n}", "OwnerId": owner} for n, owner in enumerate(owners)]
    answers = Answers((200, {"Vpcs": {"Vpc": rows}}))
    assert answers.driver(tmp_path, **ALONE).account("r", known) == account
    assert [host for host, _, _ in answers.asked] == ["vpc.stack:443"]


def test_a_refused_look_is_not_known(tmp_path: Path) -> None:
    answers = Answers((403, {"Code": "Forbidden.RAM", "Message": "no"}))
    assert answers.driver(tmp_path, **ALONE).account("r", "1") is None
