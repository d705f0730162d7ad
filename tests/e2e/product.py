"""The product as its users meet it: the command, in folders of its own, with the real engine and real hosts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("sealer-cloud")
LIMIT = 240.0
"""Seconds after which a command that should take seconds is called hung."""


@dataclass
class Answer:
    """How a command ended and what it said."""

    rc: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@dataclass
class Product:
    """One user's folders, and the commands run with them."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)
    cid: str = "nobody-aaaaaa"
    """The cluster that was seen last: whatever carries its mark afterwards was left behind."""
    cluster: str = "etcd"
    program: tuple[str, ...] = (str(PROGRAM),)

    @property
    def state(self) -> Path:
        return self.home / "state" / "sealer-cloud"

    @property
    def env(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("SEALER_CLOUD_", "PULUMI_", "XDG_"))}
        own = {
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "COLUMNS": "120",
        }
        return {**keep, **own, **self.extra}

    def start(self, *words: str) -> subprocess.Popen:
        """Start a command in a session of its own, so that a signal of ours meets it alone."""
        return subprocess.Popen(
            [*self.program, *words], env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, timeout: float = LIMIT) -> Answer:
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"hung: {words}\n{out}\n{err}") from None
        self.remember()
        return Answer(process.returncode, out, err)

    def remember(self) -> None:
        """Note the cid of the cluster that the state knows or that lies on the machine under our name."""
        for stack in (self.state / "backend/.pulumi/stacks").glob(f"*/{self.cluster}.json"):
            found = re.search(rf'"cid": ?"({self.cluster}-[a-z2-7]{{6}})"', stack.read_text(errors="replace"))
            self.cid = found[1] if found else self.cid

    def ok(self, *words: str, timeout: float = LIMIT) -> Answer:
        answer = self.run(*words, timeout=timeout)
        assert answer.rc == 0, f"{words}: exit {answer.rc}\n{answer.out}\n{answer.err}"
        return answer

    def up(self, *words: str) -> Answer:
        return self.ok(*self.up_words, *words)

    @property
    def up_words(self) -> tuple[str, ...]:
        """The main job, as words."""
        return ("up", "etcd:v1", "-n", self.cluster, "--provider", "local", "--masters", "3", "--yes")

    @property
    def down_words(self) -> tuple[str, ...]:
        """Removing it, as words."""
        return ("down", self.cluster, "--provider", "local", "--yes")

    def status(self) -> dict:
        """`status` of our cluster."""
        return self.ok("status", self.cluster, "-o", "json").json

    def etcdctl(self, host: str, *words: str) -> Answer:
        """Run etcdctl on a host against its own member."""
        tool = f"/var/lib/sealer/data/{self.cluster}/rootfs/bin/etcdctl"
        line = f"ETCDCTL_API=3 {tool} --endpoints=http://127.0.0.1:2379 --command-timeout=5s {' '.join(words)}"
        return self.run("ssh", self.cluster, host, "--", line)

    def member_ids(self, host: str = "m1") -> dict[str, str]:
        """Member ids by name, as `host` tells them."""
        lines = self.etcdctl(host, "member", "list").out.splitlines()
        return {parts[2]: parts[0] for parts in (line.split(", ") for line in lines) if len(parts) > 2}
