"""`-f` of the commands that look without a state: every one of them goes where the file says, or refuses the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from provisioner.cli.main import main
from provisioner.errors import InterruptedRunError
from provisioner.model.site import Site
from tests.golden.cli import samples as s

HEAD = "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n"
STACK = "  provider: aws\n  region: r-file\n  endpoints: {all: 'https://stack.example'}\n"
ENDPOINTS = {"all": "https://stack.example"}
COMMANDS = (
    ("status", "etcd"),
    ("down", "etcd", "-y"),
    ("down", "--run", "77", "-y"),
    ("adopt", "etcd", "-y"),
    ("gc",),
    ("network", "create", "ci", "-y"),
    ("network", "list"),
    ("network", "delete", "ci", "-y"),
)


class ReachedError(InterruptedRunError):
    """The work was reached; what it was told is known, and no more is asked."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """What the work of a command was told, but for its world."""
    for name in [n for n in os.environ if n.startswith("SEALER_CLOUD_")]:
        monkeypatch.delenv(name)
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    told: list[tuple[Any, ...]] = []

    async def work(_world: Any, *words: Any, **_more: Any) -> Any:
        told.append(words)
        raise ReachedError("far enough")

    network = [f"provisioner.cli.network.{name}" for name in ("create_network", "delete_network", "list_networks")]
    places = ("provisioner.finding.status", "provisioner.pipeline.down", "provisioner.adopting.adopt")
    with mock.patch("provisioner.cli.world.build_world", return_value=SimpleNamespace()):
        patches = [mock.patch(place, work) for place in (*places, "provisioner.cli.account.gc", *network)]
        for patch in patches:
            patch.start()
        yield told
        for patch in patches:
            patch.stop()


def where(words: tuple[Any, ...]) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Provider, regions and endpoints that the work was told, in whatever form it takes them."""
    sites = [word for word in words if isinstance(word, Site)]
    if sites:
        listed = words[1] if isinstance(words[1], tuple) else sites[0].regions  # `network list` takes several
        return sites[0].provider or "", listed, dict(sites[0].endpoints)
    if hasattr(words[0], "regions"):
        return words[0].provider, words[0].regions, dict(words[0].endpoints)
    args, files = words[:2]
    return args.provider, (args.region,), dict(files.infra.endpoints)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_says_where_and_a_flag_wins(
    command: tuple[str, ...], asked: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    file = tmp_path / "Infra.yaml"
    file.write_text(HEAD + STACK)
    assert main([*command, "-f", str(file)]) == ReachedError.exit_code
    assert where(asked[0]) == ("aws", ("r-file",), ENDPOINTS)
    if command[0] != "down":  # its state knows the region, or it looks everywhere
        assert main([*command, "-f", str(file), "--region", "r-flag"]) == ReachedError.exit_code
        assert where(asked[1]) == ("aws", ("r-flag",), ENDPOINTS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_of_another_provider_is_refused_with_its_line(
    command: tuple[str, ...], asked: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Infra.yaml"
    file.write_text(HEAD + STACK)
    assert main([*command, "-f", str(file), "--provider", "alicloud", "-o", "json"]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert (problem["file"], problem["line"], problem["key"]) == (str(file), 4, "spec.provider")
    assert "for provider aws, and --provider says alicloud" in problem["message"]
    file.write_text(HEAD + "  provider: moon\n")
    assert main([*command, "-f", str(file), "-o", "json"]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert (problem["line"], problem["key"]) == (4, "spec.provider")
    assert asked == []


@pytest.mark.parametrize("text", [None, HEAD + "  provider: aws\n  region: eu-central-1\n"])
def test_the_file_that_is_set_for_up_leads_no_look(
    asked: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """A CI sets it for the whole job: its clean-up must look everywhere, also where the file is gone."""
    file = tmp_path / "Infra.yaml"
    if text:
        file.write_text(text)
    monkeypatch.setenv("SEALER_CLOUD_FILE", str(file))
    assert main(["status", "etcd"]) == ReachedError.exit_code
    assert where(asked[0]) == ("", (), {})


def test_a_file_without_an_infra_says_nothing_and_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Clusterfile"
    file.write_text("apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1'}\n")
    assert main(["status", "etcd", "-f", str(file)]) == 3
    assert "no Infra document" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("table", "The state of etcd is not here"),
        ("wide", "  stands    vpc vpc-1"),
        ("json", '"stateHere": false'),
        ("name", "i-1\ni-2\n"),
    ],
)
def test_what_a_look_found_in_every_form(
    form: str, said: str, asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    async def found(*_words: Any) -> Any:
        return s.lost_report()

    with mock.patch("provisioner.finding.status", found):
        assert main(["status", "etcd", "--provider", "aws", "-o", form]) == 0
    assert said in capsys.readouterr().out
    assert asked == []


@pytest.mark.parametrize("words", [("--provider", "aws"), ("--region", "r-1"), ("-f", "Infra.yaml")], ids=" ".join)
def test_status_of_no_cluster_refuses_words_that_say_where_to_look(
    words: tuple[str, ...], asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *words]) == 3
    told = capsys.readouterr().err
    assert "without a NAME" in told
    assert "sealer-cloud gc --provider" in told
    assert not asked


def test_status_of_no_cluster_lists_whatever_variables_say(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PROVIDER", "aws"), ("REGION", "r-1"), ("FILE", "Infra.yaml")):
        monkeypatch.setenv(f"SEALER_CLOUD_{name}", value)
    with mock.patch("provisioner.access.list_clusters", return_value=()):
        assert main(["status"]) == 0
    assert not asked
