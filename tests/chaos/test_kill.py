"""SIGKILL of `up` and `down` at random moments, then the same command: the same end."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from tests.e2e.product import Product

pytestmark = [pytest.mark.hosts, pytest.mark.engine, pytest.mark.slow]

KILLS = 10


def kill_after(product: Product, words: tuple[str, ...], seconds: float, how: signal.Signals = signal.SIGKILL) -> int:
    """Start a command and signal it after a while; its exit status (0 if it was faster)."""
    process = product.start(*words)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(how)
        process.communicate(timeout=60)
    return process.returncode


def assert_whole(product: Product) -> None:
    status = product.status()
    assert [h["state"] for h in status["hosts"]] == ["healthy"] * 3, status
    assert len(product.member_ids()) == 3
    again = product.ok(*product.up_words)
    assert "othing to change" in again.out + again.err


def test_up_killed_at_random_moments_converges(product: Product) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = sorted(random.Random(seed).uniform(0.3, 9.0) for _ in range(KILLS))
    random.Random(seed + 1).shuffle(moments)
    for seconds in moments:
        kill_after(product, product.up_words, seconds)
    product.ok(*product.up_words)
    assert_whole(product)


def test_down_of_what_a_killed_up_left_ends_with_nothing(product: Product) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    for seconds in [random.Random(seed + i).uniform(1.0, 6.0) for i in range(5)]:
        kill_after(product, product.up_words, seconds)
        product.remember()
        product.ok(*product.down_words)
        assert product.ok("list", "-o", "json").json["clusters"] == []


def test_down_killed_at_random_moments_ends_with_nothing(product: Product) -> None:
    product.ok(*product.up_words)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    for seconds in [random.Random(seed + i).uniform(0.2, 3.0) for i in range(KILLS)]:
        kill_after(product, product.down_words, seconds)
    product.ok(*product.down_words)
    assert product.ok("list", "-o", "json").json["clusters"] == []


@pytest.mark.parametrize("seconds", [1.5, 3.0, 5.0])
def test_interrupt_ends_with_130_and_tears_nothing(product: Product, seconds: float) -> None:
    code = kill_after(product, product.up_words, seconds, signal.SIGINT)
    assert code in {130, 0}
    product.ok(*product.up_words)
    assert_whole(product)
