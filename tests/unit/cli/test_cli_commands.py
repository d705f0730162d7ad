"""From words to the pipeline and from its answers to words: the seams are mocked, everything of the shell is real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from jsonschema import Draft202012Validator

from provisioner.cli.main import main
from provisioner.errors import HostError, LockedError, StepError
from provisioner.events import Phase as EventPhase
from provisioner.events import PhaseDone, PhaseStarted
from provisioner.model.ids import StepId
from provisioner.model.request import UpArgs
from provisioner.model.site import Site
from provisioner.world import ExecResult, UpChoice
from tests.golden.cli import samples as s

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schema"


class Pipeline:
    """The pipeline as a table of answers that remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.plan_answer: Any = s.new_cluster()
        self.up_answer: Any = s.up_report()
        self.down_answer: Any = s.down_report()
        self.exec_answer: tuple[ExecResult, ...] = ()

    async def up(self, world: Any, args: UpArgs, files: Any, choice: UpChoice, confirm: Callable[[Any], bool]) -> Any:
        self.calls.append((args, files, choice))
        world.events(PhaseStarted(EventPhase.MACHINES, 3))
        if not confirm(self.plan_answer):
            from provisioner.errors import InterruptedRunError

            raise InterruptedRunError("not confirmed; nothing was changed")
        world.events(PhaseDone(EventPhase.MACHINES, "3 of 3", 2.1))
        return _answer(self.up_answer)

    async def plan(self, _world: Any, args: UpArgs, files: Any, choice: UpChoice) -> Any:
        self.calls.append((args, files, choice))
        return _answer(self.plan_answer)

    async def down(
        self,
        _world: Any,
        name: str,
        site: Site,
        confirm: Callable[[Any], bool],
        *,
        delete_data: bool,
        unasked: bool,
    ) -> Any:
        del unasked
        self.calls.append((name, site, confirm(s.down_plan()), delete_data))
        return _answer(self.down_answer)

    async def status(self, _world: Any, name: str) -> Any:
        self.calls.append((name,))
        return s.status_report()

    async def exec_on(self, _world: Any, name: str, hosts: tuple[str, ...], argv: list[str], timeout: float) -> Any:
        self.calls.append((name, hosts, argv, timeout))
        return self.exec_answer


def _answer(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    import os

    for name in [n for n in os.environ if n.startswith("SEALER_CLOUD_")]:
        monkeypatch.delenv(name)
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    fake = Pipeline()
    engine = SimpleNamespace(stored=lambda _name: SimpleNamespace(inventory=s.inventory()), names=lambda: ("etcd",))

    def build_world(settings: Any, events: Any, stop: Any) -> Any:
        return SimpleNamespace(settings=settings, events=events, stop=stop, engine=engine)

    with (
        mock.patch("provisioner.cli.world.build_world", build_world),
        mock.patch("provisioner.cli.look.build_world", build_world),
        mock.patch("provisioner.pipeline.up", fake.up),
        mock.patch("provisioner.pipeline.plan", fake.plan),
        mock.patch("provisioner.pipeline.down", fake.down),
        mock.patch("provisioner.access.status", fake.status),
        mock.patch("provisioner.access.exec_on", fake.exec_on),
        mock.patch("provisioner.access.list_clusters", return_value=s.list_rows()),
    ):
        yield fake


def read(capsys: pytest.CaptureFixture[str], schema: str) -> dict[str, Any]:
    document = json.loads(capsys.readouterr().out)
    if schema != "up":  # its plan is a reference to another file; test_cli_json follows it
        Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text())).validate(document)
    return dict(document)


EVERY_FLAG = """
    -n etcd --provider local --masters 3 --nodes 2 -e A=1 --env B=2 --env-secret PW --cmd one --cmd two --data-root /data
    -y --allow-delete --replace --expect-plan sha256:1 --all-at-once --redo cluster/cmd/1
    --assume-done m1/init/init.sh --timeout 1h30m --lock-timeout 5m
    --region r-1 --zone a --zone b --ttl 2h -u ops -i key --max-price 0.25 --only machines
"""


def test_every_flag_of_up_reaches_the_pipeline(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "Clusterfile"
    file.write_text("apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: etcd}\nspec: {image: 'etcd:v1'}\n")
    assert main(["up", "etcd:v1", "-f", str(file), *EVERY_FLAG.split()]) == 0
    args, files, choice = pipeline.calls[0]
    assert args == UpArgs(
        image="etcd:v1",
        name="etcd",
        provider="local",
        masters="3",
        nodes="2",
        env=("A=1", "B=2"),
        env_secret=("PW",),
        cmd=("one", "two"),
        data_root="/data",
        replace=True,
        region="r-1",
        zones=("a", "b"),
        ttl="2h",
        user="ops",
        identity="key",
    )
    assert files.cluster.name == "etcd"
    assert choice == UpChoice(
        yes=True,
        allow_delete=True,
        expect_plan="sha256:1",
        redo=frozenset({StepId("cluster/cmd/1")}),
        assume_done=frozenset({StepId("m1/init/init.sh")}),
        all_at_once=True,
        timeout=5400.0,
        lock_timeout=300.0,
        max_price=0.25,
        only="machines",
    )


@pytest.mark.parametrize("price", ["0", "cheap", "-1", "1e3", "nan"])
def test_a_price_is_a_number(price: str, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "etcd:v1", f"--max-price={price}"]) == 3
    assert "--max-price" in capsys.readouterr().err
    assert not pipeline.calls


def test_only_takes_two_words(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "etcd:v1", "--only", "hosts"]) == 3
    assert "machines, cluster" in capsys.readouterr().err


def test_variables_stand_in_for_flags(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALER_CLOUD_MASTERS", "3")
    monkeypatch.setenv("SEALER_CLOUD_YES", "1")
    monkeypatch.setenv("SEALER_CLOUD_ENV", "A=one two\nB=3")
    assert main(["up", "etcd:v1"]) == 0
    args, _, choice = pipeline.calls[0]
    assert (args.masters, args.env, choice.yes) == ("3", ("A=one two", "B=3"), True)


def test_up_ends_with_the_next_commands(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "etcd:v1", "--auto-approve"]) == 0
    captured = capsys.readouterr()
    assert "Up in 6.8 s (machines 2.1, rootfs 1.4, steps 1.1, health 2.2)" in captured.out
    assert "sealer-cloud ssh etcd m1" in captured.out
    assert "Machines  + 3 hosts" in captured.err
    assert "\x1b" not in captured.err + captured.out


def test_a_quiet_up_gives_its_first_line_and_the_outputs(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "etcd:v1", "--yes", "-q"]) == 0
    captured = capsys.readouterr()
    first, *outputs = captured.out.splitlines()
    assert first == "Up in 6.8 s (machines 2.1, rootfs 1.4, steps 1.1, health 2.2)"
    assert outputs == [f"  {key} = {value}" for key, value in pipeline.up_answer.apply.outputs.items()] != []
    assert captured.err == ""


def test_up_in_json_is_one_document(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "etcd:v1", "-y", "-o", "json"]) == 0
    document = read(capsys, "up")
    assert document["changed"] is True
    assert [h["name"] for h in document["hosts"]] == ["m1", "m2", "m3"]
    assert document["plan"]["cluster"] == "etcd"


def test_without_a_terminal_up_asks_nothing_and_ends_with_3(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    with mock.patch("sys.stdin", mock.Mock(isatty=lambda: False)):
        assert main(["up", "etcd:v1", "-o", "json"]) == 3
    assert read(capsys, "error")["error"]["hint"].endswith("--yes")


def test_a_person_who_says_no_gets_130(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    stdin = mock.Mock(isatty=lambda: True, readline=lambda: "no\n", fileno=mock.Mock(side_effect=OSError))
    with mock.patch("sys.stdin", stdin), mock.patch("provisioner.cli.run.can_ask", return_value=True):
        assert main(["up", "etcd:v1"]) == 130
    err = capsys.readouterr().err
    assert "not confirmed; nothing was changed" in err
    assert "go on" not in err


def test_non_interactive_is_never_asked(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALER_CLOUD_NON_INTERACTIVE", "1")
    with mock.patch("sys.stdin", mock.Mock(isatty=lambda: True, readline=lambda: "y\n")):
        assert main(["up", "etcd:v1"]) == 3


def test_a_failure_tells_the_story(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.up_answer = StepError("init.sh ended with exit status 1", host="m2", phase="steps", evidence="no space")
    assert main(["up", "etcd:v1", "-y"]) == 8
    lines = capsys.readouterr().err.splitlines()
    start = lines.index("✘ steps on m2: init.sh ended with exit status 1")
    assert lines[start + 1] == "  │ no space"
    assert lines[start + 2] == "  done      machines"
    assert lines[start + 3].startswith("  not done  rootfs on m1 m2 m3, etc/etcd.conf on m1 m2 m3")
    assert lines[start + 4] == "  go on     sealer-cloud up -n etcd"


def test_a_story_that_the_error_tells_is_told_once_and_line_by_line(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "mend it\ndone: rootfs on m1\nnot done: init.sh on m1\ngo on with: sealer-cloud up -n etcd"
    error = StepError("init.sh failed", host="m1", hint=hint)
    error.told = True
    pipeline.up_answer = error
    assert main(["up", "etcd:v1", "-y"]) == 8
    err = capsys.readouterr().err
    assert err.endswith(
        "✘ m1: init.sh failed\n"
        "  → mend it\n    done: rootfs on m1\n    not done: init.sh on m1\n    go on with: sealer-cloud up -n etcd\n"
    )


def test_dry_run_is_plan(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "etcd:v1", "--dry-run", "-o", "json"]) == 0
    first = read(capsys, "plan")
    assert main(["plan", "etcd:v1", "-o", "json"]) == 0
    assert read(capsys, "plan") == first
    assert first["cid"] is None


def test_plan_in_every_form(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for form in ("table", "wide", "yaml", "name", "markdown"):
        assert main(["preview", "etcd:v1", "-o", form]) == 0
        said[form] = capsys.readouterr().out
    assert said["table"].splitlines()[-1] == "Plan      " + s.new_cluster().plan_hash
    assert "m1/init/init.sh" in said["wide"]
    assert said["name"].splitlines()[0] == "m1/rootfs/image"
    assert said["markdown"].startswith("# ")
    assert "planHash:" in said["yaml"]


@pytest.mark.parametrize(("changes", "code"), [(True, 2), (False, 0)])
def test_only_detailed_exitcode_ends_with_2(pipeline: Pipeline, changes: bool, code: int) -> None:
    pipeline.plan_answer = s.new_cluster() if changes else s.no_change()
    assert main(["plan", "etcd:v1"]) == 0
    assert main(["plan", "etcd:v1", "--detailed-exitcode"]) == code


def test_plan_refuses_another_plan_than_the_expected_one(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "etcd:v1", "--expect-plan", s.new_cluster().plan_hash]) == 0
    capsys.readouterr()
    assert main(["plan", "etcd:v1", "--expect-plan", "sha256:other", "-o", "json"]) == 12
    assert "sha256:other" in read(capsys, "error")["error"]["message"]


def test_bad_files_stop_before_the_pipeline(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Clusterfile"
    file.write_text("apiVersion: sealer.io/v2\nkind: Cluster\nspec: {imagee: 'etcd:v1'}\n")
    assert main(["up", "-f", str(file), "-y", "-o", "json"]) == 3
    error = read(capsys, "error")["error"]
    assert any("imagee" in p["key"] for p in error["problems"])
    assert pipeline.calls == []


def test_validate_answers_in_both_forms(pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1'}\n")
    bad.write_text("apiVersion: sealer.io/v2\nkind: Cluster\nspec: {imagee: 'a:1'}\n")
    assert main(["validate", str(good), "-o", "json"]) == 0
    assert read(capsys, "validate")["valid"] is True
    assert main(["validate", str(good), str(bad), "-o", "json"]) == 3
    document = read(capsys, "validate")
    assert document["valid"] is False
    assert document["problems"][0]["file"] == str(bad)
    assert main(["validate", str(good), str(bad)]) == 3
    assert f"{bad}:" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["down", "destroy"])
def test_down(verb: str, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "etcd", "--provider", "local", "-y", "-o", "json"]) == 0
    assert read(capsys, "down")["removed"]
    assert main([verb, "etcd", "--delete-data", "-y"]) == 0
    assert pipeline.calls == [("etcd", Site("local"), True, False), ("etcd", Site(), True, True)]


def test_down_that_leaves_something_is_6(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.down_answer = s.down_report(left=("link sc-a2b3c4",))
    assert main(["down", "etcd", "-y"]) == 6
    assert "link sc-a2b3c4" in capsys.readouterr().out


def test_status_and_list(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "etcd", "-o", "json"]) == 0
    assert [h["state"] for h in read(capsys, "status")["hosts"]] == ["healthy", "stopped", "starting"]
    assert main(["status", "-o", "json"]) == 0
    assert len(read(capsys, "list")["clusters"]) == 2
    assert main(["ls", "-o", "name"]) == 0
    assert capsys.readouterr().out == "etcd\nshop\n"
    assert main(["list"]) == 0
    assert capsys.readouterr().out.startswith("NAME ")


def test_exec_chooses_hosts_and_leads_lines(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.exec_answer = (
        ExecResult("m1", 0, "a\nb\x1b[2J\n", ""),
        ExecResult("m2", 3, "", "bad\n"),
    )
    assert main(["exec", "etcd", "--host", "m2", "--host", "m1", "--timeout", "5s", "--", "sh", "-c", "x -o json"]) == 8
    assert pipeline.calls == [("etcd", ("m1", "m2"), ["sh", "-c", "x -o json"], 5.0)]
    captured = capsys.readouterr()
    assert captured.out == "m1: a\nm1: b\\x1b[2J\n"
    assert captured.err == "m2: bad\n✘ m2: exit status 3\n"


def test_exec_on_one_host_gives_its_lines_as_they_are(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.exec_answer = (ExecResult("m1", 0, "a\nb", ""),)
    assert main(["exec", "etcd", "--host", "m1", "--", "true"]) == 0
    assert capsys.readouterr().out == "a\nb\n"


def test_exec_in_json_is_a_stream(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.exec_answer = (ExecResult("m1", 0, "a", ""), ExecResult("m2", None, "", "", "no route"))
    assert main(["exec", "etcd", "--role", "master", "-o", "json", "--", "true"]) == 7
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    Draft202012Validator(json.loads((SCHEMAS / "exec.schema.json").read_text())).validate(second)
    assert (first["host"], second["rc"], second["error"]) == ("m1", None, "no route")


@pytest.mark.parametrize("words", [["--host", "m9"], ["--role", "gpu"]])
def test_exec_names_what_is_not_there(words: list[str], pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "etcd", *words, "--", "true"]) == 3
    assert words[1] in capsys.readouterr().err


def test_ssh_becomes_the_systems_ssh(pipeline: Pipeline) -> None:
    with (
        mock.patch("provisioner.access.ssh_argv", lambda _w, name, host: ["ssh", f"root@{name}.{host}"]),
        mock.patch("os.execvp", side_effect=OSError(2, "No such file")) as execvp,
    ):
        assert main(["ssh", "etcd", "m1", "--", "ls", "-l"]) == 12
    execvp.assert_called_once_with("ssh", ["ssh", "root@etcd.m1", "ls", "-l"])


@pytest.mark.parametrize(
    ("error", "code"),
    [(LockedError("held by pid 1"), 10), (HostError("gone"), 7), (ExceptionGroup("g", [HostError("x")]), 7)],
)
def test_what_the_pipeline_raises_is_the_exit_code(error: Exception, code: int, pipeline: Pipeline) -> None:
    pipeline.plan_answer = error
    assert main(["plan", "etcd:v1"]) == code


def test_down_of_a_misspelt_name_says_what_may_be_meant(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.down_answer = replace(s.down_report(), removed=(), cid=None)
    for name, hint in (("ectd", "did you mean etcd?"), ("nobody", "clusters here: etcd")):
        assert main(["down", name, "-y"]) == 0
        assert hint in capsys.readouterr().err
