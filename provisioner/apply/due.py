"""What a ledger says of a step: not due, or due and why. Pure.

Order counts as well as inputs: whatever was done before the rootfs was laid last has to be done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.model.facts import HostFacts, OpenRun
from provisioner.model.ids import StepId
from provisioner.model.ledger import LedgerEntry, StepRecord, hmac_inputs
from provisioner.model.secret import Secret, Value, reveal
from provisioner.model.steps import StepState

ALWAYS = 1 << 62
"""A sequence number that every entry lies before: all that was done is void."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes the `inputs` of steps: HMACs with the cluster's key. Without a key (before the first run): None."""

    key: Secret | None

    def sign(self, value: object) -> str | None:
        """The HMAC (hex) over canonical JSON; the value may hold secrets in clear."""
        return None if self.key is None else hmac_inputs(self.key, value)


def judge(record: StepRecord, inputs: str | None, *, since: int = 0) -> StepState | None:
    """None for a step that is done with these inputs after entry `since`; else why it is due.

    UNKNOWN: begun, and no end is recorded. NEW: never done. CHANGED: done with other inputs, too early, or failed since.
    """
    if record.open_intent is not None:
        return StepState.UNKNOWN
    done = record.last_done
    if done is None:
        return StepState.NEW
    stale = record.last_failed is not None or done.inputs != inputs or done.seq < since
    return StepState.CHANGED if stale else None


def why(record: StepRecord) -> StepState:
    """The state of a step that is due for another reason than its ledger."""
    return judge(record, None, since=ALWAYS) or StepState.CHANGED


def last_seq(record: StepRecord) -> int:
    """The sequence number of the last good result, 0 where there is none."""
    return 0 if record.last_done is None else record.last_done.seq


def done_entries(facts: HostFacts, step: StepId) -> tuple[LedgerEntry, ...]:
    """All good results of a step, oldest first."""
    return tuple(e for e in facts.ledger.entries if e.step == step and e.event == "result" and e.rc == 0)


def open_run(facts: HostFacts, step: StepId) -> OpenRun | None:
    """The wrapper's run of a step that has no result in the ledger."""
    return next((run for run in facts.open_runs if run.step == step), None)


def dependence(names: frozenset[str] | None, env: Mapping[str, Value]) -> dict[str, str | None]:
    """The values that a script depends on, in clear (for HMACs alone): those of `names`, or all user env."""
    chosen = env.keys() if names is None else names
    return {name: reveal(env[name]) if name in env else None for name in chosen}
