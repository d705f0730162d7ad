"""The seam to the infrastructure engine: a Protocol that the real Pulumi and the fake both keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from provisioner.events import Events
from provisioner.model.driver import EngineNeeds, Program
from provisioner.model.engine import Destroyed, Previewed, StackState
from provisioner.model.hosts import ClusterKeys, StackOutputs
from provisioner.model.ids import ClusterId, ClusterName

NOTHING = EngineNeeds()
Still = Callable[[], None]
"""Raises where the account can no longer be looked into: what a refresh calls gone may stand then."""


def unasked() -> None:
    """For machines of ours: their reads look at the disk itself."""


class Engine(Protocol):
    """One stack per cluster. `needs` are the provider's: variables and plugins of the engine's processes.

    Every call is bounded; cancelling the awaiting task stops the engine in two steps.

    Errors: ProviderError (6) a resource failed, AccessError (5) passphrase, PreconditionError (12) engine missing
    or state newer or broken, LockedError (10) a living process holds the stack, DeadlineError (11).
    """

    def names(self) -> tuple[ClusterName, ...]:
        """All clusters of the backend."""

    def stored(self, cluster: ClusterName) -> StackState | None:
        """The stack's state without secrets, read without starting a process where the backend allows it."""

    async def keys(self, cluster: ClusterName) -> ClusterKeys | None:
        """The cluster's keys: from the 0600 cache, else decrypted from the state (then cached again)."""

    async def repair(self, cluster: ClusterName, *, state: bool = True) -> tuple[str, ...]:
        """End what a killed run left: its orphaned processes, its dead lock, its pending operations. Says what it did.

        `state` False leaves the state itself alone: it may be damaged, and `down` goes by looking.
        """

    def begun(self, cluster: ClusterName) -> tuple[frozenset[str], float]:
        """Machines of clouds that a killed run had begun to make when `repair` came, and when that was (seconds since the epoch).

        Nobody, once an `up` went through: a cloud may not show at first what it was asked to make.
        """

    def demand(self) -> None:
        """Raises PreconditionError (12) where there is no engine, for those that change something before they call it."""

    async def preview(
        self, cluster: ClusterName, cid: ClusterId, program: Program, events: Events, needs: EngineNeeds = NOTHING
    ) -> Previewed:
        """Refresh and preview; changes nothing, not even the backend: a new cluster uses a throw-away backend."""

    async def up(
        self,
        cluster: ClusterName,
        cid: ClusterId,
        program: Program,
        events: Events,
        needs: EngineNeeds = NOTHING,
        *,
        still: Still = unasked,
    ) -> StackOutputs:
        """Make it so. `still` is asked where the refresh finds something of a cloud gone; what it raises ends the run.

        So does a refresh that finds all of it gone (ProviderError); either way the state stays as it was before.
        """

    async def destroy(self, cluster: ClusterName, events: Events, needs: EngineNeeds = NOTHING) -> Destroyed:
        """Delete all resources; what fails is listed, not raised."""

    async def forget(self, cluster: ClusterName, *, aside: bool = False) -> None:
        """Remove the empty stack, its history and our folder for it.

        `aside`: the machines were removed by looking, so whatever the state says is over; it is kept aside, not lost.
        """
