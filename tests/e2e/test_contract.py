"""The rootfs contract on real hosts, with images of a few lines: what runs when, with what env, and what failing means."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Answer, Product
from tests.e2e.snapshot import pids_of

pytestmark = [pytest.mark.hosts, pytest.mark.engine]

LIMIT = 60.0
UP = ("--provider", "local", "--yes", "-o", "json")
PRINT_ENV = 'env | grep -E "^(SEALER_|HostIP|COLOUR|SIZE)" | sort >"$SEALER_DATA/env-{name}"\n'
ROLLING: dict[str, str] = {
    **tiny.BASIC,
    "scripts/init.sh": tiny.INIT + PRINT_ENV.format(name="init") + 'pwd >"$SEALER_DATA/pwd"\n',
    "scripts/start.sh": tiny.START + PRINT_ENV.format(name="start"),
    "scripts/member.sh": '#!/bin/sh\necho "member $* on $SEALER_HOST" >>"$SEALER_DATA/members"\n',
    "scripts/reconfigure.sh": tiny.NOTE.format(name="reconfigure", marks=""),
    "scripts/remove.sh": '#!/bin/sh\necho "$SEALER_HOST of $SEALER_PEERS" >"$SEALER_DATA/removed"\nsleep 1\n',
    "etc/peers.tmpl": "{{ range .SEALER_PEERS }}{{ .Name }}={{ .Address }}\n{{ end }}colour={{ .COLOUR }}\n",
}


def images(user: Product) -> None:
    """app:v1 and app:v2, which differ in one file each."""
    cmd = 'CMD echo "ran $SEALER_HOST" >>"$SEALER_DATA/cmd"; echo "colour=$COLOUR" >>"$SEALER_OUTPUT"'
    tiny.build(user, "app:v1", {**ROLLING, "etc/only-v1": "1\n", "etc/both": "1\n"}, "ENV COLOUR=red SIZE=3", cmd)
    tiny.build(user, "app:v2", {**ROLLING, "etc/only-v2": "2\n", "etc/both": "2\n"}, "ENV COLOUR=red SIZE=3", cmd)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A user whose cluster `app` lives through this whole file, in the order of the tests."""
    home = tmp_path_factory.mktemp("contract")
    with tiny.visit(home, home / "data", tiny.unique("app")) as it:
        images(it)
        yield it


def steps(answer: Answer) -> list[str]:
    tiny.keeps_schema("up", answer.json)
    return [step["id"] for step in answer.json["steps"]]


def started_at(user: Product, host: str) -> list[float]:
    return [float(line) for line in tiny.data(user, host, "started").read_text().split()]


# ---- one cluster, from the first host to the last --------------------------------------------------------------------


def test_first_up_runs_in_order_and_with_the_documented_env(user: Product) -> None:
    answer = user.ok("up", "app:v1", *UP, "-e", "SIZE=4")
    kinds = ("rootfs/image", "file/etc/peers", "init/init.sh", "start/start.sh", "health/health.sh")
    assert steps(answer) == [*(f"m1/{kind}" for kind in kinds), "cluster/cmd/1"]
    assert tiny.notes(user, "m1") == ["init create", "start create"]
    address = answer.json["hosts"][0]["address"]
    base = f"/var/lib/sealer/data/{user.cluster}"
    expected = {
        "COLOUR": "red", "SIZE": "4", "HostIP": address, "SEALER_CLUSTER": user.cluster, "SEALER_CID": user.cid,
        "SEALER_HOST": "m1", "SEALER_ROLES": "master", "SEALER_PHASE": "create", "SEALER_ROOTFS": f"{base}/rootfs",
        "SEALER_DATA": f"{base}/data", "SEALER_PEERS": f"m1={address}", "SEALER_MASTERS": f"m1={address}",
    }  # fmt: skip
    for name in ("init", "start"):
        lines = tiny.data(user, "m1", f"env-{name}").read_text().splitlines()
        seen = dict(line.split("=", 1) for line in lines)
        assert seen.pop("SEALER_OUTPUT").startswith("/")
        assert seen == expected
    assert tiny.data(user, "m1", "pwd").read_text().strip().startswith(f"{base}/rootfs")
    assert tiny.rootfs(user, "m1", "etc/peers").read_text() == f"m1={address}\ncolour=red\n"
    assert answer.json["outputs"] == {"colour": "red"}
    assert user.ok("status", user.cluster, "-o", "json").json["outputs"] == {"colour": "red"}


def test_every_answer_keeps_its_schema(user: Product) -> None:
    for kind, words in (
        ("plan", ("plan", "app:v2", "--provider", "local", "--nodes", "1")),
        ("plan", ("plan", "-n", user.cluster)),
        ("up", ("up", "-n", user.cluster, "--yes")),
        ("status", ("status", user.cluster)),
        ("list", ("list",)),
    ):
        tiny.keeps_schema(kind, user.ok(*words, "-o", "json").json)
    said = user.run("exec", user.cluster, "-o", "json", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert said.rc == 8
    tiny.keeps_schema("exec", said.json)
    assert (said.json["rc"], said.json["stdout"]) == (3, "out\n")


def test_growing_runs_member_add_and_tells_the_others(user: Product) -> None:
    answer = user.ok("up", "app:v1", *UP, "--nodes", "1")
    ran = steps(answer)
    assert ran.index("cluster/member/n1") < ran.index("n1/init/init.sh") < ran.index("m1/reconfigure/reconfigure.sh")
    assert tiny.notes(user, "n1") == ["init join", "start join"]
    assert tiny.notes(user, "m1") == ["init create", "start create", "reconfigure create"], "m1 was not restarted"
    addresses = {h["name"]: h["address"] for h in answer.json["hosts"]}
    assert tiny.data(user, "m1", "members").read_text() == f"member add n1 {addresses['n1']} on m1\n"
    wanted = "".join(f"{name}={address}\n" for name, address in addresses.items()) + "colour=red\n"
    assert {tiny.rootfs(user, h, "etc/peers").read_text() for h in addresses} == {wanted}
    assert user.ok("up", "app:v1", *UP).json["changed"] is False
    answer = user.ok("up", "app:v1", *UP, "--nodes", "2")
    assert [h["name"] for h in answer.json["hosts"]] == ["m1", "n1", "n2"]
    assert tiny.notes(user, "n1")[-1] == "reconfigure join"
    assert "cluster/cmd/1" not in steps(answer), "the CMD is the image's, not the host's"


def test_shrinking_needs_a_word_more_and_takes_the_highest(user: Product) -> None:
    before = tiny.everything(user)
    refused = user.run("up", "app:v1", *UP, "--nodes", "1")
    assert refused.rc == 3
    assert "n2" in refused.json["error"]["message"]
    assert "--allow-delete" in refused.json["error"]["hint"]
    assert tiny.everything(user) == before
    answer = user.ok("up", "app:v1", *UP, "--nodes", "1", "--allow-delete")
    assert [h["name"] for h in answer.json["hosts"]] == ["m1", "n1"]
    assert "cluster/member/n2" in steps(answer)
    assert tiny.data(user, "m1", "members").read_text().splitlines()[-1].startswith("member remove n2")
    assert "n2=" not in tiny.rootfs(user, "n1", "etc/peers").read_text()
    assert user.ok("up", "app:v1", *UP).json["changed"] is False


def test_one_value_restarts_one_host_at_a_time(user: Product) -> None:
    plan = user.ok("plan", "app:v1", "--provider", "local", "-e", "COLOUR=blue", "-o", "json").json
    assert plan["restarts"] == ["m1", "n1"]
    answer = user.ok("up", "app:v1", *UP, "-e", "COLOUR=blue")
    assert sorted(steps(answer)) == sorted(s["id"] for h in plan["hosts"] for s in h["steps"])
    assert not any("init" in step for step in steps(answer)), "init.sh says that it depends on nothing"
    assert started_at(user, "m1")[-1] < started_at(user, "n1")[-1]
    looks = [line for line in answer.err.splitlines() if "app runs" in line or "start.sh" in line]
    first_look = next(i for i, line in enumerate(looks) if "m1: app runs" in line)
    assert first_look < next(i for i, line in enumerate(looks) if "n1: start.sh" in line), looks


def test_all_at_once_restarts_together(user: Product) -> None:
    words = ("app:v1", "--provider", "local", "-e", "COLOUR=green", "--all-at-once")
    assert user.ok("plan", *words, "-o", "json").json["restarts"] == []
    answer = user.ok("up", *words, "--yes", "-o", "json")
    assert {"m1/start/start.sh", "n1/start/start.sh"} <= set(steps(answer))


def daemons(user: Product, host: str) -> list[int]:
    found = []
    for pid in pids_of(user.cid, host):
        with suppress(OSError):  # it ended meanwhile
            found += [pid] if b"86400" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") else []
    return found


@pytest.mark.parametrize(
    ("image", "has", "lacks"), [("app:v2", "only-v2", "only-v1"), ("app:v1", "only-v1", "only-v2")]
)
def test_another_image_and_back(user: Product, image: str, has: str, lacks: str) -> None:
    before = {host: daemons(user, host) for host in ("m1", "n1")}
    assert user.ok("plan", image, "--provider", "local", "-o", "json").json["restarts"] == ["m1", "n1"]
    answer = user.ok("up", image, *UP)
    for host in ("m1", "n1"):
        assert tiny.rootfs(user, host, f"etc/{has}").exists()
        assert not tiny.rootfs(user, host, f"etc/{lacks}").exists()
        assert tiny.notes(user, host)[-2:] == ["init upgrade", "start upgrade"]
        now = daemons(user, host)
        assert len(now) == 1
        assert not set(now) & set(before[host]), "the old process is gone"
    assert started_at(user, "m1")[-1] < started_at(user, "n1")[-1]
    assert user.ok("status", user.cluster, "-o", "json").json["image"]["reference"] == image
    assert user.ok("up", image, *UP).json["changed"] is False
    assert "cluster/cmd/1" in steps(answer) or image == "app:v1", "a CMD runs once for each image"


def test_down_runs_remove_on_the_first_master(user: Product) -> None:
    removed = [tiny.data(user, host, "removed") for host in ("m1", "n1")]
    process = user.start("down", user.cluster, "--yes")
    wait_for(lambda: removed[0].exists() or process.poll() is not None)
    assert removed[0].read_text().startswith("m1 of m1=")
    assert not removed[1].exists()
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert "!" not in err, "no warning"


# ---- scripts that fail, hang, die ------------------------------------------------------------------------------------


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Product]:
    """A user without a cluster, for what goes wrong on one host."""
    with tiny.visit(tmp_path, tmp_path / "data", tiny.unique("one")) as it:
        yield it


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_preflight_that_says_no(one: Product) -> None:
    script = '#!/bin/sh\necho "looking"\n[ "$READY" = yes ] || { echo "the moon is wrong"; exit 7; }\n'
    tiny.build(one, "app:v1", {**tiny.BASIC, "scripts/preflight.sh": script})
    refused = one.run("up", "app:v1", *UP)
    assert refused.rc == 12
    error = refused.json["error"]
    assert "m1" in error["message"]
    assert "the moon is wrong" in error["message"]
    assert error["hint"]
    host = tiny.on_disk(one, "m1", "/var/lib/sealer/data").parent
    assert not (host / "data").exists(), "nothing was laid"
    assert not tiny.on_disk(one, "m1", f"/var/lib/sealer-cloud/{one.cid}").exists()
    one.ok("up", "app:v1", *UP, "-e", "READY=yes")
    assert tiny.notes(one, "m1") == ["init create", "start create"]


def test_health_that_takes_its_time_and_health_that_never_comes(one: Product) -> None:
    health = (
        '#!/bin/sh\n[ "$NEVER" != yes ] || { echo "still dark"; exit 75; }\n'
        'n=$(cat /run/looks 2>/dev/null || echo 0); echo $((n + 1)) >/run/looks\n'
        '[ "$n" -ge 3 ] || { echo "look $n"; exit 75; }\necho "light"\n'
    )  # fmt: skip
    tiny.build(one, "app:v1", {**tiny.BASIC, "scripts/health.sh": health})
    answer = one.ok("up", "app:v1", *UP)
    assert "look 1" in answer.err
    assert answer.json["health"]["m1"] == {"rc": 0, "line": "light"}
    late = one.run("up", "app:v1", *UP, "-e", "NEVER=yes", "--timeout", "6s")
    assert late.rc == 11
    assert one.ok("status", one.cluster, "-o", "json").json["hosts"][0]["state"] == "starting"


def test_health_that_says_broken(one: Product) -> None:
    health = '#!/bin/sh\n[ "$WELL" = yes ] || { echo "out of milk"; exit 1; }\n'
    tiny.build(one, "app:v1", {**tiny.BASIC, "scripts/health.sh": health})
    ill = one.run("up", "app:v1", *UP)
    assert ill.rc == 11
    error = ill.json["error"]
    assert (error["host"], error["phase"]) == ("m1", "health")
    assert "out of milk" in error["message"]
    assert one.ok("status", one.cluster, "-o", "json").json["hosts"][0] | {"name": "m1", "state": "unhealthy"}
    one.ok("up", "app:v1", *UP, "-e", "WELL=yes")


def test_a_failing_script_tells_all_and_the_same_command_goes_on(one: Product) -> None:
    init = '#!/bin/sh\n# sealer:env MODE\nfor i in $(seq 40); do echo "line $i"; done\n[ "$MODE" = ok ] || exit 9\n'
    tiny.build(one, "app:v1", {**tiny.BASIC, "scripts/init.sh": init})
    failed = one.run("up", "app:v1", *UP, "-e", "MODE=bad")
    assert failed.rc == 8
    error = failed.json["error"]
    assert error["host"] == "m1"
    assert "init.sh" in error["message"]
    assert "9" in error["message"]
    lines = failed.err.splitlines()
    assert any("line 40" in line for line in lines)
    assert not any("line 1 " in f"{line} " for line in lines), "the last lines only"
    log = next(word for word in error["hint"].split() if word.startswith("/var/lib/sealer-cloud/"))
    assert "line 1\n" in tiny.on_disk(one, "m1", log).read_text(), "the whole log lies where it is said to lie"
    command = error["hint"].split("go on with: sealer-cloud ", 1)[1].split("\n", 1)[0]
    assert "\ndone: rootfs on m1\nnot done: init.sh on m1" in error["hint"]
    going_on = one.ok(*command.split(), "--yes", "-e", "MODE=ok", "-o", "json")
    assert "m1/rootfs/image" not in steps(going_on), "what is done is not done again"
    assert "m1/init/init.sh" in steps(going_on)


SLOW = 'CMD echo "ran" >>"$SEALER_DATA/cmd"; [ -e "$SEALER_DATA/quick" ] || exec sleep 3600'


def kill_in_cmd(user: Product, image: str) -> Answer:
    """Start `up`, and when the CMD runs kill its wrapper and the command itself."""
    process = user.start("up", image, *UP)
    user_file = f"*/hosts/m1/disk/real/var-lib-sealer/data/{user.cluster}/data/cmd"
    try:
        wait_for(lambda: list(Path("/var/lib/sealer-cloud/local").glob(user_file)) or process.poll() is not None)
        user.remember()
        wait_for(lambda: daemon_of(user, b"3600"))
        for pid in (*daemon_of(user, b"verb_wrap"), *daemon_of(user, b"3600")):
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    return Answer(process.returncode, out, err)


def daemon_of(user: Product, word: bytes) -> list[int]:
    """Processes of m1 with a word in their command line; `verb_wrap` stands for the wrapper of the CMD."""
    found = []
    for pid in pids_of(user.cid, "m1"):
        words: list[bytes] = []
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        wraps = b"wrap" in words and b"sealer-host" in words
        if (word == b"verb_wrap" and wraps) or word in words:
            found.append(pid)
    return found


@pytest.mark.parametrize("flag", ["--redo", "--assume-done"])
def test_a_cmd_whose_end_nobody_knows(one: Product, flag: str) -> None:
    tiny.build(one, "app:v1", tiny.BASIC, SLOW)
    killed = kill_in_cmd(one, "app:v1")
    assert killed.rc == 8, killed
    assert "its end is unknown" in killed.json["error"]["message"]
    tiny.data(one, "m1", "quick").write_text("")
    asked = one.run("up", "app:v1", *UP)
    assert asked.rc == 8
    error = asked.json["error"]
    assert "CMD 1/1 (cluster/cmd/1)" in error["message"]
    assert "--redo cluster/cmd/1" in error["hint"]
    assert "--assume-done cluster/cmd/1" in error["hint"]
    assert tiny.data(one, "m1", "cmd").read_text() == "ran\n", "it was not guessed"
    one.ok("up", "app:v1", *UP, flag, "cluster/cmd/1")
    assert tiny.data(one, "m1", "cmd").read_text() == ("ran\nran\n" if flag == "--redo" else "ran\n")
    assert one.ok("up", "app:v1", *UP).json["changed"] is False


def test_an_idempotent_cmd_is_repeated(one: Product) -> None:
    tiny.build(one, "app:v1", tiny.BASIC, SLOW, 'LABEL sealer-cloud.cmd.1="idempotent=true"')
    assert kill_in_cmd(one, "app:v1").rc == 8
    tiny.data(one, "m1", "quick").write_text("")
    plan = one.ok("plan", "app:v1", "--provider", "local", "-o", "json").json
    assert [s["state"] for s in plan["hosts"][0]["steps"] if s["id"] == "cluster/cmd/1"] == ["unknown"]
    one.ok("up", "app:v1", *UP)
    assert tiny.data(one, "m1", "cmd").read_text() == "ran\nran\n"


def test_labels_say_how_often_a_cmd_runs(one: Product) -> None:
    rules = ("repeat=once", "repeat=per-image", "repeat=always", "repeat=per-image env=COLOUR")
    labels = [f'LABEL sealer-cloud.cmd.{n}="{rule}"' for n, rule in enumerate(rules, start=1)]
    cmds = [f'CMD echo {n} >>"$SEALER_DATA/cmd"' for n in range(1, 5)]
    for version in ("v1", "v2"):
        tiny.build(one, f"app:{version}", {**tiny.BASIC, "version": version}, "ENV COLOUR=red", *labels, *cmds)

    def ran(*words: str) -> str:
        path = tiny.data(one, "m1", "cmd")
        before = path.read_text() if path.parent.exists() and path.exists() else ""
        one.ok("up", *words, *UP)
        return tiny.data(one, "m1", "cmd").read_text().removeprefix(before).replace("\n", "")

    assert ran("app:v1") == "1234"
    assert ran("app:v1") == "3"
    assert ran("app:v1", "-e", "COLOUR=blue") == "34"
    assert ran("app:v2") == "234"
