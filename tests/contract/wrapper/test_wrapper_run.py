"""The wrapper: one run, one end, known whatever happens to the link."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from provisioner.apply.wire import host_argv, parse_reply, render_env, step_key
from provisioner.model.ids import HostName, StepId
from tests.contract.wrapper.rig import RUN, Rig
from tests.fakes.connection import FakeHost
from tests.fakes.hosts import PATHS, until

STEP = "m1/init/init.sh"


async def test_status_and_last_output_come_back(rig: Rig) -> None:
    reply = await rig.script('echo "out $1"; echo err >&2; exit 7', "one")
    assert (reply["ended"], reply["rc"]) == (b"done", b"7")
    assert reply["tail"] == b"out one\nerr"
    assert reply["recorded"] == b"yes"


async def test_intent_stands_in_the_ledger_before_the_result(rig: Rig) -> None:
    await rig.script("exit 3")
    first, second = rig.ledger().entries
    assert (first.event, first.rc, second.event, second.rc) == ("intent", None, "result", 3)
    assert (first.step, first.kind, first.scope, first.run, first.cid) == (STEP, "init", "host", RUN, PATHS.cid)
    assert first.boot_id == "00000000-0000-4000-8000-000000000001"


async def test_script_runs_in_the_rootfs_with_its_env_and_a_normal_umask(rig: Rig) -> None:
    reply = await rig.script('pwd; umask; echo "$A|$SEALER_DATA"', env={"A": "1", "SEALER_DATA": PATHS.data})
    assert reply["tail"].decode().split("\n") == [str(rig.rootfs), "0022", f"1|{rig.host.at(PATHS.data)}"]


async def test_shebang_decides_and_a_script_without_the_bit_runs_too(rig: Rig) -> None:
    path = rig.write_script("init.sh", '#!/bin/sh -e\nfalse\necho "not reached"\n')
    argv = rig.run_argv(STEP, "./scripts/init.sh")
    assert parse_reply((await rig.connection().run(argv, timeout=60)).stdout, "m1")["rc"] == b"1"
    path.chmod(0o644)
    argv = rig.run_argv(STEP, "./scripts/init.sh", run=f"{RUN}2")
    reply = parse_reply((await rig.connection().run(argv, timeout=60)).stdout, "m1")
    assert (reply["rc"], reply["tail"]) == (b"0", b"not reached")


async def test_command_runs_with_sh(rig: Rig) -> None:
    rig.write_script("x", "")
    env = render_env([("HOST", "h")])
    argv = rig.run_argv("cluster/cmd/1", "sh", "-c", 'echo "$HOST"; false || exit 4', mode="command", env=env)
    result = await rig.connection().run(argv, stdin=env, timeout=60)
    reply = parse_reply(result.stdout, "m1")
    assert (reply["rc"], reply["tail"]) == (b"4", b"h")
    assert rig.ledger().entries[0].scope == "cluster"


async def test_signals_are_not_ignored_by_what_scripts_start(rig: Rig) -> None:
    reply = await rig.script("grep SigIgn /proc/self/status")
    ignored = int(reply["tail"].split()[1], 16)
    # busybox ash leaves QUIT ignored in any child of an `eval` that has a background job: its own habit, and harmless.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        assert not ignored >> (number - 1) & 1, signal.Signals(number).name


async def test_link_killed_in_the_middle_keeps_the_status(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; while [ ! -e go ]; do sleep 0.05; done; echo ended; exit 5")
    running = asyncio.create_task(rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh"), timeout=60))
    log = rig.run_folder(STEP) / "log"
    await until(lambda: log.exists() and b"began" in log.read_bytes())
    rig.host.cut()
    assert (await running).rc is None
    (rig.rootfs / "go").touch()
    reply = parse_reply((await rig.call("wait", RUN, step_key(StepId(STEP)), 20)).stdout, "m1")
    assert (reply["ended"], reply["rc"], reply["tail"]) == (b"done", b"5", b"began\nended")
    assert rig.ledger().entries[-1].rc == 5


async def test_run_again_attaches_and_never_runs_twice(rig: Rig) -> None:
    rig.write_script("init.sh", "echo x >>count; while [ ! -e go ]; do sleep 0.05; done")
    argv = rig.run_argv(STEP, "./scripts/init.sh")
    first = asyncio.create_task(rig.connection().run(argv, timeout=60))
    await until((rig.rootfs / "count").exists)
    second = asyncio.create_task(rig.connection().run(argv, timeout=60))
    await asyncio.sleep(0)
    (rig.rootfs / "go").touch()
    replies = [parse_reply(r.stdout, "m1") for r in await asyncio.gather(first, second)]
    third = parse_reply((await rig.connection().run(argv, timeout=60)).stdout, "m1")
    assert [r["rc"] for r in (*replies, third)] == [b"0"] * 3
    assert (rig.rootfs / "count").read_text() == "x\n"
    assert len(rig.ledger().entries) == 2


async def test_slow_disk_before_the_intent_starts_nothing_twice(tmp_path: Path) -> None:
    rig = Rig(FakeHost(HostName("m1"), tmp_path / "m1"), tmp_path)
    tools = rig.host.folder / "slow"
    tools.mkdir()
    (tools / "sync").write_text("#!/bin/sh\n[ -e go ] || sleep 0.5\n")
    (tools / "sync").chmod(0o755)
    rig.host.path = f"{tools}:{rig.host.path}"
    rig.write_script("init.sh", "echo x >>count")
    argv = rig.run_argv(STEP, "./scripts/init.sh")
    first = asyncio.create_task(rig.connection().run(argv, timeout=60))
    await until((rig.run_folder(STEP) / "step").exists)
    rig.host.cut()
    assert (await first).rc is None
    assert [r.alive for r in (await rig.facts()).open_runs] == [True]
    second = parse_reply((await rig.connection().run(argv, timeout=60)).stdout, "m1")
    third = parse_reply((await rig.call("wait", RUN, step_key(StepId(STEP)), 20)).stdout, "m1")
    assert (second["rc"], third["rc"]) == (b"0", b"0")
    assert (rig.rootfs / "count").read_text() == "x\n"
    rig.host.end_processes()


async def test_one_who_died_before_he_began_is_followed(rig: Rig) -> None:
    rig.run_folder(STEP).mkdir(parents=True)
    (rig.run_folder(STEP) / "starter").write_text("999999 1 00000000-0000-4000-8000-000000000001\n")
    assert (await rig.script("exit 0"))["rc"] == b"0"


async def test_daemon_holds_neither_the_channel_nor_the_wrapper(rig: Rig) -> None:
    reply = await asyncio.wait_for(rig.script("sleep 300 & echo $! >pid; echo up"), 20)
    assert (reply["rc"], reply["tail"]) == (b"0", b"up")
    pid = int((rig.rootfs / "pid").read_text())
    os.kill(pid, 0)
    fds = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: ASYNC240
    assert not [f for f in fds if f.startswith(("pipe:", "socket:")) or "lock" in f], fds
    await until(lambda: rig.host.processes() == [pid])  # no wrapper, no watcher, no shell is left


async def test_timeout_ends_the_whole_session(rig: Rig) -> None:
    body = 'trap "" TERM; sh -c \'trap "" TERM; while :; do sleep 1; done\' & while :; do sleep 1; done'
    reply = await asyncio.wait_for(rig.script(body, timeout=1), 40)
    assert (reply["ended"], reply["rc"], reply["timeout"]) == (b"done", b"124", b"yes")
    await until(lambda: rig.host.processes() == [])


async def test_large_output_is_capped_and_its_end_is_kept(rig: Rig) -> None:
    body = "dd if=/dev/zero bs=1048576 count=100 2>/dev/null | tr '\\000' y; echo; echo the end"
    reply = await rig.script(body)
    assert reply["rc"] == b"0"
    assert len(reply["tail"]) < 70_000
    assert reply["tail"].endswith(b"\nthe end")
    assert (rig.run_folder(STEP) / "log").stat().st_size <= 64 << 20


async def test_wrapper_killed_is_an_unknown_end(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; sleep 300")
    running = asyncio.create_task(rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh"), timeout=60))
    child = rig.run_folder(STEP) / "child"
    await until(lambda: child.exists() and child.read_text().strip() != "")
    rig.host.cut()
    await running
    facts = await rig.facts()
    assert [(r.step, r.alive, r.rc) for r in facts.open_runs] == [(STEP, True, None)]
    rig.host.end_processes()
    facts = await rig.facts()
    assert [(r.step, r.alive, r.rc) for r in facts.open_runs] == [(STEP, False, None)]
    assert facts.ledger.record(StepId(STEP)).open_intent is not None
    reply = parse_reply((await rig.call("wait", RUN, step_key(StepId(STEP)), 5)).stdout, "m1")
    assert reply["ended"] == b"lost"


async def test_script_that_outlives_its_wrapper_counts_as_alive(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; sleep 300")
    running = asyncio.create_task(rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh"), timeout=60))
    child, wrapper = (rig.run_folder(STEP) / name for name in ("child", "pid"))
    await until(lambda: child.exists() and child.read_text().strip() != "" and wrapper.exists())
    os.kill(int(wrapper.read_text().split()[0]), signal.SIGKILL)
    await running
    assert [(r.alive, r.rc) for r in (await rig.facts()).open_runs] == [(True, None)]
    os.kill(int(child.read_text()), signal.SIGKILL)
    assert [(r.alive, r.rc) for r in (await rig.facts()).open_runs] == [(False, None)]


async def test_status_without_a_ledger_line_is_written_down_later(rig: Rig) -> None:
    await rig.script("exit 0")
    folder = rig.run_folder(STEP)
    ledger = rig.host.state(PATHS, "ledger.jsonl")
    ledger.write_text(ledger.read_text().splitlines()[0] + "\n")  # as if killed between status and ledger
    (folder / "recorded").unlink()
    assert [(r.alive, r.rc) for r in (await rig.facts()).open_runs] == [(False, 0)]
    await rig.call("wait", RUN, step_key(StepId(STEP)), 5)
    assert (await rig.facts()).open_runs == ()
    assert [e.event for e in rig.ledger().entries] == ["intent", "result"]


async def test_reboot_ends_what_ran(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; sleep 300")
    running = asyncio.create_task(rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh"), timeout=60))
    child = rig.run_folder(STEP) / "child"
    await until(lambda: child.exists() and child.read_text().strip() != "")
    rig.host.cut()
    await running
    rig.host.boot(2)
    facts = await rig.facts()
    assert [(r.alive, r.rc) for r in facts.open_runs] == [(False, None)]
    reply = await rig.script("echo again", run=f"{RUN}2")
    assert reply["rc"] == b"0"
    assert (await rig.facts()).open_runs == ()


async def test_outputs_are_merged_by_key_and_later_ones_win(rig: Rig) -> None:
    await rig.script('printf "a=1\\nsecret:b=2\\nno line\\n;x=3\\n" >>"$SEALER_OUTPUT"')
    reply = await rig.script('echo "b=4" >>"$SEALER_OUTPUT"; echo "a.c=5" >>"$SEALER_OUTPUT"', run=f"{RUN}2")
    assert reply["outputs"] == b"b=4\na.c=5\n"
    facts = await rig.facts()
    assert facts.outputs == "a=1\nb=4\na.c=5\n"
    assert rig.host.state(PATHS, "outputs").stat().st_mode & 0o777 == 0o600
    assert (await rig.call("outputs", 4, stdin=b"a=9\n")).ok
    assert (await rig.facts()).outputs == "b=4\na.c=5\na=9\n"
    assert (await rig.call("outputs", 9, stdin=b"a=8\nb=")).rc == 1
    assert (await rig.facts()).outputs == "b=4\na.c=5\na=9\n"


async def test_outputs_that_have_no_room_are_left_out_as_a_whole_and_that_is_told(rig: Rig) -> None:
    await rig.script('echo "a=1" >>"$SEALER_OUTPUT"')
    value = "x" * 40_000
    body = f'echo "a=2" >>"$SEALER_OUTPUT"; printf "b=%s\nc=%s\n" {value} {value} >>"$SEALER_OUTPUT"'
    reply = await rig.script(body, run=f"{RUN}2")
    assert (reply["rc"], reply["outputs_lost"], reply["outputs"]) == (b"0", b"yes", b"")
    assert (await rig.facts()).outputs == "a=1\n"
    assert (await rig.script(f'echo "b={value}" >>"$SEALER_OUTPUT"', run=f"{RUN}3"))["outputs"] != b""
    lines = f"c={value}\n".encode()
    assert (await rig.call("outputs", len(lines), stdin=lines)).rc == 70
    assert (await rig.facts()).outputs == f"a=1\nb={value}\n"
    assert not [p.name for p in rig.host.state(PATHS).iterdir() if p.name.startswith("outputs.")]


async def test_outputs_of_several_at_once_are_all_kept(rig: Rig) -> None:
    if "flock" not in (await rig.facts()).tools:
        pytest.skip("without flock the operator's side alone keeps calls apart")
    calls = [rig.call("outputs", 4, stdin=f"{key}=1\n".encode()) for key in "abcdef"]
    assert all(result.ok for result in await asyncio.gather(*calls))
    assert sorted((await rig.facts()).outputs.split()) == [f"{key}=1" for key in "abcdef"]


async def test_outputs_of_a_failed_script_count_nothing(rig: Rig) -> None:
    await rig.script('echo "a=1" >>"$SEALER_OUTPUT"; exit 1')
    assert (await rig.facts()).outputs == ""


async def test_nothing_of_the_env_stays_on_the_host(rig: Rig) -> None:
    secret = "canary-7f3a"
    await rig.script('sleep 0.1; echo "${#S}"', env={"S": secret})
    for path in rig.host.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    tmpfs = rig.host.at(PATHS.tmpfs)
    assert list(tmpfs.iterdir()) == []
    assert tmpfs.stat().st_mode & 0o777 == rig.host.state(PATHS).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("sent", [0, 1, 20, 39])
async def test_env_that_was_cut_starts_nothing(rig: Rig, sent: int) -> None:
    rig.write_script("init.sh", "touch ran")
    env = render_env([("A", "1"), ("TOKEN", "canary-7f3a")])
    argv = rig.run_argv(STEP, "./scripts/init.sh", env=env)
    result = await rig.connection().run(argv, stdin=env[:sent], timeout=60)
    assert (result.rc, result.stderr) == (74, b"the stream was cut\n")
    assert not (rig.rootfs / "ran").exists()
    assert not rig.host.state(PATHS, "ledger.jsonl").exists()
    assert list(rig.host.at(PATHS.tmpfs).iterdir()) == []
    reply = parse_reply((await rig.call("wait", RUN, step_key(StepId(STEP)), 5)).stdout, "m1")
    assert reply["ended"] == b"unstarted"
    assert (await rig.connection().run(argv, stdin=env, timeout=60)).ok
    assert (rig.rootfs / "ran").exists()


async def test_secret_is_in_no_argv_while_the_script_runs(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; while [ ! -e go ]; do sleep 0.05; done")
    env = b"export S='canary-7f3a'\n"
    argv = rig.run_argv(STEP, "./scripts/init.sh", env=env)
    running = asyncio.create_task(rig.connection().run(argv, stdin=env, timeout=60))
    log = rig.run_folder(STEP) / "log"
    await until(lambda: log.exists() and b"began" in log.read_bytes())
    pids = rig.host.processes()
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]  # noqa: ASYNC240
    assert lines
    assert not any(b"canary" in line for line in lines)
    (rig.rootfs / "go").touch()
    await running


async def test_unknown_run_is_unstarted(rig: Rig) -> None:
    reply = parse_reply((await rig.call("wait", RUN, "none", 5)).stdout, "m1")
    assert reply["ended"] == b"unstarted"


async def test_a_living_run_of_another_run_id_is_refused(rig: Rig) -> None:
    rig.write_script("init.sh", "echo began; while [ ! -e go ]; do sleep 0.05; done")
    first = asyncio.create_task(rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh"), timeout=60))
    log = rig.run_folder(STEP) / "log"
    await until(lambda: log.exists() and b"began" in log.read_bytes())
    result = await rig.connection().run(rig.run_argv(STEP, "./scripts/init.sh", run=f"{RUN}2"), timeout=60)
    assert result.rc == 79
    (rig.rootfs / "go").touch()
    assert (await first).ok


@pytest.mark.parametrize("cut", [1, 20, 0])
async def test_torn_line_goes_before_the_next_is_written(rig: Rig, cut: int) -> None:
    await rig.script("exit 0")
    ledger = rig.host.state(PATHS, "ledger.jsonl")
    ledger.write_bytes(ledger.read_bytes()[: -cut or None])
    if cut == 0:
        ledger.write_bytes(ledger.read_bytes() + b"\0\0\0")
    assert (await rig.facts()).ledger.torn
    await rig.script("exit 0", run=f"{RUN}2")
    events = [e.event for e in rig.ledger().entries]
    assert events == (["intent", "intent", "result"] if cut else ["intent", "result", "intent", "result"])


async def test_record_writes_pairs_and_settles_dead_runs(rig: Rig) -> None:
    fields = '"run":"r","fence":0,"cid":"c","owner":"o","step":"cluster/cmd/1","kind":"cmd","scope":"cluster","inputs":"","tool":"t"'
    result = await rig.call(
        "record", stdin=f"pair 0 cluster+cmd+1 {fields}\nresult 3 cluster+cmd+1 {fields}\n".encode()
    )
    assert result.ok, result
    assert [(e.event, e.rc) for e in rig.ledger().entries] == [("intent", None), ("result", 0), ("result", 3)]


async def test_unknown_verb_changes_nothing(rig: Rig) -> None:
    words = list(host_argv(PATHS, "read"))
    words[5] = "explode"
    result = await rig.connection().run(words, timeout=20)
    assert (result.rc, result.stdout) == (64, b"")
    assert sorted(p.name for p in rig.host.folder.iterdir()) == ["boot_id"]


async def test_words_arrive_as_they_are(rig: Rig) -> None:
    words = ["", " ", "'", '"', "$(touch x)", "`id`", "a\nb", "-n", "\\", "*", "é\x01"]
    reply = await rig.script('for w in "$@"; do printf "%s|" "$w"; done; echo', *words)
    assert reply["tail"].decode() == "|".join(words) + "|"
    assert host_argv(PATHS, "read")[0:4] == ("sh", "-c", 'eval "$1"', "sealer-host")
