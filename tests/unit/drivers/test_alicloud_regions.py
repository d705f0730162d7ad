"""Whether a region is one: one list for all that are named, and what becomes of it where the list cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.alicloud.api import Endpoints
from drivers.alicloud.driver import AlicloudDriver
from drivers.alicloud.regions import demanded
from provisioner.errors import ProviderError, RefusedKeyError, UsageError
from provisioner.model.driver import Surroundings, Survey
from tests.unit.drivers.alicloud_rig import KEYS, NOW, Answers

LIST = (200, {"Regions": {"Region": [{"RegionId": name} for name in ("cn-hangzhou", "eu-central-1", "eu-west-1")]}})
SILENT = OSError("refused")
CENTRAL = "ecs-cn-hangzhou.aliyuncs.com"


def test_one_list_is_asked_for_all_that_are_named() -> None:
    answers = Answers(LIST)
    assert demanded(answers.api(), ("eu-west-1", "eu-central-1")) == ("eu-west-1", "eu-central-1")
    assert [host for host, _, _ in answers.asked] == [CENTRAL]
    with pytest.raises(UsageError, match="no region 'eu-west-9'") as told:
        demanded(answers.api(), ("eu-west-1", "eu-west-9"))
    assert "did you mean eu-west-1?" in told.value.hint
    assert len(answers.asked) == 2
    assert demanded(answers.api(), ()) == ()
    assert len(answers.asked) == 2, "nothing named, nothing asked"


@pytest.mark.parametrize(
    ("regions", "own", "taken"),
    [
        (("eu-west-1",), "", True),
        (("cn-hangzhou", "eu-west-1"), "", True),
        (("cn-beijing", "cn-hangzhou"), "", False),  # their own address is the list's: it was just asked in vain
        (("eu-west-1",), "ecs.stack:443", False),
    ],
)
def test_where_the_list_alone_is_silent_the_names_are_taken(regions: tuple[str, ...], own: str, taken: bool) -> None:
    answers = Answers(SILENT)
    api = replace(answers.api(), endpoints=Endpoints({"ecs": own} if own else {}))
    if taken:
        assert demanded(api, regions) == regions
        return
    with pytest.raises(ProviderError, match="does not answer"):
        demanded(api, regions)


def test_a_key_that_is_refused_ends_the_look() -> None:
    with pytest.raises(RefusedKeyError):
        demanded(Answers((404, {"Code": "InvalidAccessKeyId.NotFound"})).api(), ("eu-west-1",))


def test_a_named_region_is_looked_at_where_the_list_is_silent(tmp_path: Path) -> None:
    answers = Answers((200, {}))

    def send(host: str, query: str, body: bytes) -> tuple[int, bytes]:
        if host == CENTRAL:
            raise SILENT
        return answers.send(host, query, body)

    around = Surroundings(KEYS, tmp_path, lambda: NOW)
    assert AlicloudDriver(around, send, answers.waits()).survey(("eu-west-1",)) == Survey(())
    assert {host for host, _, _ in answers.asked} == {"ecs.eu-west-1.aliyuncs.com", "vpc.eu-west-1.aliyuncs.com"}
