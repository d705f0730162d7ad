"""The tutorial is true: its shell blocks are run in order on a terminal, and the screens it shows are the ones seen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.local.look import find_clusters
from provisioner.model.ids import ClusterName
from tests.e2e.product import PROGRAM, ROOT, Product
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]

TUTORIAL = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUESTION = "[y/N]"
LIMIT = 240.0
COLUMNS = 100


@dataclass(frozen=True)
class Scene:
    """One shell block of the tutorial and the lines that it claims to show."""

    shell: str
    screen: tuple[str, ...]


def scenes(text: str) -> list[Scene]:
    """Every `sh` block with the `text` block after it, if there is one before the next."""
    found: list[Scene] = []
    for fence in FENCE.finditer(text):
        if fence["kind"] == "sh":
            found.append(Scene(fence["body"], ()))
        elif fence["kind"] == "text":
            found[-1] = Scene(found[-1].shell, tuple(fence["body"].splitlines()))
    return found


def play(shell: str, env: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run a block on a terminal of 100 columns; every question gets a yes. Returns exit status and all that was written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", shell],
        env=dict(env), cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        seen = _listen(ours)
        return process.wait(timeout=LIMIT), seen
    finally:
        os.close(ours)


def _listen(terminal: int) -> str:
    seen = b""
    answered = 0
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last writer closed the terminal
            return seen.decode(errors="replace")
        seen += piece
        if seen.count(QUESTION.encode()) > answered:
            answered += 1
            os.write(terminal, b"y\n")
    raise AssertionError(f"hung:\n{seen.decode(errors='replace')}")


def lines_of(output: str) -> list[str]:
    return [line.rstrip() for line in re.split(r"[\r\n]+", ESCAPE.sub("", output)) if line.strip()]


def plain(line: str) -> str:
    """A line without what differs from run to run: digests, numbers, how a total is made up, columns' widths."""
    text = re.sub(r"sha256:[0-9a-f]+…?", "sha256:#", line)
    text = re.sub(r"^(Up in \S+ s) \(.*", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)*", "#", text)).strip()


def missing(screen: tuple[str, ...], output: str) -> list[str]:
    """The lines of a screen that were not written. `…` stands for what was left out: to the end, or whole lines."""
    seen = [plain(line) for line in lines_of(output)]
    wanted = [(line, plain(line)) for line in screen if line.strip() not in {"", "…"}]
    return [line for line, text in wanted if not any(_matches(text, other) for other in seen)]


def _matches(text: str, other: str) -> bool:
    start, left_out, _ = text.partition("…")
    return other.startswith(start.rstrip()) if left_out else text == other


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Product]:
    """Somebody with empty folders who reads the tutorial; afterwards the machine must look as before."""
    if standing := find_clusters(ClusterName("hello")):  # the name is the text's: what we remove must be ours
        pytest.fail(f"{standing[0].cid} stands on this machine; `sealer-cloud down hello`, then test again")
    before = look("nobody-aaaaaa")
    user = Product(tmp_path, cluster="hello")
    yield user
    user.remember()
    user.run("down", "hello", "--provider", "local", "--yes")
    assert look(user.cid) == before


def terminal_env(user: Product) -> dict[str, str]:
    env = {**user.env, "TERM": "xterm", "NO_COLOR": "1", "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    env.pop("COLUMNS")
    env.pop("CI", None)
    return env


def test_every_command_of_the_tutorial_does_what_it_says(reader: Product) -> None:
    story = scenes(TUTORIAL.read_text())
    assert len(story) > 10
    folder, at = reader.home, reader.home / "folder"
    for scene in story:
        rc, output = play(f'{scene.shell}\npwd >"{at}"', terminal_env(reader), folder)
        reader.remember()
        assert rc == 0, f"{scene.shell}\nended with {rc}:\n{output}"
        assert not missing(scene.screen, output), f"{scene.shell}\nshowed:\n" + "\n".join(lines_of(output))
        folder = Path(at.read_text().strip())


if __name__ == "__main__":  # what a writer of the tutorial pastes: python -m tests.e2e.test_tutorial FOLDER
    home = Path(sys.argv[1])
    where = home
    for part in scenes(TUTORIAL.read_text()):
        status, written = play(
            f'{part.shell}\npwd >"{home}/folder"', terminal_env(Product(home, cluster="hello")), where
        )
        print(f"--- {status}\n{part.shell}")
        print(*(line for line in lines_of(written) if not re.match(r"[\u2800-\u28ff]", line)), sep="\n")
        where = Path((home / "folder").read_text().strip())
