"""What stage 1's engine knows and says, as plain values; the Protocol is in `infra/engine.py`."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.accepted import Accepted
from provisioner.model.hosts import Inventory, StackOutputs
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.plan import InfraPlan, ResourceChange


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as its backend holds it: the stored intent, machines, and what an unbroken run would not leave.

    `accepted` is None for a stack whose Intent was never made (killed before). `pending` names begun operations.
    """

    cluster: ClusterName
    cid: ClusterId | None
    accepted: Accepted | None
    inventory: Inventory | None
    resources: int
    pending: tuple[str, ...]
    engine_version: str
    cids: tuple[ClusterId, ...] = ()
    """Every cid that a resource carries: more than one after a `--replace` that was cut."""
    machine_ids: tuple[str, ...] = ()
    """The provider's own ids of all machines in the state (also those that a cut replacement has yet to delete)."""
    machines: tuple[str, ...] = ()
    """Names of the hosts whose machine the state has, reachable yet or not."""
    resource_ids: tuple[str, ...] = ()
    """The ids of everything in the state, machines too: what is not among them and carries our tags is an orphan."""


@dataclass(frozen=True, slots=True)
class Previewed:
    """A preview's plan, and the outputs that are already known in it."""

    plan: InfraPlan
    outputs: StackOutputs


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What a destroy deleted, and what it could not."""

    deleted: tuple[ResourceChange, ...]
    failed: tuple[ResourceChange, ...]
