"""The real seams of this process: real engine, image store, SSH, drivers and clock. Imported only by what needs them."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime

from provisioner.events import Events
from provisioner.settings import Settings
from provisioner.stop import Stop
from provisioner.world import World


class SystemClock:
    """`provisioner.model.clock.Clock` by the machine's clock."""

    def now(self) -> datetime:
        """The current time, in UTC, aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def build_world(settings: Settings, events: Events, stop: Stop) -> World:
    """Everything real. Opens nothing yet: the first use of a seam does."""
    from drivers.base import DRIVERS
    from provisioner.image import ImageStore
    from provisioner.infra.automation import PulumiEngine
    from provisioner.transport.ssh import make_connect

    clock = SystemClock()
    return World(
        settings=settings,
        clock=clock,
        events=events,
        stop=stop,
        engine=PulumiEngine(settings, stop),
        images=ImageStore(settings.images_dir),
        connect=make_connect(clock),
        drivers=DRIVERS,
        random=os.urandom,
    )
