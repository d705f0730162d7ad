from __future__ import annotations

import asyncio

import pytest

from provisioner.errors import HostError, ProviderError
from provisioner.together import together


async def give(value: object) -> object:
    await asyncio.sleep(0)
    return value


async def fail(error: Exception) -> object:
    await asyncio.sleep(0)
    raise error


class Forever:
    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_both_results_come_back_in_order() -> None:
    assert await together(give(1), give("two")) == (1, "two")


@pytest.mark.parametrize("first", [True, False])
async def test_a_failure_ends_the_other_work_and_is_raised_bare(first: bool) -> None:
    forever = Forever()
    works = (fail(HostError("gone")), forever.run())
    with pytest.raises(HostError, match="gone"):
        await together(*(works if first else works[::-1]))
    assert forever.ended


async def test_of_two_errors_the_lower_exit_code_wins() -> None:
    with pytest.raises(ProviderError):
        await together(fail(HostError("seven")), fail(ProviderError("six")))


async def test_a_bug_is_never_hidden_behind_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        await together(fail(HostError("seven")), fail(KeyError("bug")))


async def test_cancelling_cancels_both() -> None:
    one, other = Forever(), Forever()
    task = asyncio.create_task(together(one.run(), other.run()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (one.ended, other.ended) == (True, True)
