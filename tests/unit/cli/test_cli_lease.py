"""`with`: whatever happens to `up` or the command, the cluster goes and the exit code tells the first cause."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from provisioner.cli import lease as module
from provisioner.cli.lease import own_name, parse_on_failure
from provisioner.cli.main import main
from provisioner.cli.relay import Relay
from provisioner.errors import (
    InterruptedRunError,
    LockedError,
    PreconditionError,
    ProviderError,
    StepError,
    UsageError,
)
from provisioner.handover import Kept
from provisioner.model.ids import ClusterId, HostName
from provisioner.model.request import ClusterDoc, Clusterfile, UpArgs
from tests.golden.cli import samples as s

TRUE, FALSE = ("sh", "-c", "exit 0"), ("sh", "-c", "exit 5")


class Cluster:
    """A cluster behind the pipeline: `up` makes it, `down` removes it, each may raise instead."""

    def __init__(self) -> None:
        self.stands = False
        self.provider = "local"
        self.calls: list[str] = []
        self.names: list[str] = []
        self.data: list[bool] = []
        self.up_error: BaseException | None = None
        self.down_answer: Any = s.down_report()
        self.kept: tuple[Kept, ...] = ()
        self.moved: list[int] = []
        self.expires_at: str | None = None
        self.move_error: BaseException | None = None

    async def up(self, _world: Any, args: UpArgs, _files: Any, _choice: Any, confirm: Callable[[Any], bool]) -> Any:
        self.calls.append("up")
        self.names.append(str(args.name))
        assert confirm(s.new_cluster())
        self.stands = True
        if self.up_error:
            raise self.up_error
        return s.up_report()

    async def down(self, _world: Any, name: str, _provider: Any, confirm: Any, *, delete_data: bool) -> Any:
        self.calls.append("down")
        self.names.append(name)
        self.data.append(delete_data)
        assert confirm(s.down_plan())
        if isinstance(self.down_answer, BaseException):
            raise self.down_answer
        self.stands = bool(self.down_answer.left)
        return self.down_answer

    def stored(self, _name: str) -> Any:
        accepted = SimpleNamespace(provider=self.provider, expires_at=self.expires_at)
        return SimpleNamespace(accepted=accepted) if self.stands else None

    async def set_in(self, _world: Any, _name: str, seconds: int) -> Any:
        self.moved.append(seconds)
        if self.move_error:
            raise self.move_error
        return s.ttl_report()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [n for n in os.environ if n.startswith("SEALER_CLOUD_")]:
        monkeypatch.delenv(name)
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    fake = Cluster()

    def build_world(settings: Any, events: Any, stop: Any) -> Any:
        return SimpleNamespace(settings=settings, events=events, stop=stop, engine=SimpleNamespace(stored=fake.stored))

    async def inventory(_world: Any, _name: str) -> Path:
        return tmp_path / "inventory.json"

    with (
        mock.patch("provisioner.cli.world.build_world", build_world),
        mock.patch("provisioner.cli.lease.build_world", build_world),
        mock.patch("provisioner.pipeline.up", fake.up),
        mock.patch("provisioner.pipeline.down", fake.down),
        mock.patch("provisioner.ttl.set_in", fake.set_in),
        mock.patch.object(module, "read_outputs", mock.AsyncMock(return_value=s.outputs())),
        mock.patch.object(module, "write_inventory", inventory),
        mock.patch.object(module, "collect", mock.AsyncMock(side_effect=lambda *_: fake.kept)),
        mock.patch("provisioner.access.status", mock.AsyncMock(return_value=s.status_report())),
    ):
        yield fake


def run(*words: str, command: tuple[str, ...] = TRUE) -> int:
    return main(["with", "app:v1", "--provider", "local", "--yes", *words, "--", *command])


@pytest.mark.parametrize(("command", "code"), [(TRUE, 0), (FALSE, 5), (("sh", "-c", "kill -9 $$"), 137)])
def test_the_exit_code_is_the_commands(command: tuple[str, ...], code: int, cluster: Cluster) -> None:
    assert run(command=command) == code
    assert cluster.calls == ["up", "down"]


def test_the_command_finds_the_cluster(cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = 'echo "$SEALER_OUTPUT_ENDPOINTS|$SEALER_OUTPUT_TOKEN|$SEALER_CLUSTER|$SEALER_INVENTORY|$HOME"'
    assert run(command=("sh", "-c", script)) == 0
    captured = capfd.readouterr()
    assert captured.out == f"10.1.2.3:2379 x|swordfish|etcd|{tmp_path}/inventory.json|{os.environ['HOME']}\n"
    assert "swordfish" not in captured.err
    assert script not in captured.err


def test_each_run_has_a_name_of_its_own(cluster: Cluster) -> None:
    run()
    run()
    (up, down), (again, _) = cluster.names[:2], cluster.names[2:]
    assert up == down != again
    assert up.startswith("app-")
    assert cluster.data == [True, True]
    run("--name", "mine")
    assert cluster.names[-1] == "mine"
    assert cluster.data[-1] is False, "data that an earlier cluster of that name left is not this run's"


def test_a_cluster_that_stands_is_not_taken(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.stands = True
    assert run("--name", "prod") == 3
    assert cluster.calls == []
    assert "prod already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["with", "app:v1", "--yes"],
        ["with", "app:v1", "--yes", "--", "no-such-command-here"],
        ["with", "app:v1", "--yes", "--on-failure", "keep", "--", "true"],
        ["with", "app:v1", "--yes", "--on-failure", "keep:soon", "--", "true"],
        ["with", "app:v1", "--yes", "--artifacts", "/dev/null/x", "--", "true"],
        ["with", "app:v1", "true"],
        ["with", "--yes", "--", "true"],
    ],
)
def test_bad_words_stop_before_anything_is_made(words: list[str], cluster: Cluster) -> None:
    assert main(words) == 3
    assert cluster.calls == []


def test_up_that_fails_is_the_exit_code_and_what_it_made_goes(cluster: Cluster, tmp_path: Path) -> None:
    cluster.up_error = StepError("init.sh failed", host="m1")
    cluster.kept = (Kept(HostName("m1"), b"{}\n", b"log\n"),)
    cluster.down_answer = s.down_report(left=("link",))
    assert run("--artifacts", str(tmp_path / "art")) == 8
    assert cluster.calls == ["up", "down"]
    error = json.loads((tmp_path / "art" / "error.json").read_text())
    assert error["error"]["message"] == "init.sh failed"
    assert (tmp_path / "art" / "m1.log").read_text() == "log\n"


@pytest.mark.parametrize("when", ["locked", "planned", "unchanged"])
def test_a_cluster_that_another_run_made_meanwhile_is_never_removed(when: str, cluster: Cluster) -> None:
    standing = replace(s.new_cluster(), cid=ClusterId("app-abc234"))

    async def up(_world: Any, _args: Any, _files: Any, _choice: Any, confirm: Callable[[Any], bool]) -> Any:
        cluster.stands = True
        if when == "locked":
            raise LockedError("cluster prod is locked by `up prod`")
        if when == "planned":
            confirm(standing)
        return replace(s.up_report(), plan=standing)

    with mock.patch("provisioner.pipeline.up", up):
        assert run("--name", "prod") == (10 if when == "locked" else 3)
    assert cluster.calls == []


def test_up_that_made_nothing_leaves_nothing_to_remove(cluster: Cluster) -> None:
    with mock.patch("provisioner.pipeline.up", mock.AsyncMock(side_effect=UsageError("no"))):
        assert run() == 3
    assert cluster.calls == []


@pytest.mark.parametrize(("command", "code"), [(TRUE, 6), (FALSE, 5)])
@pytest.mark.parametrize("raises", [True, False])
def test_what_is_left_is_the_exit_code_only_if_all_else_went_well(
    command: tuple[str, ...], code: int, raises: bool, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.down_answer = LockedError("held") if raises else s.down_report(left=("vpc-1",))
    assert run(command=command) == (10 if raises and code == 6 else code)
    err = capsys.readouterr().err
    assert ("held" if raises else "vpc-1") in err
    assert "sealer-cloud down app-" in err


@pytest.mark.parametrize(("provider", "moved"), [("local", []), ("aws", [1800])])
def test_keeping_says_how_to_look(
    provider: str, moved: list[int], cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.provider = provider
    assert run("--on-failure", "keep:30m", command=FALSE) == 5
    assert (cluster.calls, cluster.moved) == (["up"], moved)
    err = capsys.readouterr().err
    assert "sealer-cloud ssh app-" in err
    assert ("2026-11-24T13:00:00Z" in err) is bool(moved)
    cluster.stands = False
    assert run("--on-failure", "keep:30m", command=TRUE) == 0
    assert cluster.calls[-1] == "down", "nothing failed, so nothing is kept"


@pytest.mark.parametrize(
    ("had", "told"),
    [
        (None, "until you remove it: no deadline could be set"),
        ("2026-11-24T15:00:00Z", "until 2026-11-24T15:00:00Z: its"),
    ],
)
def test_a_deadline_that_could_not_be_set_is_said(
    had: str | None, told: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.provider, cluster.expires_at, cluster.move_error = "aws", had, ProviderError("the cloud refused")
    assert run("--on-failure", "keep:30m", command=FALSE) == 5, "the command's"
    assert f"is kept {told}" in " ".join(capsys.readouterr().err.split())


def test_what_is_kept_with_a_state_that_cannot_be_read_keeps_the_commands_exit_code(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def torn(_name: str) -> Any:
        raise PreconditionError("the state is torn")

    command = ("sh", "-c", f"touch {tmp_path}/ran; exit 5")
    cluster.stored = lambda name: torn(name) if (tmp_path / "ran").exists() else Cluster.stored(cluster, name)  # type: ignore[method-assign]
    assert run("--on-failure", "keep:30m", command=command) == 5
    err = capsys.readouterr().err
    assert "is kept, but its state cannot be read: the state is torn" in err
    assert "sealer-cloud down app-" in err


def test_artifacts_of_a_good_run(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "error.json").write_text("of an earlier run")
    cluster.kept = (Kept(HostName("m2"), b"", b"", "gone"),)
    assert run("--artifacts", str(tmp_path)) == 0
    assert {p.name for p in tmp_path.glob("*.json")} == {"up.json", "status.json"}
    assert json.loads((tmp_path / "status.json").read_text())["cluster"] == "etcd"


def test_a_stop_during_up_still_removes(cluster: Cluster) -> None:
    cluster.up_error = InterruptedRunError("interrupted")
    assert run() == 130
    assert cluster.calls == ["up", "down"]


SIGNALLED = (
    "import os, signal, sys; signal.signal(15, lambda *_: sys.exit(9)); os.kill(os.getppid(), 15); signal.pause()"
)


def test_sigterm_reaches_the_command_and_down_runs(cluster: Cluster) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run(command=(sys.executable, "-c", SIGNALLED)) == 9
    assert cluster.calls == ["up", "down"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_deaf_command_is_killed_after_a_while() -> None:
    deaf = "import os, signal; signal.signal(15, signal.SIG_IGN); os.kill(os.getppid(), 15)\nwhile True: signal.pause()"
    with Relay(grace=0.1) as relay:
        assert relay.run((sys.executable, "-c", deaf), os.environ) == 137
    assert relay.exit_code == 143


def test_a_signal_between_up_and_the_command_runs_no_command(cluster: Cluster, tmp_path: Path) -> None:
    def say_nothing(*_args: Any, **_more: Any) -> tuple[()]:
        os.kill(os.getpid(), signal.SIGTERM)
        return ()

    with mock.patch("provisioner.cli.lease.up_lines", side_effect=say_nothing):
        assert run(command=("touch", str(tmp_path / "ran"))) == 143
    assert not (tmp_path / "ran").exists()
    assert cluster.calls == ["up", "down"]


def test_names_are_cut_to_what_a_name_may_be() -> None:
    def random(count: int) -> bytes:
        return bytes(count)

    long = own_name(UpArgs(image=f"reg/{'a' * 62}-b:v1"), Clusterfile(), random)
    assert long == f"{'a' * 56}-aaaaaa"
    assert own_name(UpArgs(), Clusterfile(ClusterDoc("shop", None)), random) == "shop-aaaaaa"
    with pytest.raises(UsageError):
        own_name(UpArgs(), Clusterfile(), random)


def test_on_failure_has_two_forms() -> None:
    assert (parse_on_failure("destroy"), parse_on_failure("keep:1h30m")) == (None, 5400)
