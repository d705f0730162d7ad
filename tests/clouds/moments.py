"""Killed at a named moment, and what is left then: the same for every cloud.

A process of the run stands still at the moment, and then all of the run is killed: nobody has a last word, and the
moment is met exactly.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clouds.processes import family, slay
from tests.e2e.product import Answer, Product

PATIENCE = 300.0
OURS = ("made-Intent", "made-HostKey", "made-HostIdentity")
"""Our own resources, in the order in which they are made."""


@contextmanager
def armed(user: Product, text: str) -> Iterator[None]:
    """The failpoint for the commands within."""
    user.extra["SEALER_CLOUD_FAILPOINT"] = text
    try:
        yield
    finally:
        del user.extra["SEALER_CLOUD_FAILPOINT"]


def killed_at(user: Product, words: tuple[str, ...], moment: str) -> None:
    """Run a command until a part of it has come to the moment, then kill all of it."""
    with armed(user, f"{moment}=stop"):
        process = user.start(*words)
    deadline = time.monotonic() + PATIENCE
    while not any(_stands_still(pid) for pid in family(process.pid)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{moment} never came"
        time.sleep(0.02)
    slay(family(process.pid))
    process.communicate(timeout=60)
    user.remember()


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def checkpoint(user: Product) -> bytes:
    """The engine's state of the user's cluster, as it lies on the disk."""
    (file,) = (user.state / "backend/.pulumi/stacks").glob(f"*/{user.cluster}.json")
    return file.read_bytes()


@contextmanager
def lost_state(user: Product) -> Iterator[None]:
    """Without the state for a while, as where a laptop died and is found again."""
    state, aside = user.home / "state", user.home / "aside"
    state.rename(aside)
    try:
        yield
    finally:
        shutil.rmtree(state, ignore_errors=True)
        aside.rename(state)


@dataclass(frozen=True)
class Account:
    """A user's account in a cloud, as far as these tests look into it. `machines` are ids; `changes` are calls since then."""

    user: Product
    provider: str
    up: tuple[str, ...]
    log: list
    machines: Callable[[], set[str]]
    changes: Callable[[int], list[str]]
    empty: Callable[[], bool]

    def adopt(self, *more: str) -> Answer:
        """Take over what stands."""
        words = ("adopt", self.user.cluster, "--provider", self.provider, "--yes", "-o", "json")
        return self.user.run(*words, *more, timeout=PATIENCE)

    def refused(self, code: int, *more: str) -> None:
        """`adopt` changes nothing, and says that `down` is the other way."""
        start, answer = len(self.log), self.adopt(*more)
        assert (answer.rc, self.changes(start)) == (code, []), answer
        assert f"down {self.user.cluster} --provider {self.provider}" in answer.err, answer

    def killed_in_stage2(self, moment: str) -> None:
        """`up` dies at a hop of stage 2: the machines are recorded."""
        with armed(self.user, f"{moment}=kill"):
            assert self.user.run(*self.up, timeout=PATIENCE).rc == -signal.SIGKILL


def nothing_left_without_a_state(one: Account) -> None:
    """Killed in the middle of `up`, and the state is lost: nobody has the keys, so `down` by tag is the only way."""
    killed_at(one.user, one.up, OURS[-1])
    assert one.machines()
    shutil.rmtree(one.user.home / "state")
    one.refused(5)
    one.user.ok("down", one.user.cluster, "--provider", one.provider, "--yes", timeout=PATIENCE)
    assert one.empty()


def cut_and_adopted(one: Account, kept: Path) -> None:
    """Killed at each of our own resources in turn, then on the hosts; the state is lost before and after a master has a record."""
    start, user = len(one.log), one.user
    for moment in OURS:
        killed_at(user, one.up, moment)
        assert not one.machines() or moment == OURS[-1], moment
    one.killed_in_stage2("connected")
    bought = one.machines()
    assert (len(bought), one.changes(start).count("RunInstances")) == (2, 2), "nothing is bought twice"
    user.ok("ssh", user.cluster, "m1", "--", "true")
    shutil.copytree(next(user.state.rglob("ssh/id_ed25519")).parent, kept)
    keys = ("-i", str(kept / "id_ed25519"), "--known-hosts", str(kept / "known_hosts"))
    with lost_state(user):
        one.refused(3, *keys)

    one.killed_in_stage2("init-done")
    shutil.rmtree(user.home / "state")
    adopted = one.adopt(*keys)
    assert adopted.rc == 0, adopted
    assert [h["name"] for h in adopted.json["hosts"]] == ["m1", "n1"]
    user.ok(*one.up, timeout=PATIENCE)
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 2
    assert (one.machines(), one.changes(start).count("RunInstances")) == (bought, 2)
