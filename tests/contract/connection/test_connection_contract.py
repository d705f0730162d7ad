"""What every Connection promises, held against the fake, and against asyncssh talking to a server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from provisioner.errors import DeadlineError, HostError
from provisioner.transport.connection import OUTPUT_LIMIT, Connection
from tests.contract.connection.rigs import FakeRig, LocalRig, Rig, SshRig


@pytest.fixture(scope="session")
def local_host() -> Iterator[LocalRig]:
    """One machine for all tests of a session."""
    made = LocalRig()
    yield made
    made.sweep()


@pytest.fixture(params=["fake", "asyncssh", pytest.param("local", marks=pytest.mark.hosts)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    made: Rig
    if request.param == "fake":
        made = FakeRig(tmp_path / "host")
    elif request.param == "local":
        made = request.getfixturevalue("local_host")
    else:
        made = SshRig()
        await made.server.start()
    yield made
    await made.close()


@pytest.fixture
async def link(rig: Rig) -> AsyncIterator[Connection]:
    connection = await rig.open()
    yield connection
    await connection.close()


def sh(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


async def test_status_and_both_outputs(link: Connection) -> None:
    result = await link.run(sh("echo out; echo err >&2; exit 3"), timeout=20)
    assert (result.rc, result.stdout, result.stderr, result.ok) == (3, b"out\n", b"err\n", False)
    assert (await link.run(("true",), timeout=20)).ok


async def test_stdin_arrives_whole_and_ends(link: Connection) -> None:
    data = bytes(range(256)) * 4000
    result = await link.run(("cat",), stdin=data, timeout=20, limit=len(data))
    assert result.stdout == data
    assert (await link.run(("cat",), timeout=20)).stdout == b""


@pytest.mark.parametrize(
    "word", ["", "a b", "'", '"', "$HOME", "$(id)", "`id`", "a\nb", "-n", "\\", "*", "~", "é", "!x"]
)
async def test_words_arrive_as_they_are(link: Connection, word: str) -> None:
    result = await link.run(("printf", "%s|", word, "end"), timeout=20)
    assert result.stdout.decode() == f"{word}|end|"


async def test_death_by_signal_is_told_as_shells_do(link: Connection) -> None:
    assert (await link.run(sh("kill -KILL $$"), timeout=20)).rc == 137


async def test_output_is_capped_and_the_rest_read(link: Connection) -> None:
    result = await link.run(sh("dd if=/dev/zero bs=65536 count=300 2>/dev/null; echo e >&2; exit 4"), timeout=60)
    assert (len(result.stdout), result.stderr, result.rc) == (OUTPUT_LIMIT, b"e\n", 4)
    assert len((await link.run(("echo", "12345"), timeout=20, limit=3)).stdout) == 3


async def test_deadline_is_an_error_and_the_link_lives_on(link: Connection) -> None:
    with pytest.raises(DeadlineError):
        await link.run(sh("exec sleep 100"), timeout=0.3)
    assert (await link.run(("echo", "on"), timeout=20)).stdout == b"on\n"


async def test_link_that_dies_is_an_unknown_end(rig: Rig, link: Connection) -> None:
    began = f"/tmp/began-{secrets.token_hex(6)}"
    running = asyncio.create_task(link.run(sh(f"echo x; touch {began}; exec sleep 100"), timeout=60))
    probe = await rig.open()
    async with asyncio.timeout(20):
        while not (await probe.run(("rm", began), timeout=10)).ok:  # noqa: ASYNC110 - a file on a host sets no event
            await asyncio.sleep(0.01)
    rig.cut()
    assert (await running).rc is None


async def test_dead_link_starts_nothing(rig: Rig, link: Connection) -> None:
    await link.run(("true",), timeout=20)
    rig.cut()
    # A cut that nobody is told of shows at the first command, as an unknown end.
    with contextlib.suppress(HostError):
        assert (await link.run(("true",), timeout=20)).rc is None
    with pytest.raises(HostError):
        await link.run(("true",), timeout=20)
    assert (await (await rig.open()).run(("true",), timeout=20)).ok


async def test_file_is_streamed_behind_its_prefix(link: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 8000)
    seen: list[int] = []
    result = await link.send(sh("cat | sha256sum; exit 2"), source, prefix=b"prefix", idle=20, progress=seen.append)
    assert result.stdout.split()[0].decode() == hashlib.sha256(b"prefix" + source.read_bytes()).hexdigest()
    assert result.rc == 2
    assert seen == sorted(seen)
    assert seen[-1] == source.stat().st_size


async def test_command_that_does_not_read_tells_its_status(link: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(8 << 20))
    result = await link.send(sh("echo full >&2; exit 71"), source, idle=20, progress=lambda _n: None)
    assert (result.rc, result.stderr) == (71, b"full\n")


async def test_stream_that_stalls_is_given_up(link: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(16 << 20))
    with pytest.raises(DeadlineError):
        await link.send(sh("exec sleep 100"), source, idle=0.5, progress=lambda _n: None)


async def test_stream_cut_in_the_middle_is_unknown(rig: Rig, link: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(16 << 20))
    began = asyncio.Event()
    running = asyncio.create_task(
        link.send(sh("head -c 1000; exec sleep 100"), source, idle=30, progress=lambda _n: began.set())
    )
    await asyncio.wait_for(began.wait(), 20)
    rig.cut()
    assert (await running).rc is None


async def test_many_commands_at_once(link: Connection) -> None:
    results = await asyncio.gather(*(link.run(sh(f"sleep 0.05; echo {n}"), timeout=60) for n in range(30)))
    assert [r.stdout for r in results] == [f"{n}\n".encode() for n in range(30)]


async def test_cancelled_command_frees_the_link(link: Connection) -> None:
    running = asyncio.create_task(link.run(sh("exec sleep 100"), timeout=60))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await link.run(("true",), timeout=20)).ok


async def test_closing_twice_is_fine(link: Connection) -> None:
    await link.close()
    await link.close()
