"""An interrupt is told as what it is: of a call that changes something, or of a look."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import InterruptedRunError, ProviderError
from provisioner.infra.processes import Child
from provisioner.infra.runner import only_looking, run_bounded
from provisioner.stop import Stop


async def interrupted(folder: Path) -> None:
    """A call of the engine during which a person asks to stop."""
    stop = Stop()

    def work() -> None:
        stop.request()
        raise ProviderError("the engine ended with 255")

    await run_bounded(work, Child(), stop, folder, 60)


async def test_an_interrupted_look_does_not_say_that_something_was_begun(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError, match="what the engine had begun is saved"):
        await interrupted(tmp_path)
    with pytest.raises(InterruptedRunError, match="a look changes nothing") as told, only_looking():
        await interrupted(tmp_path)
    assert (told.value.hint, told.value.phase) == ("run the same command again", "machines")
