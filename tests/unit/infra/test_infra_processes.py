"""Plugins that leave no record of themselves: written down while the engine runs, ended when they outlive it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from provisioner.infra.processes import Watch, end_recorded, family_of, is_alive, records, started_at
from provisioner.infra.pulumi_engine import PARALLEL
from provisioner.plugin.main import WORKERS

PLUGIN = """#!/usr/bin/env python3
import os, signal, sys, time
os.setpgid(0, 0)  # as real plugins are started: in a group of their own, in the engine's session
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(120)
"""
ENGINE = """#!/bin/sh
"$1" "$2" &
until [ -s "$2" ]; do sleep 0.02; done
[ -z "$3" ] || sleep "$3"
exit 7
"""


@pytest.fixture
def rig(tmp_path):
    """Starts a fake engine that starts a stubborn plugin; ends the plugin whatever happens."""
    for name, text in (("plugin", PLUGIN), ("engine", ENGINE)):
        (tmp_path / name).write_text(text.replace("/usr/bin/env python3", sys.executable))
        (tmp_path / name).chmod(0o700)
    (tmp_path / "run").mkdir()
    started = []

    def start(lasts=""):
        words = [tmp_path / "engine", tmp_path / "plugin", tmp_path / "pid", lasts]
        started.append(subprocess.Popen(words, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
    if (tmp_path / "pid").exists():
        pid = int((tmp_path / "pid").read_text())
        if started_at(pid):
            os.kill(pid, signal.SIGKILL)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def pid_in(folder):
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    return int((folder / "pid").read_text())


def test_a_plugin_that_outlives_its_engine_is_ended(rig, tmp_path):
    process = rig()
    watch = Watch(process.pid, tmp_path / "run")
    watch.wait()
    assert process.wait() == 7  # the status is still there to be taken
    plugin = pid_in(tmp_path)
    assert started_at(plugin)
    assert watch.end_rest(patience=0.1, grace=0.9) == (plugin,)
    assert started_at(plugin) is None
    assert records(tmp_path / "run") == ()


def test_a_plugin_of_a_killed_run_is_found_by_its_record_and_nobody_else_is_ended(rig, tmp_path):
    bystander = rig("60")
    other = pid_in(tmp_path)
    (tmp_path / "pid").unlink()
    process = rig("60")
    Watch(process.pid, tmp_path / "run")
    plugin = pid_in(tmp_path)
    until(lambda: plugin in {r.pid for r in records(tmp_path / "run")})
    process.kill()  # as after a SIGKILL of all of us: nobody waits for the watch any more
    process.wait()
    try:
        assert started_at(plugin)
        assert plugin in end_recorded(tmp_path / "run", patience=0.1, grace=0.9)
        assert started_at(plugin) is None
        assert started_at(other)
        assert started_at(bystander.pid)
    finally:
        os.kill(other, signal.SIGKILL)


def test_a_record_names_one_process_for_ever(rig, tmp_path):
    process = rig("60")
    plugin = pid_in(tmp_path)
    (found,) = [p for p in family_of(process.pid) if p.pid == plugin]
    assert is_alive(found)
    (tmp_path / "run" / "plugin-1.json").write_text(json.dumps({"pid": plugin, "start": found.start - 1}))
    assert end_recorded(tmp_path / "run", patience=0, grace=0.1) == ()
    assert started_at(plugin)


def test_a_look_takes_no_notice_of_strangers_and_still_finds_who_is_new(rig, tmp_path):
    process = rig("60")
    strangers = set()
    family_of(process.pid, strangers)
    assert str(os.getpid()) in strangers
    plugin = pid_in(tmp_path)
    until(lambda: plugin in {p.pid for p in family_of(process.pid, strangers)})
    assert str(plugin) not in strangers


def test_the_plugin_serves_as_many_at_once_as_the_engine_asks_for():
    assert WORKERS > PARALLEL
