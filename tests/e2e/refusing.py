"""What the tests of refusals share: the words of a refusal are judged here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.e2e import tiny
from tests.e2e.product import PROGRAM, ROOT, Answer, Product

SCHEMA = Draft202012Validator(json.loads((ROOT / "docs/schema/error.schema.json").read_text()))
UP = ("up", "app:v1", "--provider", "local", "--yes")
NAME = tiny.unique("refuse")


def refused(answer: Answer, code: int, *words: str) -> None:
    """The command ended with `code`, for a person and for a program, and said each of `words` and what to do."""
    assert "Traceback" not in answer.err, answer.err
    error = answer.json.get("error", {"code": 0, "message": "no error", "hint": ""})
    said = f"{error['message']}\n→ {error['hint']}"
    assert (answer.rc, error["code"]) == (code, code), said
    assert "a bug of ours" not in said, said
    SCHEMA.validate(answer.json)
    assert error["hint"] or error.get("problems"), f"no word of what to do: {said}"
    assert [word for word in words if word not in said] == [], said
    assert any(line.startswith("✘ ") for line in answer.err.splitlines()), answer.err


def assert_nothing_made(user: Product) -> None:
    """No file in the state folder, and no folder of a cluster: looking and refusing leave nothing."""
    left = [p for p in user.state.rglob("*") if p.is_file() or p.parent.name in {"clusters", "tmp"}]
    assert left == []


HEAD = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata:\n  name: app\nspec:\n  image: app:v1\n"
INFRA = "---\napiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: local\n"


def behind(user: Product, *prefix: str) -> Callable[..., Answer]:
    """The product started by way of another program, such as one that takes rights away."""

    def run(*words: str) -> Answer:
        import subprocess

        done = subprocess.run(
            [*prefix, str(PROGRAM), *words], env=user.env, cwd=user.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def in_mounts(*lines: str) -> tuple[str, ...]:
    """A prefix that sees other mounts than the rest of the machine; they end with it."""
    script = "; ".join(("set -e", *lines, 'exec "$@"'))
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


def ledger(user: Product) -> Path:
    return tiny.on_disk(user, "m1", f"/var/lib/sealer-cloud/{user.cid}/ledger.jsonl")
