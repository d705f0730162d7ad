"""What is made of the answers to dry runs."""

import pytest

from provisioner.errors import AccessError
from provisioner.model import tags
from provisioner.model.ids import ClusterId, parse_cid
from provisioner.model.permits import ALLOWED, MADE, Tried, dry_tags, made, told
from tests.unit.drivers.alicloud_rig import accepted

RUN, NET = "ecs:RunInstances", "vpc:CreateVpc"


@pytest.mark.parametrize(
    ("codes", "line"),
    [
        ((ALLOWED, ALLOWED), "vpc:CreateVpc is allowed, ecs:RunInstances is allowed"),
        ((ALLOWED, "NoStock"), "vpc:CreateVpc is allowed, ecs:RunInstances is not refused (NoStock)"),
        (("no answer", ALLOWED), "vpc:CreateVpc is not refused (no answer), ecs:RunInstances is allowed"),
    ],
)
def test_what_is_not_forbidden_stops_nothing(codes: tuple[str, str], line: str) -> None:
    said = told("alicloud", map(Tried, (NET, RUN), codes))
    assert said == f"permission asked by dry run: {line}"


@pytest.mark.parametrize(
    ("refused", "names"), [((True, False), NET), ((False, True), RUN), ((True, True), f"{NET} and {RUN}")]
)
def test_what_is_forbidden_is_named_all_at_once_with_the_next_step(refused: tuple[bool, bool], names: str) -> None:
    with pytest.raises(AccessError, match=f"may not do {names} ") as caught:
        told("alicloud", (Tried(NET, "Forbidden.RAM", refused[0]), Tried(RUN, "Forbidden.RAM", refused[1])))
    assert caught.value.exit_code == 5
    assert "sealer-cloud doctor --permissions alicloud" in caught.value.hint


def test_what_a_dry_run_made_and_could_not_take_away_is_named() -> None:
    assert made(NET, ()).code == MADE
    assert "vpc-1, i-1 stands: remove it" in told("alicloud", (made(NET, ("vpc-1", "i-1")),))


def test_a_dry_run_carries_the_tags_of_the_real_thing() -> None:
    request = accepted(tags={"team": "ci"}, expires_at="2026-11-24T12:00:00Z")
    new = dry_tags(request, None, ("7", "o/r"))
    assert parse_cid(new[tags.CID])
    assert (new["team"], new[tags.CLUSTER], new[tags.EXPIRES_AT]) == ("ci", "demo", "2026-11-24T12:00:00Z")
    assert (new[tags.CI_RUN], new[tags.REPO]) == ("7", "o/r")
    host = dry_tags(request, ClusterId("demo-abc234"), (None, None), request.hosts[1])
    assert (host[tags.CID], host[tags.HOST], host[tags.POOL]) == ("demo-abc234", "m2", "master")
    assert not {tags.CI_RUN, tags.REPO} & set(host)
