"""Where the operator is: what counts as an answer, who names this machine, and that nobody is asked without need."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from provisioner import operator
from provisioner.errors import AccessError, PreconditionError, UsageError
from provisioner.events import Event, Warned
from provisioner.lookup import fetch_https, looker
from provisioner.model.accepted import Accepted, AcceptedImage
from provisioner.model.driver import Visit
from provisioner.model.engine import StackState
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.settings import Settings, load_settings
from provisioner.stop import Stop
from provisioner.world import World
from tests.fakes.driver import FakeDriver
from tests.fakes.engine import FakeEngine
from tests.fakes.hosts import QuickClock
from tests.fakes.images import FakeImages

SERVICE = "https://checkip.example/"


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load_settings({"HOME": str(tmp_path), **environ})


def answering(tmp_path: Path, answer: bytes, **environ: str) -> str:
    asked: list[str] = []

    def fetch(url: str, _environ: Mapping[str, str]) -> bytes:
        asked.append(url)
        return answer

    found = looker(settings(tmp_path, **environ), fetch)(SERVICE)
    assert asked == [environ.get("SEALER_CLOUD_OPERATOR_LOOKUP", SERVICE)]
    return found


def test_an_answer_is_one_public_address(tmp_path: Path) -> None:
    assert answering(tmp_path, b"8.8.4.4\n") == "8.8.4.4"
    assert answering(tmp_path, b"8.8.4.4", SEALER_CLOUD_OPERATOR_LOOKUP="https://mine.example/ip") == "8.8.4.4"


@pytest.mark.parametrize(
    "answer",
    [b"", b"10.0.0.1", b"127.0.0.1", b"8.8.4.4, 8.8.8.8", b"<html>8.8.4.4</html>", b"2001:db8::1", b"\xff", b"8.8.4"],
)
def test_any_other_answer_is_refused_with_the_way_out(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(PreconditionError, match=r"checkip\.example") as caught:
        answering(tmp_path, answer)
    assert "SEALER_CLOUD_OPERATOR_CIDR" in caught.value.hint
    assert "html" not in caught.value.message


def test_a_service_that_fails_or_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_url: str, _environ: Mapping[str, str]) -> bytes:
        raise ConnectionRefusedError

    with pytest.raises(PreconditionError, match="did not tell it"):
        looker(settings(tmp_path), refusing)(SERVICE)
    never = threading.Event()

    def hanging(_url: str, _environ: Mapping[str, str]) -> bytes:
        never.wait(60)
        return b"8.8.4.4"

    monkeypatch.setattr("provisioner.lookup.SECONDS", 0.05)
    with pytest.raises(PreconditionError, match="did not tell it"):
        looker(settings(tmp_path), hanging)(SERVICE)
    never.set()


def test_what_speaks_no_http_is_given_up_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def babbling(_url: str, _environ: Mapping[str, str]) -> bytes:
        raise http.client.BadStatusLine("SSH-2.0-portal")

    monkeypatch.setattr(threading, "excepthook", lambda told: print(told.exc_type.__name__))
    with pytest.raises(PreconditionError, match="did not tell it"):
        looker(settings(tmp_path), babbling)(SERVICE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", ["http://a.example/", "https://me:pw@a.example/", "a.example"])
def test_only_https_is_asked(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="SEALER_CLOUD_OPERATOR_LOOKUP") as caught:
        answering(tmp_path, b"8.8.4.4", SEALER_CLOUD_OPERATOR_LOOKUP=url)
    assert "pw" not in caught.value.message


def test_nobody_there_is_an_ordinary_failure() -> None:
    with pytest.raises(OSError, match=r".+"):
        fetch_https("https://127.0.0.1:9/", {})


@dataclass
class Door(FakeDriver):
    """A driver that is asked for entry, as one of a cloud is. `fails` is what it raises."""

    visits: list[Visit] = field(default_factory=list)
    fails: Exception | None = None

    def let_in(self, accepted: Accepted, cid: ClusterId, visit: Visit) -> str:
        assert (accepted.cluster, cid) == ("demo", "demo-abc234")
        self.visits.append(visit)
        if self.fails:
            raise self.fails
        return "a rule lets it in"


@dataclass
class Scene:
    folder: Path
    seen: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.door = Door({})

    async def nobody(self, *_: object) -> object:
        raise AssertionError

    @property
    def world(self) -> World:
        return World(
            settings(self.folder), QuickClock(), self.seen.append, Stop(), FakeEngine(), FakeImages(),
            self.nobody, {"aws": lambda _around: self.door}, lambda count: bytes(range(count)),  # type: ignore[arg-type]
        )  # fmt: skip


def stored(**network: object) -> StackState:
    request = Accepted(
        cluster="demo", provider="aws", image=AcceptedImage(reference="a:v1", repository="a", digest="sha256:0"),
        pools=(), hosts=(), data_root="/data", network=network,
    )  # fmt: skip
    found = StackState(ClusterName("demo"), ClusterId("demo-abc234"), request, None, 1, (), "")
    return replace(found, resource_ids=("sg-1",))


OURS = {"ingress": [{"port": 22, "from": "operator"}]}


async def test_a_cluster_whose_rules_are_the_operators_lets_him_in_before_he_connects(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await operator.let_in(scene.world, stored(**OURS))
    operator.let_in_now(scene.world, stored(**OURS))
    await operator.let_in(scene.world, stored(**OURS), acting=False)
    name = operator.machine_name(scene.world)
    assert re.fullmatch(r"[0-9a-f]{8}", name)
    visit = Visit(name, ("sg-1",))
    assert scene.door.visits == [visit, visit, replace(visit, acting=False)]
    assert scene.seen == [Warned("a rule lets it in")] * 3
    assert (scene.world.settings.state_dir / "operator").stat().st_mode & 0o077 == 0


async def test_other_clusters_are_not_even_looked_at(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for state in (
        stored(),
        stored(ingress=[{"port": 22, "from": "0.0.0.0/0"}]),
        None,
        replace(stored(**OURS), cid=None),
    ):
        await operator.let_in(scene.world, state)
    assert (scene.door.visits, scene.seen) == ([], [])
    assert not scene.world.settings.state_dir.exists()


async def test_a_refusal_is_a_warning_and_no_address_is_an_error(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.door.fails = AccessError("no permission")
    await operator.let_in(scene.world, stored(**OURS))
    assert [e.text for e in scene.seen if isinstance(e, Warned)] == [
        "it is not known whether demo lets this machine in: no permission"
    ]
    scene.door.fails = PreconditionError("nobody tells")
    with pytest.raises(PreconditionError):
        await operator.let_in(scene.world, stored(**OURS))


async def test_a_cluster_whose_request_is_lost_is_tried_once_more_where_a_rule_was_added(tmp_path: Path) -> None:
    scene, cid = Scene(tmp_path), ClusterId("demo-abc234")
    assert await operator.let_in_blind(scene.world, scene.door, cid, "r1", 22)
    scene.door.fails = PreconditionError("nobody tells", hint="set it")
    assert not await operator.let_in_blind(scene.world, scene.door, cid, "r1", 22)
    assert scene.seen[-1] == Warned("it is not known whether demo-abc234 lets this machine in: nobody tells", "set it")
