"""The look from outside can fail: it sees a listener that is ours, and no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.hosts.outside import listeners

LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
MARK = "etcd-a1b2c3"


@pytest.mark.parametrize(
    ("words", "env", "seen"),
    [((MARK,), {}, True), ((), {"PULUMI_HOME": f"/somewhere/{MARK}/home"}, True), ((), {}, False)],
    ids=["argument", "environment", "a stranger"],
)
def test_a_listener_is_known_by_its_words(words: tuple[str, ...], env: dict[str, str], *, seen: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        process = subprocess.Popen(
            [sys.executable, "-c", LISTENS, *words],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            expected = {f"{process.pid} 0100007F:{port:04X}"} if seen else set()
            assert listeners(MARK) == expected
            assert process.stdin is not None
            process.stdin.close()
