"""The seam to the machines of the local driver: what the plugin calls, and nothing else of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from drivers.local.state import HostInputs, HostState, NetworkState
    from provisioner.model.ids import ClusterId, HostName


class Machines(Protocol):
    """`drivers.local.machines`, or a fake. All calls are idempotent and raise errors of our tree."""

    def ensure_network(self, cid: ClusterId, cidr: str | None = None) -> NetworkState:
        """Create, adopt, or rebuild after a reboot."""

    def read_network(self, cid: ClusterId) -> NetworkState | None:
        """None only when its record is gone."""

    def delete_network(self, cid: ClusterId) -> None:
        """Remove; absent is fine."""

    def ensure_host(self, inputs: HostInputs) -> HostState:
        """Create or adopt, then start if it does not run."""

    def read_host(self, cid: ClusterId, name: HostName) -> HostState | None:
        """None only when its disk is gone; `running` False when it is stopped."""

    def start_host(self, cid: ClusterId, name: HostName) -> HostState:
        """Start in place: same disk, address and host key."""

    def delete_host(self, cid: ClusterId, name: HostName) -> None:
        """Remove; absent is fine."""


def local_machines() -> Machines:
    """The real ones, imported at their first use: previews of a new cluster never need them."""
    from drivers.local import machines

    return machines
