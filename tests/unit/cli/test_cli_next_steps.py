"""What a message tells a person to write next is something that can be written."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.cli.lease import parse_on_failure
from provisioner.cli.look import print_results
from provisioner.cli.screen import Look, Screen
from provisioner.cli.sources import read_sources
from provisioner.errors import UsageError, pip_install
from provisioner.infra.plugins import plugin_folder
from provisioner.model.deadline import parse_ttl
from provisioner.model.intent import stored_name
from provisioner.world import ExecResult


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: parse_ttl("x"), "--ttl 2h"),
        (lambda: parse_on_failure("keep:x"), "--on-failure keep:2h"),
        (lambda: stored_name(None), "-n NAME"),
        (lambda: plugin_folder(Path("cache"), "aws"), "pulumi plugin install resource aws"),
        (lambda: plugin_folder(Path("cache"), "gcp"), "there is one for alicloud"),
    ],
)
def test_the_next_step(call: Callable[[], object], hint: str) -> None:
    with pytest.raises(UsageError) as told:
        call()
    assert hint in told.value.hint


def test_a_missing_file_is_named_as_it_was_given() -> None:
    with pytest.raises(UsageError) as told:
        read_sources(["missing.yaml"])
    assert told.value.message == "missing.yaml: No such file or directory"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("m3 (192.0.2.3 port 22) refused the connection", "✘ m3 (192.0.2.3 port 22) refused the connection"),
        ("the link died; its end is unknown", "✘ m3: the link died; its end is unknown"),
        ("m30 is another", "✘ m3: m30 is another"),
    ],
)
def test_a_host_that_does_not_answer_is_named_once_and_then_the_way_on(error: str, line: str) -> None:
    err = io.StringIO()
    results = (ExecResult("m2", 3, "", ""), ExecResult("m3", None, "", "", error))
    print_results(Screen(Look(), io.StringIO(), err), "etcd", results)
    assert err.getvalue().splitlines()[1:] == [line, "  → `sealer-cloud up -n etcd` looks at its hosts and mends them"]


def test_an_optional_part_is_added_to_this_python() -> None:
    assert pip_install("aws") == f"{sys.executable} -m pip install 'sealer-cloud[aws]'"
