"""What both clouds make of the machines that a look found and no state knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.errors import ProviderError
from provisioner.model.ids import ClusterId


def by_host(found: Iterable[tuple[str, str]], cid: ClusterId, end: str) -> dict[str, str]:
    """Host → id, of pairs of them. Raises ProviderError where one host has two: which one is wanted nobody can tell.

    `end` is the command of the cloud's own tool that ends the machine whose id follows it.
    """
    machines: dict[str, str] = {}
    for host, own in found:
        if host in machines:
            raise ProviderError(
                f"host {host} of {cid} stands twice: {machines[host]} and {own}",
                hint=f"end the one that is not wanted (like `{end} {own}`), then run the same command",
            )
        machines[host] = own
    return machines
