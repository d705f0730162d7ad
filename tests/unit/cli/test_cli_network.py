"""`network`: words to the work and reports to words; the work itself is mocked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from jsonschema import Draft202012Validator

from provisioner.cli.main import main
from provisioner.cli.networkviews import networks_lines
from provisioner.cli.text import to_plain
from provisioner.model.networks import Networks, NetworkWish
from provisioner.model.site import Site
from provisioner.sharednet import Created, Deleted
from tests.golden.cli import netsamples as ns

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schema"
AT = ("--provider", "aws", "--region", "r-1")


@dataclass
class Work:
    """What the commands asked for, and what they are answered."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    created: Created = field(default_factory=ns.created)
    deleted: Deleted = field(default_factory=ns.deleted)
    networks: Networks = field(default_factory=ns.networks)

    async def create(self, _world: Any, site: Site, wish: NetworkWish, confirm: Callable[[Any], bool]) -> Created:
        self.asked.append((site, wish, confirm(ns.PLAN)))
        return self.created

    async def delete(self, _world: Any, site: Site, name: str, confirm: Callable[[Any], bool]) -> Deleted:
        self.asked.append((site, name, confirm((ns.network(),))))
        return self.deleted

    async def list(self, _world: Any, site: Site, regions: tuple[str, ...]) -> Networks:
        self.asked.append((site.provider, regions))
        return self.networks


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    for name in [n for n in os.environ if n.startswith("SEALER_CLOUD_")]:
        monkeypatch.delenv(name)
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    fake = Work()
    with (
        mock.patch("provisioner.cli.world.build_world", return_value=SimpleNamespace()),
        mock.patch("provisioner.cli.network.create_network", fake.create),
        mock.patch("provisioner.cli.network.delete_network", fake.delete),
        mock.patch("provisioner.cli.network.list_networks", fake.list),
    ):
        yield fake


def read(capsys: pytest.CaptureFixture[str], schema: str) -> dict[str, Any]:
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text())).validate(document)
    return dict(document)


def test_create_takes_its_flags_shows_and_answers(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--zone", "z-a", "--zone", "z-b", "--cidr", "10.8.0.0/16", "--yes")
    assert main(["network", "create", "ci", *AT, *flags]) == 0
    assert work.asked == [(Site("aws", "r-1"), NetworkWish("ci", "r-1", ("z-a", "z-b"), "10.8.0.0/16"), True)]
    captured = capsys.readouterr()
    assert "Network ci (aws, r-1, 10.0.0.0/16)" in captured.err
    assert "+ subnet 10.0.0.0/20 in z-a" in captured.err
    assert "Network ci stands in r-1: vpc-1 10.0.0.0/16; 2 things made" in captured.out
    assert "{shared: ci}" in captured.out
    assert main(["network", "create", "ci", *AT, "--yes", "-o", "json"]) == 0
    assert read(capsys, "network")["changed"] is True
    work.created = ns.created(made=())
    assert main(["network", "create", "ci", *AT, "--yes"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_asked(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "create", "ci", *AT]) == 3
    assert "--yes" in capsys.readouterr().err
    assert main(["network", "delete", "ci", *AT]) == 3
    assert work.asked == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "ci"), "no provider is named"),
        (("delete", "ci"), "no provider is named"),
        (("create", "C_i", *AT), "is no network name"),
        (("delete", "C_i", *AT), "is no network name"),
        (("create", "ci", *AT, "--cidr", "10.0.0.0/8"), "must be between /16 and /28"),
        (("create", "ci", *AT, "--cidr", "10.0.0.1/16"), "is no IPv4 network"),
    ],
)
def test_bad_words_are_3(work: Work, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", *words, "--yes"]) == 3
    assert said in capsys.readouterr().err
    assert work.asked == []


def test_list_in_every_form(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "list", "--provider", "aws", "--region", "a", "--region", "b"]) == 0
    assert work.asked == [("aws", ("a", "b"))]
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["NAME", "PROVIDER", "REGION", "ID", "CIDR", "ZONES", "CLUSTERS"]
    assert rows[1].split() == ["ci", "cloud", "r-1", "vpc-1", "10.0.0.0/16", "z-a", "1"]
    assert rows[3] == "not looked at: cloud r-2: not allowed\\x1b[31m"
    assert main(["network", "ls", "-o", "name"]) == 0
    assert capsys.readouterr().out == "ci\nlost\n"
    assert main(["network", "list", "-o", "json"]) == 0
    assert read(capsys, "networks")["networks"][0]["clusters"] == ["web-abc234"]
    work.networks = Networks(())
    assert main(["network", "list"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, "No shared networks found" in captured.err) == ("", True)


def test_delete_says_gone_not_there_or_left(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "delete", "ci", *AT, "--yes"]) == 0
    captured = capsys.readouterr()
    assert "- vpc vpc-1 10.0.0.0/16" in captured.err
    assert "is gone: 2 things removed" in captured.out
    work.deleted = ns.deleted(found=False, removed=())
    assert main(["network", "delete", "ci", *AT, "--yes"]) == 0
    assert "there is no network ci" in capsys.readouterr().out
    work.deleted = ns.deleted(removed=(), left=("vpc vpc-1",))
    assert main(["network", "delete", "ci", *AT, "--yes"]) == 6
    assert "is not gone: 1 thing left" in capsys.readouterr().out
    assert main(["network", "delete", "ci", *AT, "--yes", "-o", "json"]) == 6
    assert read(capsys, "network-deleted")["left"] == ["vpc vpc-1"]


def test_no_foreign_text_reaches_the_terminal_raw() -> None:
    assert not any("\x1b" in to_plain(line) for line in networks_lines(ns.networks()))
