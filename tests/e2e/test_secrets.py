"""A canary in every secret slot: in the clear it stands nowhere but where it must."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.local.defaults import default_paths
from tests.e2e import tiny
from tests.e2e.product import Answer, Product
from tests.e2e.snapshot import pids_of
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]

BY_ENV, BY_FILE, BY_FLAG = "canary-env-Zk81", "canary-file-\"Wq'7$x\\n", "canary-flag-Ty55"
BY_OUTPUT, BY_POOL = "canary-output-Pp09", "canary-pool-Mm31"
WORDS = (BY_ENV, BY_FILE, BY_FLAG, BY_OUTPUT, BY_POOL)

# Every script says all that it knows, as careless scripts do.
SAY = 'echo "I know $BY_ENV and $BY_FILE"; echo "and $BY_FLAG and $BY_POOL" >&2\nset\n'
FILES = {
    "scripts/preflight.sh": f'#!/bin/sh\n{SAY}[ "$MODE" != refuse ] || {{ echo "no: $BY_ENV"; exit 1; }}\n',
    "scripts/init.sh": f'#!/bin/sh\n{SAY}[ "$MODE" != fail ]\n',
    "scripts/start.sh": f"#!/bin/sh\n{SAY}setsid sleep 86400 </dev/null >/dev/null 2>&1 &\n",
    "scripts/health.sh": f'#!/bin/sh\n{SAY}[ "$MODE" != ill ] || {{ echo "ill: $BY_ENV"; exit 1; }}\necho "well: $BY_ENV"\n',
    "scripts/remove.sh": f"#!/bin/sh\n{SAY}exit 1\n",
    "etc/secret.conf.tmpl": "env={{ .BY_ENV }}\nfile={{ .BY_FILE }}\n",
    "etc/plain.conf.tmpl": "host={{ .SEALER_HOST }}\n",
    # The value is put together on the host, so that no file of the image and no word of ours holds it.
    "bin/cmd.sh": f"""#!/bin/sh
{SAY}printf 'secret:token=%s-%s\\nplain=see %s\\nurl=http://x:%s@y\\n' canary output-Pp09 here "$BY_ENV" >>"$SEALER_OUTPUT"
""",
}
CLUSTERFILE = """apiVersion: sealer.io/v2
kind: Cluster
metadata: {name: NAME}
spec:
  image: careless:v1
  env: ['BY_ENV=${env:CANARY_ENV}', 'BY_FILE=${file:HOME/secret}', MODE=fail]
---
apiVersion: sealer.io/v2
kind: Infra
spec:
  provider: local
  hosts:
    - {roles: [master], count: 2, env: {BY_POOL: '${env:CANARY_POOL}'}}
"""


class Sampler(threading.Thread):
    """Collects every command line of this machine while something runs, as often as it can."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.rounds = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.003):
            self.rounds += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_bytes())

    def stop(self) -> bytes:
        self._done.set()
        self.join()
        return b"\n".join(self.seen)


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    it = Sampler()
    it.start()
    yield it
    it.stop()


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory, sampler: Sampler) -> Iterator[tuple[Product, list[Answer]]]:
    """A user whose run failed once and then went well, in folders that hold nothing else; and all that was said."""
    before = look(tiny.NOBODY)
    home = tmp_path_factory.mktemp("secrets")
    name = tiny.unique("secrets")
    user = Product(home, cluster=name)
    user.extra |= {"XDG_CACHE_HOME": str(own_cache(home)), "TMPDIR": str(home / "tmp"), "SEALER_CLOUD_NAME": name}
    user.extra |= {"CANARY_ENV": BY_ENV, "CANARY_POOL": BY_POOL, "BY_FLAG": BY_FLAG}
    (home / "tmp").mkdir()
    (home / "secret").write_text(BY_FILE)
    (home / "Clusterfile").write_text(CLUSTERFILE.replace("NAME", name).replace("HOME", str(home)))
    tiny.build(user, "careless:v1", FILES, "CMD bin/cmd.sh")
    yield user, life(user)
    user.run("down", name, "--provider", "local", "--yes")
    tiny.nothing_left(user.cid, before)


def own_cache(home: Path) -> Path:
    """A cache folder of our own, so that it can be searched, with the real engine and sshd behind links."""
    cache = home / "cache" / "sealer-cloud"
    cache.mkdir(parents=True)
    real = default_paths().sshd.parent
    for part in ("engine", default_paths().sshd.name):
        if (real / part).exists():
            (cache / part).symlink_to(real / part)
    return cache.parent


UP = ("up", "-f", "Clusterfile", "--env-secret", "BY_FLAG", "--yes", "-vv")


def life(user: Product) -> list[Answer]:
    """A preview, runs that fail in each way, a good one, a change, and every way to look; what each said."""
    said = [user.run("plan", "-f", "Clusterfile", "--env-secret", "BY_FLAG", "-o", form, "-vv") for form in FORMS]
    for mode, code in (("refuse", 12), ("fail", 8), ("ill", 11)):
        said.append(user.run(*UP, "-e", f"MODE={mode}", "-o", "json"))
        assert said[-1].rc == code, said[-1]
    said.append(user.run(*UP, "-e", "MODE=ok", "-o", "json"))
    assert said[-1].rc == 0, said[-1]
    user.extra["CANARY_POOL"] = BY_POOL + "-new"
    said.append(user.run("plan", "-n", user.cluster, "-o", "markdown", "-vv"))
    said += [user.run("up", "-n", user.cluster, "--yes", "-vv"), user.run("up", "-n", user.cluster, "--yes", "-vv")]
    for form in ("table", "wide", "json", "yaml"):
        said += [user.run("status", user.cluster, "-o", form, "-vv"), user.run("list", "-o", form, "-vv")]
    said.append(user.run("exec", user.cluster, "-o", "json", "-vv", "--", "env"))
    said.append(user.run("ssh", user.cluster, "m1", "--", "env"))
    assert [a.rc for a in said[-13:]] == [0] * 13, [a.err for a in said if a.rc]
    return said


FORMS = ("table", "wide", "json", "yaml", "markdown")


def forms_of(word: str) -> list[bytes]:
    """How a value may stand somewhere: as it is, in JSON, in base64."""
    raw = word.encode()
    return [raw, json.dumps(word)[1:-1].encode(), base64.b64encode(raw).rstrip(b"=")]


def found_in(data: bytes, words: tuple[str, ...] = WORDS) -> list[str]:
    return [word for word in words if any(form in data for form in forms_of(word))]


def keys(user: Product) -> dict[str, str]:
    """Secrets of our own making: pieces of the login key, the ledgers' key, the passphrase."""
    cached = json.loads((user.state / "clusters" / user.cluster / "keys.json").read_text())
    body = "".join(line for line in cached["loginPrivate"].splitlines() if "-----" not in line)
    passphrase = (user.state / "passphrase").read_text()
    return {"login": body[80:120], "hmac": cached["hmac"], "passphrase": passphrase}


def test_nothing_that_was_said_holds_one(careless: tuple[Product, list[Answer]]) -> None:
    user, said = careless
    words = (*WORDS, *keys(user).values())
    for answer in said:
        assert found_in(answer.out.encode(), words) == [], answer.out
        assert found_in(answer.err.encode(), words) == [], answer.err
    assert any("***" in answer.err for answer in said), "what the failing script said was shown, masked"


def test_secret_outputs_are_shown_as_such(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    outputs = user.ok("status", user.cluster, "-o", "json").json["outputs"]
    assert outputs == {"token": "***", "plain": "see here", "url": "http://x:***@y"}


def test_no_command_line_holds_one(careless: tuple[Product, list[Answer]], sampler: Sampler) -> None:
    user, _ = careless
    seen = sampler.stop()
    assert sampler.rounds > 100
    assert b"sealer-host" in seen, "the sampler sees what runs on hosts"
    assert found_in(seen, (*WORDS, *keys(user).values())) == []


def files_with(folder: Path, words: tuple[str, ...]) -> dict[str, int]:
    """Files below a folder that hold one of the words in the clear, with their modes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with suppress(OSError):
                if found_in(path.read_bytes(), words):
                    found[str(path.relative_to(folder))] = path.stat().st_mode & 0o777
    return found


def test_the_operators_files_hold_one_only_where_they_must(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    own = keys(user)
    cluster = f"state/sealer-cloud/clusters/{user.cluster}"
    assert files_with(user.home, WORDS) == {"secret": 0o644}, "the user's own file alone"
    assert files_with(user.home, (own["login"],)) == {f"{cluster}/keys.json": 0o600, f"{cluster}/ssh/id_ed25519": 0o600}
    assert files_with(user.home, (own["hmac"],)) == {f"{cluster}/keys.json": 0o600}
    assert files_with(user.home, (own["passphrase"],)) == {"state/sealer-cloud/passphrase": 0o600}
    assert list((user.home / "tmp").iterdir()) == []
    assert {p.name for p in (user.home / "cache/sealer-cloud").iterdir()} <= {
        "engine",
        default_paths().sshd.name,
        "changesets",
    }


def test_hosts_hold_one_only_where_they_must(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    for host in ("m1", "m2"):
        ours = tiny.on_disk(user, host, f"/var/lib/sealer-cloud/{user.cid}")
        assert ours.stat().st_mode & 0o777 == 0o700
        found = files_with(ours, WORDS)
        logs = {name: mode for name, mode in found.items() if name.endswith("/log")}
        assert set(logs.values()) == {0o600}, "a script's own log is root's alone"
        others = {name: mode for name, mode in found.items() if name not in logs}
        assert {Path(name).name for name in others} == {"outputs"}, "what a CMD gave, on all masters"
        assert set(others.values()) == {0o600}
        laid = files_with(tiny.on_disk(user, host, f"/var/lib/sealer/data/{user.cluster}"), WORDS)
        assert {Path(name).name: mode for name, mode in laid.items()} == {"secret.conf": 0o600}
        record = Path("/var/lib/sealer-cloud/local", user.cid)
        made = keys(user)
        ledgers = files_with(ours, (made.pop("hmac"),))
        assert ledgers == {"cluster.json": 0o600}, "the key of the ledgers lies beside them, for adopt, and is root's"
        assert files_with(record, tuple(made.values())) == {}
        everything = {name for name in files_with(record, WORDS) if name.startswith(f"hosts/{host}/")}
        assert len(everything) == len(found) + len(laid), everything
        assert files_with(Path("/run/sealer-cloud"), WORDS) == {}


def test_what_lives_on_after_the_run_carries_none(careless: tuple[Product, list[Answer]]) -> None:
    """Hosts outlive the operator: of its environment they take nothing. What start.sh began has the script's env."""
    user, _ = careless
    for host in ("m1", "m2"):
        pids = pids_of(user.cid, host)
        assert pids
        for pid in pids:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name != "sleep":
                assert found_in(Path(f"/proc/{pid}/environ").read_bytes()) == [], name


def test_templates_are_rendered_with_them(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    assert tiny.rootfs(user, "m2", "etc/secret.conf").read_text() == f"env={BY_ENV}\nfile={BY_FILE}\n"
    assert tiny.rootfs(user, "m2", "etc/plain.conf").stat().st_mode & 0o777 == 0o644


def test_a_literal_on_the_command_line_is_refused_and_not_repeated(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    for word in (f"K={BY_ENV}", f"K=a${{env:CANARY_ENV}}{BY_ENV}", f"{BY_ENV}!"):
        answer = user.run("up", "-n", user.cluster, "--yes", "--env-secret", word, "-o", "json")
        assert answer.rc == 3
        assert found_in(answer.out.encode() + answer.err.encode()) == [], answer.err
        assert "--env-secret" in answer.json["error"]["message"]


BUG = """
import provisioner.apply.facts as facts
from provisioner.model.secret import reveal

async def broken(hosts, reading):
    raise RuntimeError("held " + " ".join(reveal(v) for env in reading.envs.values() for _, v in env))

import provisioner.stage2 as stage2
stage2.read_hosts = broken
"""


def test_a_bug_reports_no_value(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    (user.home / "python").mkdir()
    (user.home / "python" / "sitecustomize.py").write_text(BUG)
    broken = Product(
        user.home,
        {**user.extra, "PYTHONPATH": f"{user.home / 'python'}:{os.environ.get('PYTHONPATH', '')}"},
        cluster=user.cluster,
    )
    answer = broken.run("up", "-n", user.cluster, "--yes", "-o", "json")
    assert answer.rc == 1
    assert "a bug of ours: RuntimeError" in answer.err
    (report,) = (user.state / "reports").iterdir()
    assert str(report) in answer.err
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_bytes() + answer.out.encode() + answer.err.encode()
    assert found_in(text) == []


def test_a_secret_that_is_gone_fails_only_what_needs_it(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    without = Product(user.home, {k: v for k, v in user.extra.items() if k != "CANARY_ENV"}, cluster=user.cluster)
    answer = without.run("up", "-n", user.cluster, "--yes", "-o", "json")
    assert answer.rc == 5
    assert "${env:CANARY_ENV}" in answer.json["error"]["message"]
    assert without.run("status", user.cluster).rc == 0
    assert without.run("exec", user.cluster, "--", "true").rc == 0


def test_down_says_none(careless: tuple[Product, list[Answer]]) -> None:
    user, _ = careless
    answer = user.ok("down", user.cluster, "--yes", "-vv", "-o", "json")
    assert "remove.sh" in answer.err
    assert found_in(answer.out.encode() + answer.err.encode()) == []
    assert files_with(user.home, WORDS) == {"secret": 0o644}
