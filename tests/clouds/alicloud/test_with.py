"""`with` where machines cost money: what the command finds, what the cloud is told of the end, and that nothing stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.alicloud.spec import auto_release
from tests.clouds.alicloud.scene import make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine]

WITH = ("with", "app:v1", "--provider", "alicloud", "--yes")
EXPIRES = "sealer-cloud:expires-at"
REACH = """\
import json, os, subprocess
print(os.environ["SEALER_CLUSTER"], os.environ["SEALER_OUTPUT_COLOUR"])
inventory = json.load(open(os.environ["SEALER_INVENTORY"]))
def ssh(host, place, *more):
    words = ["ssh", "-F", "none", "-i", host["privateKeyFile"], "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={inventory['knownHostsFile']}", "-o", "StrictHostKeyChecking=yes", *more]
    return [*words, "-p", str(place["port"]), f"{place['user']}@{place['host']}"]
for host in inventory["hosts"]:
    by = host["jump"] and " ".join(ssh(host, host["jump"], "-W", "%h:%p"))
    way = ssh(host, host["ssh"], *(["-o", f"ProxyCommand={by}"] if by else []))
    print(subprocess.run([*way, "hostname"], check=True, capture_output=True, text=True).stdout.strip(), bool(by))
raise SystemExit(4)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds app:v1."""
    user = Product(tmp_path_factory.mktemp("image"))
    tiny.build(user, "app:v1", tiny.BASIC, "ENV COLOUR=red", 'CMD echo "colour=$COLOUR" >>"$SEALER_OUTPUT"')
    return user.home / "data"


def runner(home: Path, simulator: Simulator, image: Path, **more: str) -> Product:
    """A user who has named no cluster."""
    user = make_user(home, simulator, image, "web")
    user.extra = {**user.extra, "SEALER_CLOUD_NAME": "", **more}
    return user


def now() -> datetime:
    """As deadlines count: whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def told_at_create(simulator: Simulator) -> set[tuple[str, str]]:
    """Deadline by tag and release time of each machine, as its create call had them."""
    calls = [c.params for c in simulator.account.log if c.action == "RunInstances" and not c.code]
    tags = [
        {p[k]: p[k.replace("Key", "Value")] for k in p if k.startswith("Tag.") and k.endswith(".Key")} for p in calls
    ]
    return {(t[EXPIRES], p["AutoReleaseTime"]) for t, p in zip(tags, calls, strict=True)}


def stands(simulator: Simulator) -> set[tuple[str, str]]:
    """The same of the machines as they are."""
    return {(t.tags[EXPIRES], t["AutoReleaseTime"]) for t in simulator.account.store.all("instance")}


def only(found: set[tuple[str, str]]) -> datetime:
    """The one deadline of all, which the cloud keeps: its release time is what follows from it."""
    ((deadline, release),) = found
    assert release == auto_release(deadline)
    return datetime.fromisoformat(deadline)


def test_a_command_that_failed_keeps_the_cluster_for_a_while_and_another_runner_removes_it(
    tmp_path: Path, alicloud_hosts: Simulator, image: Path
) -> None:
    ci = {"CI": "true", "GITHUB_RUN_ID": "4711", "GITHUB_REPOSITORY": "ann/app"}
    user = runner(tmp_path / "a", alicloud_hosts, image, **ci)
    (user.home / "reach.py").write_text(REACH)
    begun = now()
    flags = "--masters 1 --nodes 1 --on-failure keep:30m --artifacts art -- python3 reach.py"
    answer = user.run(*WITH, *flags.split())
    ended = now()
    assert answer.rc == 4, answer.err
    (name, colour), *reached = (line.split() for line in answer.out.splitlines())
    assert (colour, reached) == ("red", [["m1", "False"], ["n1", "True"]])
    assert "CI is set and no --ttl: this cluster ends 4h after its create" in answer.err
    four, half = timedelta(hours=4), timedelta(minutes=30)
    assert begun + four <= only(told_at_create(alicloud_hosts)) <= ended + four
    kept = only(stands(alicloud_hosts))
    assert begun + half <= kept <= ended + half, answer.err
    assert f"{name} is kept until {kept:%Y-%m-%dT%H:%M:%SZ}" in answer.err
    everything = [t for kind in ("vpc", "group", "instance") for t in alicloud_hosts.account.store.all(kind)]
    assert {t.tags[EXPIRES] for t in everything} == {f"{kept:%Y-%m-%dT%H:%M:%SZ}"}
    assert json.loads((user.home / "art" / "up.json").read_text())["changed"] is True
    files = {p.name for p in (user.home / "art").iterdir()}
    assert {"status.json", "m1.log", "n1.log", "m1.ledger.jsonl", "n1.ledger.jsonl"} <= files

    other = runner(tmp_path / "b", alicloud_hosts, image, GITHUB_REPOSITORY="ann/app")
    other.ok("down", "--run", "ann/app#4712", "--yes")
    assert len(stands(alicloud_hosts)) == 1, "another run's"
    other.ok("down", "--run", "ann/app#4711", "--yes")
    assert alicloud_hosts.account.store.counts() == {}
