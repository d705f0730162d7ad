"""What nobody could look at is no success of a command that deletes, and says which region it was."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from provisioner.cli.main import main
from tests.golden.cli import samples as s

PLACE = "cloud eu-2"


@pytest.mark.parametrize("words", [("gc", "--delete", "-y"), ("down", "--run", "77", "-y")], ids=" ".join)
@pytest.mark.parametrize(("unsure", "code"), [((PLACE,), 6), ((), 0)])
def test_a_region_that_does_not_answer_ends_a_deletion_with_6(
    words: tuple[str, ...], unsure: tuple[str, ...], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = s.gc_report(deleted=True, removed=("a",), unsure=unsure)

    async def work(*_words: object) -> object:
        return report

    with (
        mock.patch("provisioner.cli.world.build_world", return_value=SimpleNamespace()),
        mock.patch("provisioner.cli.account.gc", work),
        mock.patch.dict("os.environ", {"XDG_STATE_HOME": str(tmp_path)}),
    ):
        assert main([*words, "-o", "json"]) == code
    told = capsys.readouterr()
    assert [dark["unsure"] for dark in json.loads(told.out)["notLookedAt"]] == [bool(unsure)]
    for word in (PLACE, "run the same command again") if code else ():
        assert word in told.err
