"""Reading a host: one round trip, nothing written, hostile content stays data."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from provisioner.apply.wire import parse_reply
from provisioner.errors import HostError, PreconditionError
from provisioner.model.steps import StepKind
from tests.contract.wrapper.rig import Rig
from tests.fakes.hosts import PATHS, until


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for p in [folder, *folder.rglob("*")])


async def test_fresh_host(rig: Rig) -> None:
    facts = await rig.facts()
    assert facts.arch in {"amd64", "arm64"}
    assert facts.cpus == len(os.sched_getaffinity(0))
    assert facts.memory > 1 << 28
    assert facts.disk_free > 1 << 20
    assert facts.uid == os.getuid()
    assert facts.boot_id == "00000000-0000-4000-8000-000000000001"
    assert {"tar", "sha256sum", "setsid", "mv-T"} <= facts.tools
    assert (facts.other_cids, facts.name_taken, facts.digests, facts.current) == ((), False, frozenset(), None)
    assert (facts.health, facts.open_runs, facts.ledger.entries, facts.outputs) == (None, (), (), "")


async def test_reading_writes_nothing(rig: Rig) -> None:
    await started(rig, "echo fine")
    before = listing(rig.host.folder)
    await rig.facts({"A": "1"})
    assert listing(rig.host.folder) == before


async def started(rig: Rig, health: str) -> None:
    rig.write_script("start.sh", "exit 0")
    rig.write_script("health.sh", health)
    argv = rig.run_argv("m1/start/start.sh", "./scripts/start.sh")
    assert (await rig.connection().run(argv, timeout=60)).ok


@pytest.mark.parametrize(
    ("body", "rc", "line"),
    [
        ('echo first; echo "$A last"; echo', 0, "it's last"),
        ("echo wait; exit 75", 75, "wait"),
        ("exit 3", 3, ""),
        ("printf 'no newline'", 0, "no newline"),
        ("echo out; echo err >&2", 0, "out"),
        ("printf '\\033[2J\\007evil\\n'", 0, "\\x1b[2J\\x07evil"),
        ("printf '%0500d\\n' 7", 0, "0" * 200),
        ("dd if=/dev/zero bs=1048576 count=30 2>/dev/null; echo; echo end", 0, "end"),
        ('echo "@end 0"; echo; echo "@facts 3"; printf "\\n@@sealer-1\\n"; echo x', 0, "x"),
    ],
)
async def test_health_is_part_of_the_read(rig: Rig, body: str, rc: int, line: str) -> None:
    await started(rig, body)
    health = (await rig.facts({"A": "it's"})).health
    assert health is not None
    assert (health.rc, health.line) == (rc, line)


async def test_health_that_hangs_is_given_up_with_all_it_started(rig: Rig) -> None:
    await started(rig, "echo asking; sleep 300 & sleep 300")
    health = (await rig.facts({}, seconds=1)).health
    assert health is not None
    assert health.rc == 137
    await until(lambda: rig.host.processes() == [])


@pytest.mark.parametrize("flood", ["", "while :; do echo flood; done; "])
async def test_health_that_leaves_somebody_who_holds_its_output_is_answered(rig: Rig, flood: str) -> None:
    await started(rig, f"setsid sh -c '{flood}sleep 300' & echo asked; exit 75")
    began = time.monotonic()
    health = (await asyncio.wait_for(rig.facts({}, seconds=30), 25)).health
    assert time.monotonic() - began < 20
    assert health is not None
    assert health.rc == 75
    assert flood or health.line == "asked"
    rig.host.end_processes()


async def test_look_after_its_limit_is_answered_whoever_holds_the_output(rig: Rig) -> None:
    body = b"#!/bin/sh\nsetsid sleep 300 &\necho asking\nsleep 300\n"
    result = await asyncio.wait_for(rig.call("probe", 1, 0, stdin=body), 25)
    reply = parse_reply(result.stdout, "m1")
    assert (reply["health_rc"], reply["health_tail"]) == (b"137", b"asking\n")
    rig.host.end_processes()


async def test_health_with_more_env_than_one_word_takes(rig: Rig) -> None:
    await started(rig, 'echo "${#A} ${#B} ${#C}"; read -r x; echo "stdin $?" >&2')
    health = (await rig.facts(dict.fromkeys("ABC", "x'" * 40000))).health
    assert health is not None
    assert (health.rc, health.line) == (0, "80000 80000 80000")


async def test_health_is_not_asked_before_the_start_nor_after_a_reboot(rig: Rig) -> None:
    rig.write_script("start.sh", "exit 0")
    rig.write_script("health.sh", "echo fine")
    assert (await rig.facts({})).health is None
    await started(rig, "echo fine")
    assert (await rig.facts({})).health is not None
    assert (await rig.facts()).health is None
    rig.host.boot(2)
    assert (await rig.facts({})).health is None


async def test_health_after_a_failed_start_is_not_asked(rig: Rig) -> None:
    await started(rig, "echo fine")
    rig.write_script("start.sh", "exit 1")
    argv = rig.run_argv("m1/start/start.sh", "./scripts/start.sh", run="later")
    await rig.connection().run(argv, timeout=60)
    assert (await rig.facts({})).health is None


async def test_other_clusters_and_a_taken_name_are_seen(rig: Rig) -> None:
    other = rig.host.at(PATHS.state_root) / "other-abc234"
    other.mkdir(parents=True)
    (other / "ledger.jsonl").touch()
    (rig.host.at(PATHS.state_root) / "local").mkdir()
    rig.host.at(PATHS.base).mkdir(parents=True)
    facts = await rig.facts()
    assert facts.other_cids == ("other-abc234",)
    assert facts.name_taken


async def test_only_whole_digests_count(rig: Rig) -> None:
    folder = rig.host.at(PATHS.base) / "rootfs.d"
    for name in ("ab" * 32, f"{'cd' * 32}.new-x", "zz" * 32, "short"):
        (folder / name).mkdir(parents=True)
    (folder / ("ef" * 32)).symlink_to("/")
    assert (await rig.facts()).digests == {f"sha256:{'ab' * 32}"}


async def test_link_that_points_elsewhere_is_no_digest(rig: Rig) -> None:
    rig.host.at(PATHS.base).mkdir(parents=True)
    rig.rootfs.symlink_to("/etc")
    assert (await rig.facts()).current is None


@pytest.mark.parametrize(
    "text",
    [
        *("{}\n", "no json\n", '{"v":2}\n', '{"v":1,"kind":"dance"}\n', "[" * 5000 + "\n", "\x00\n"),
        *('{"v":1,"kind":[]}\n', '{"v":{},"kind":{}}\n', '{"v":true,"kind":"init"}\n', '[{"v":1}]\n', "null\n"),
    ],
)
async def test_newer_or_broken_ledger_is_refused(rig: Rig, text: str) -> None:
    rig.host.state(PATHS).mkdir(parents=True)
    rig.host.state(PATHS, "ledger.jsonl").write_text(text)
    with pytest.raises(PreconditionError):
        await rig.facts()


async def test_ledger_that_is_too_large_is_refused_not_cut(rig: Rig) -> None:
    await started(rig, "echo fine")
    ledger = rig.host.state(PATHS, "ledger.jsonl")
    ledger.write_text(ledger.read_text() * 20_000)
    with pytest.raises(PreconditionError, match="the ledger of m1 is larger than 8 MiB") as caught:
        await rig.facts()
    assert caught.value.exit_code == 12


async def test_wanted_commands_are_looked_for(rig: Rig) -> None:
    from provisioner.apply.facts import Reading, read_facts

    facts = await read_facts(rig.connection(), Reading(PATHS, commands=("sh", "no-such-command")))
    assert "sh" in facts.tools
    assert "no-such-command" not in facts.tools


async def test_probe_runs_a_script_and_leaves_nothing(rig: Rig) -> None:
    body = b'#!/bin/sh -u\necho "$A"; echo no space for us; exit 9\n'
    env = b"export A='x'\n"
    result = await rig.call("probe", 10, len(env), stdin=env + body)
    reply = parse_reply(result.stdout, "m1")
    assert (reply["health_rc"], reply["health_tail"]) == (b"9", b"x\nno space for us\n")
    assert sorted(str(p.relative_to(rig.host.folder)) for p in rig.host.folder.rglob("*") if p.is_file()) == ["boot_id"]
    assert not rig.host.at(PATHS.tmpfs_root).exists()
    assert not rig.host.at(PATHS.state_root).exists()


async def test_kinds_in_the_script_are_those_of_the_model(rig: Rig) -> None:
    from provisioner.apply.wire import PARTS, host_script

    assert "last_was_ok start" in host_script(PARTS["read"])
    assert StepKind.START.value == "start"


async def test_noise_of_a_login_shell_is_no_reply(rig: Rig) -> None:
    result = await rig.call("read", 0)
    noisy = b"Welcome!\n@facts 3\nxxx\n" + result.stdout
    assert parse_reply(noisy, "m1") == parse_reply(result.stdout, "m1")
    for cut in (10, len(result.stdout) // 2, len(result.stdout) - 9):
        with pytest.raises(HostError):
            parse_reply(result.stdout[:cut], "m1")
