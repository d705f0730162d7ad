"""The real seams of this process: real engine, image store, SSH, drivers and clock. Imported only by what needs them."""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import TYPE_CHECKING

from provisioner.clock import SystemClock
from provisioner.events import Events
from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.settings import Settings
from provisioner.stop import Stop
from provisioner.transport.connection import Connect, Connection
from provisioner.world import World

if TYPE_CHECKING:
    from provisioner.image.store import ImageStore


def quiet_libraries() -> None:
    """What libraries log is for their authors: unasked, it would be printed on our screen, tracebacks and all."""
    import logging

    logging.disable(logging.CRITICAL)


def open_images(settings: Settings) -> ImageStore:
    """The image store of this user."""
    from provisioner.image.store import ImageStore

    return ImageStore(settings.images_dir, settings.cache_dir)


def build_world(settings: Settings, events: Events, stop: Stop) -> World:
    """Everything real. Opens nothing yet: the first use of a seam does."""
    from drivers.base import DRIVERS
    from provisioner.infra.pulumi_engine import PulumiEngine

    quiet_libraries()
    return World(
        settings=settings,
        clock=SystemClock(),
        events=events,
        stop=stop,
        engine=PulumiEngine(settings, stop),
        images=open_images(settings),
        connect=_late_connect(),
        drivers=DRIVERS,
        random=os.urandom,
    )


def _late_connect() -> Connect:
    """SSH, imported when the first host is reached: `list` and `ssh` open no connection of ours."""
    made: list[Connect] = []

    async def connect(host: InventoryHost, keys: ClusterKeys) -> Connection:
        if not made:
            module = await asyncio.to_thread(importlib.import_module, "provisioner.transport.ssh")
            if not made:  # several hosts ask at once
                made.append(module.make_connect())
        return await made[0](host, keys)

    return connect
