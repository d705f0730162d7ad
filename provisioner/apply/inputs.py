"""What planning stage 2 takes: one frozen value, so that the plan is a pure function of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.model.accepted import Accepted
from provisioner.model.facts import FactMap
from provisioner.model.hosts import ClusterKeys, Inventory
from provisioner.model.ids import ClusterId, HostName, StepId
from provisioner.model.images import Changeset, PinnedImage
from provisioner.model.secret import Value


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Everything the plan depends on.

    `values` is the cluster's user env, resolved; `pool_values` the env of each pool by pool name (wins over `values`).
    `inventory` holds the machines that exist; `creating` the hosts whose machine the preview makes or replaces (their
    facts, if any, are void). `facts` covers machines that exist. `keys` is None before the cluster's first run.
    """

    accepted: Accepted
    image: PinnedImage
    changeset: Changeset
    cid: ClusterId
    values: Mapping[str, Value]
    pool_values: Mapping[str, Mapping[str, Value]]
    inventory: Inventory
    facts: FactMap
    keys: ClusterKeys | None
    creating: frozenset[HostName] = frozenset()
    redo: frozenset[StepId] = frozenset()
    assume_done: frozenset[StepId] = frozenset()
    all_at_once: bool = False
    health_timeout: float = 120.0
    step_timeout: float = 1800.0
    final: bool = field(default=False)
    """True for the plan that will run: every wanted host must then be readable."""
