"""A cloud tried with your own account: two of the smallest hosts for at most half an hour, looked at, removed, looked for.

    make smoke-aws        make smoke-alicloud

It costs a few cents and says how much. Whatever goes wrong, it removes what it made, and looks for what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).with_name("sealer-cloud")
IMAGE = "hello:smoke"
LIFE = "30m"
MAX_PRICE = "1"
"""Of both hosts per hour, in the account's currency."""


class FailedError(Exception):
    """A check that did not hold."""


@dataclass
class Smoke:
    """One try: the provider, the cluster's name, and what was found."""

    provider: str
    name: str
    lines: list[str] = field(default_factory=list)

    def run(self, *words: str, code: int = 0) -> str:
        """Run the product; its progress goes to the screen, its data comes back. Raises FailedError for another end."""
        print(f"$ sealer-cloud {' '.join(words)}", file=sys.stderr, flush=True)
        done = subprocess.run([str(PROGRAM), *words], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != code:
            raise FailedError(f"`{words[0]}` ended with {done.returncode}, not {code}")
        return done.stdout

    def step(self, title: str, work: Callable[[], str]) -> None:
        """Do one part and note how it went. Raises FailedError."""
        begun = time.monotonic()
        try:
            text = work()
        except FailedError as error:
            self.note("✘", title, str(error), begun)
            raise
        self.note("✔", title, text, begun)

    def note(self, mark: str, title: str, text: str, begun: float) -> None:
        """One line of the table."""
        self.lines.append(f"{mark} {title:12} {time.monotonic() - begun:7.1f} s  {text}")

    def words(self) -> tuple[str, ...]:
        """What is asked for, in every command that asks."""
        hosts = ("--masters", "1", "--nodes", "1", "--ttl", LIFE, "--max-price", MAX_PRICE)
        return (IMAGE, "-n", self.name, "--provider", self.provider, *hosts)

    def plan(self) -> str:
        """What it will cost."""
        plan = json.loads(self.run("plan", *self.words(), "-o", "json"))
        price = plan.get("price")
        where = ", ".join(sorted({f"{o['type']} in {o['zone']}" for o in plan.get("offers", ())}))
        return f"{where}; {price['perHour']:.4g} {price['currency']} per hour" if price else f"{where}; price not known"

    def up(self) -> str:
        """Both stages."""
        self.run("up", *self.words(), "--yes")
        return "two hosts healthy"

    def look(self) -> str:
        """All hosts answer, are healthy, and the first tells the second's note through `exec`."""
        found = json.loads(self.run("status", self.name, "-o", "json"))
        states = {h["name"]: h["state"] for h in found["hosts"]}
        if set(states.values()) != {"healthy"}:
            raise FailedError(f"not healthy: {states}")
        self.run("exec", self.name, "--", "true")
        greeting = json.loads(self.run("outputs", self.name, "-o", "json"))["outputs"].get("greeting")
        if greeting != "hello from m1":
            raise FailedError(f"the output is {greeting!r}")
        return f"until {found['expiresAt']}"

    def again(self) -> str:
        """The same once more changes nothing."""
        self.run("plan", "-n", self.name, "--detailed-exitcode")
        return "nothing to change"

    def down(self) -> str:
        """Removed, and looked for."""
        self.run("down", self.name, "--provider", self.provider, "--yes")
        return "removed; nothing left by its tags"

    def search(self) -> str:
        """What `gc` still sees of it in the whole account."""
        listed = json.loads(self.run("gc", "--provider", self.provider, "-o", "json"))
        left = [r for r in listed.get("clusters", ()) if str(r.get("cid") or "").startswith(f"{self.name}-")]
        if left:
            raise FailedError(f"still there: {json.dumps(left)}")
        return "not in the account any more"


def main(words: list[str]) -> int:
    """Try one provider. Returns 0 if all checks held, else 1; 3 for wrong use."""
    if len(words) != 1:
        print("which provider? aws or alicloud", file=sys.stderr)
        return 3
    smoke = Smoke(words[0], os.environ.get("SMOKE_NAME") or f"smoke-{secrets.token_hex(3)}")
    smoke.run("image", "build", "-t", IMAGE, "-f", str(ROOT / "examples/hello/Kubefile"), str(ROOT / "examples/hello"))
    try:
        held = _held(smoke)
    finally:
        with contextlib.suppress(FailedError):  # of a cluster that is left its image is left too
            smoke.run("image", "rm", IMAGE)
    print("\n".join(smoke.lines))
    return 0 if held else 1


def _held(smoke: Smoke) -> bool:
    if not _try(smoke, (("plan", smoke.plan),)):  # nothing was made, so there is nothing to remove or to look for
        return False
    ends = [_try(smoke, (("up", smoke.up), ("look", smoke.look), ("up again", smoke.again)))]
    ends += [_try(smoke, ((title, work),)) for title, work in (("down", smoke.down), ("gc", smoke.search))]
    return all(ends)


def _try(smoke: Smoke, steps: tuple[tuple[str, Callable[[], str]], ...]) -> bool:
    try:
        for title, work in steps:
            smoke.step(title, work)
    except FailedError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
