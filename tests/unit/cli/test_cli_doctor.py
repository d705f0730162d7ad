"""`doctor`: a cloud that nobody uses is no fault; what a used one lacks is. `--permissions` prints policies."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from drivers.nocloud import NoCloud
from provisioner.cli.doctor import collect_checks
from provisioner.cli.main import main
from provisioner.cli.text import to_plain
from provisioner.cli.views import check_lines
from provisioner.cli.world import quiet_libraries
from provisioner.errors import PreconditionError
from provisioner.model.driver import Check
from provisioner.settings import load_settings

NO_KEY = Check("credentials", ok=False, detail="none", hint="set some")
KEY = Check("credentials", ok=True, detail="from the environment", hint="set some")
NO_PLUGIN = Check("plugin", ok=False, detail="missing", hint="build it")


class Cloud(NoCloud):
    def __init__(self, *checks: Check) -> None:
        self._checks = checks

    def check(self, _spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        if not self._checks:
            raise PreconditionError("it cannot be asked", hint="try later")
        return self._checks


def found(tmp_path: Path, name: str, *checks: Check) -> list[Check]:
    drivers: Any = {name: lambda _around: Cloud(*checks)}
    settings = load_settings({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    return [c for c in collect_checks(settings, drivers) if c.name.startswith(name)]


def test_a_cloud_without_credentials_is_not_in_use(tmp_path: Path) -> None:
    (check,) = found(tmp_path, "aws", NO_KEY, NO_PLUGIN)
    assert (check.ok, check.detail) == (True, "not set up: none")
    assert to_plain(check_lines([check])[1]).strip() == "→ set some", "what to do to use it"


def test_an_account_that_does_not_answer_is_a_fault_though_there_are_credentials(tmp_path: Path) -> None:
    silent = Check("aws account", ok=False, detail="the AWS API cannot be reached", hint="look at the network")
    assert [c.ok for c in found(tmp_path, "aws", silent, NO_PLUGIN)] == [False, False]


def test_what_a_cloud_in_use_lacks_is_a_fault(tmp_path: Path) -> None:
    assert [(c.ok, c.hint) for c in found(tmp_path, "aws", KEY, NO_PLUGIN)] == [(True, ""), (False, "build it")]


def test_what_holds_has_no_hint(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    drivers: Any = {"aws": lambda _around: Cloud(KEY)}
    held = [c for c in collect_checks(settings, drivers) if c.ok]
    assert {c.name for c in held} >= {"folder state", "aws: credentials"}
    assert [c.hint for c in held] == [""] * len(held)


def test_here_every_lack_is_a_fault(tmp_path: Path) -> None:
    assert [c.ok for c in found(tmp_path, "local", NO_KEY)] == [False]
    (check,) = found(tmp_path, "local")
    assert (check.ok, check.hint) == (False, "try later")


def test_permissions_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--permissions", "alicloud"]) == 0
    assert json.loads(capsys.readouterr().out)["Statement"]
    assert main(["doctor", "--permissions", "local"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "provider local needs no permissions\n")
    assert main(["doctor", "--permissions", "nowhere"]) == 3


def test_libraries_do_not_print(capsys: pytest.CaptureFixture[str]) -> None:
    quiet_libraries()
    logging.getLogger("a.library").error("Failed to get credentials")
    assert capsys.readouterr().err == ""
