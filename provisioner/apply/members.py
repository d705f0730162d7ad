"""Who is a member of the cluster, how each host came in, and so its SEALER_PHASE. Pure.

Masters' ledgers hold a record `cluster/member/<host>` for each member: inputs are the HMAC of its name, machine and way
in (create, join, replace), or of its name and that it is gone. No such record anywhere: the cluster is being created.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.apply.due import Signer
from provisioner.apply.env import Phase
from provisioner.model.facts import HostFacts
from provisioner.model.ids import CLUSTER_SCOPE, StepId, step_id
from provisioner.model.ledger import LedgerEntry
from provisioner.model.steps import StepKind

WAYS_IN = (Phase.CREATE, Phase.JOIN, Phase.REPLACE)
PREFIX = f"{CLUSTER_SCOPE}/{StepKind.MEMBER}/"


def member_step(host: str) -> StepId:
    """The id of the step that makes a host a member, or no member any more."""
    return step_id(CLUSTER_SCOPE, StepKind.MEMBER, host)


@dataclass(frozen=True, slots=True)
class Members:
    """The members as the readable masters' ledgers name them.

    `blind` is True where a master could not be read: then what is not found here may still stand there.
    """

    masters: tuple[HostFacts, ...]
    blind: bool
    signer: Signer
    last: Mapping[str, tuple[LedgerEntry, ...]]
    """By host: the last good record of each master that has one."""

    @property
    def exist(self) -> bool:
        """True once any host was recorded: the cluster was created."""
        return bool(self.last)

    def inputs(self, host: str, machine: str, way: Phase) -> str | None:
        """The inputs of the record of a member."""
        return self.signer.sign({"member": host, "machine": machine, "way": way.value})

    def gone_inputs(self, host: str) -> str | None:
        """The inputs of the record of a host that left."""
        return self.signer.sign({"member": host, "gone": True})

    def latest(self, host: str) -> LedgerEntry | None:
        """What was recorded last. Masters may differ (one was down); run ids begin with the operator's second."""
        entries = self.last.get(host, ())
        return max(entries, key=lambda entry: entry.run, default=None)

    def everywhere(self, host: str, inputs: str | None) -> bool:
        """True when every readable master's last record of a host has these inputs."""
        entries = self.last.get(host, ())
        return len(entries) == len(self.masters) and all(entry.inputs == inputs for entry in entries)

    def recorded_way(self, host: str, machine: str) -> Phase | None:
        """How this machine came in as this host, None where it is not recorded as a member."""
        entry = self.latest(host)
        if entry is None:
            return None
        return next((way for way in WAYS_IN if entry.inputs == self.inputs(host, machine, way)), None)

    def way_in(self, host: str, machine: str, *, settled: bool) -> Phase:
        """How a host comes or came in. `settled`: its own ledger says that it was initialised or started before.

        A settled host without a record comes from a create that was stopped before the members were recorded.
        """
        recorded = self.recorded_way(host, machine)
        if recorded is not None:
            return recorded
        entry = self.latest(host)
        if not self.exist or (settled and entry is None):
            return Phase.CREATE
        return Phase.JOIN if entry is None or entry.inputs == self.gone_inputs(host) else Phase.REPLACE

    def left(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Recorded members that nobody wants any more and whose leaving is not recorded, by name."""
        return tuple(name for name in sorted(self.last.keys() - set(wanted)) if self._remains(name))

    def _remains(self, host: str) -> bool:
        entry = self.latest(host)
        return entry is not None and entry.inputs != self.gone_inputs(host)


def read_members(masters: tuple[HostFacts, ...], *, blind: bool, signer: Signer) -> Members:
    """The members as these masters' ledgers name them."""
    last: dict[str, tuple[LedgerEntry, ...]] = {}
    for facts in masters:
        done = {e.step.removeprefix(PREFIX): e for e in facts.ledger.entries if e.step.startswith(PREFIX) and e.rc == 0}
        for host, entry in done.items():
            last[host] = (*last.get(host, ()), entry)
    return Members(masters, blind, signer, last)
