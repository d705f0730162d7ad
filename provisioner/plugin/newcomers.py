"""The seam to machines that a cloud made: reach one for the first time, ask its provider why it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from provisioner.clock import SystemClock
from provisioner.errors import SealerError
from provisioner.model.driver import Surroundings
from provisioner.settings import load_settings
from provisioner.transport.identity import Newcomer, Stopping, establish

Establish = Callable[[Newcomer, float], None]
"""Wait at most so many seconds for the machine and give it its lasting key; idempotent. Raises HostError."""

Diagnose = Callable[[str, str, str], tuple[str, ...]]
"""Provider, region, machine id → why the machine may not answer, one line each. Never raises."""


def establish_by_ssh(stopping: Stopping) -> Establish:
    """The real one. It ends early, as interrupted, once `stopping()` is true."""

    def run(newcomer: Newcomer, wait: float) -> None:
        from provisioner.transport.ssh import make_connect  # asyncssh: 0.2 s that only this needs

        asyncio.run(establish(newcomer, make_connect(), SystemClock(), wait=wait, stopping=stopping))

    return run


def diagnose_by_driver(provider: str, region: str, machine_id: str) -> tuple[str, ...]:
    """What the provider's driver can see, with the credentials that this process was given."""
    from drivers.base import load_driver

    try:
        settings = load_settings()
        around = Surroundings(settings.environ, settings.cache_dir, SystemClock().now)
        return load_driver(provider, around).diagnose(region, machine_id)
    except SealerError:  # the cause of a failure must not hide behind another one
        return ()
