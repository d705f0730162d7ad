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
from pathlib import Path

from tests.clouds.aws.scene import family, slay
from tests.e2e.product import Product

PATIENCE = 300.0
OURS = ("made-Intent", "made-HostKey", "made-HostIdentity")
"""Our own resources, in the order in which they are made."""


@contextmanager
def armed(user: Product, text: str) -> Iterator[None]:
    """The failpoint for the commands within."""
    user.extra["SEALER_CLOUD_FAILPOINT"] = text
    yield
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
    yield
    shutil.rmtree(state, ignore_errors=True)
    aside.rename(state)


def refused_without_keys(user: Product, provider: str) -> None:
    """Nobody kept the keys of the cluster: `adopt` says what it needs, and that `down` is the other way."""
    answer = user.run("adopt", user.cluster, "--provider", provider, "--yes", timeout=PATIENCE)
    assert answer.rc == 5, answer
    assert f"down {user.cluster} --provider {provider}" in answer.err, answer


def keep_keys(user: Product, kept: Path) -> tuple[str, ...]:
    """Copy what `adopt` needs, before the state is lost; the words for it."""
    user.ok("ssh", user.cluster, "m1", "--", "true")
    shutil.copytree(next(user.state.rglob("ssh/id_ed25519")).parent, kept)
    return ("-i", str(kept / "id_ed25519"), "--known-hosts", str(kept / "known_hosts"))


def refused_without_a_record(user: Product, provider: str, keys: tuple[str, ...]) -> None:
    """No run came as far as the hosts, so no master says what was accepted: `adopt` says so, and that `down` is the way."""
    answer = user.run("adopt", user.cluster, "--provider", provider, "--yes", *keys, timeout=PATIENCE)
    assert answer.rc == 3, answer
    assert f"down {user.cluster} --provider {provider}" in answer.err, answer


def adopted(user: Product, provider: str, keys: tuple[str, ...]) -> list[str]:
    """Names of the hosts that were taken over."""
    words = ("adopt", user.cluster, "--provider", provider, "--yes", *keys, "-o", "json")
    return [h["name"] for h in user.ok(*words, timeout=PATIENCE).json["hosts"]]


def healthy(user: Product, count: int) -> bool:
    """True where so many hosts are there and all are well."""
    return [h["state"] for h in user.status()["hosts"]] == ["healthy"] * count


def cut_at_our_own(user: Product, up: tuple[str, ...], machines: Callable[[], int]) -> None:
    """`up` is killed at each of our own resources in turn: no machine is bought before its keys are made and recorded."""
    for moment in OURS:
        killed_at(user, up, moment)
        assert machines() == 0 or moment == OURS[-1], moment
    assert machines() > 0


def killed_in_stage2(user: Product, up: tuple[str, ...], moment: str) -> None:
    """`up` dies at a hop of stage 2: the machines are recorded."""
    with armed(user, f"{moment}=kill"):
        assert user.run(*up, timeout=PATIENCE).rc == -signal.SIGKILL
