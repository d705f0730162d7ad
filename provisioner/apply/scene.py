"""What planning works out once for all hosts: the image's contract, peers, members, who is first master. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.apply.contract import Contract, Script, read_contract
from provisioner.apply.due import Signer, last_seq
from provisioner.apply.env import (
    EnvItems,
    Peer,
    Phase,
    derived_env,
    masters_first,
    masters_of,
    peers_of,
    script_env,
    user_env,
)
from provisioner.apply.inputs import PlanInputs
from provisioner.apply.members import Members, read_members
from provisioner.apply.templates import Values
from provisioner.errors import HostError, PreconditionError, UsageError
from provisioner.model.facts import HostFacts, Unreadable
from provisioner.model.hosts import Inventory, WantedHost, is_master
from provisioner.model.ids import ClusterName, HostName, StepId, step_id
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Value
from provisioner.model.steps import StepKind

NO_ADDRESS = "192.0.2.1"
"""Stands for an address that is not known yet when a template is only tried (RFC 5737: nobody's)."""

HEALTHY, NOT_YET = 0, 75
"""What health.sh says with: all is well, and: wait."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole picture. `peers` has NO_ADDRESS for machines that are not there yet; `peers_known` says that none is so.

    `read` holds the facts of the hosts that will be planned for and could be read.
    """

    inputs: PlanInputs
    paths: HostPaths
    contract: Contract
    signer: Signer
    peers: tuple[Peer, ...]
    peers_known: bool
    read: Mapping[HostName, HostFacts]
    members: Members
    first: HostName

    @property
    def hosts(self) -> tuple[WantedHost, ...]:
        """The wanted hosts that are not excluded."""
        return _included(self.inputs)

    def peer(self, name: HostName) -> Peer:
        """A wanted host with its address."""
        return next(peer for peer in self.peers if peer.name == name)

    def machine(self, name: HostName) -> str:
        """The machine id of a host, "" while it has none."""
        found = None if name in self.inputs.creating else self.inputs.inventory.host(name)
        return "" if found is None else found.machine_id

    def user(self, host: WantedHost) -> dict[str, Value]:
        """The user env of a host, image ENV below it."""
        pool = self.inputs.pool_values.get(host.pool, {})
        return user_env(self.inputs.image.env, self.inputs.values, pool)

    def way_in(self, host: WantedHost) -> Phase:
        """How the host comes or came into the cluster."""
        facts = self.read.get(host.name)
        settled = facts is not None and is_settled(self.contract, facts, host.name)
        return self.members.way_in(host.name, self.machine(host.name), settled=settled)

    def joins(self, host: WantedHost) -> bool:
        """True for a host that enters a cluster that stands already, until its scripts were done once."""
        facts = self.read.get(host.name)
        entered = facts is not None and facts.ledger.record(self.last_step(host.name)).last_done is not None
        return self.way_in(host) in {Phase.JOIN, Phase.REPLACE} and not entered

    def last_step(self, host: HostName) -> StepId:
        """The step that leaves a host running: start.sh, else init.sh, else the rootfs, as the image has them."""
        for script, kind in ((Script.START, StepKind.START), (Script.INIT, StepKind.INIT)):
            if script in self.contract.scripts:
                return step_id(host, kind, script)
        return rootfs_step(host)

    def phase(self, host: WantedHost) -> Phase:
        """SEALER_PHASE for scripts: `upgrade` while init or start ran under another image only, else the way in."""
        facts = self.read.get(host.name)
        if facts is not None and self._ran_under_another_image(facts, host.name):
            return Phase.UPGRADE
        return self.way_in(host)

    def _ran_under_another_image(self, facts: HostFacts, host: HostName) -> bool:
        wanted = rootfs_inputs(self)
        laid = [e for e in facts.ledger.entries if e.step == rootfs_step(host) and e.event == "result" and e.rc == 0]
        for kind, script in ((StepKind.INIT, Script.INIT), (StepKind.START, Script.START)):
            ran = last_seq(facts.ledger.record(step_id(host, kind, script)))
            under = [entry.inputs for entry in laid if entry.seq < ran][-1:]
            if script in self.contract.scripts and under and under[0] != wanted:
                return True
        return False

    def script_env(self, host: WantedHost, phase: Phase) -> EnvItems:
        """The env of a script that runs on this host."""
        derived = derived_env(self.peer(host.name), phase, self.paths, self.peers)
        return script_env(derived, self.user(host))

    def template_values(self, host: WantedHost) -> Values:
        """What templates see. SEALER_PHASE is the way in, never `upgrade`: a laid file must not change by itself."""
        derived = derived_env(self.peer(host.name), self.way_in(host), self.paths, self.peers)
        lists = {"SEALER_PEERS": self.peers, "SEALER_MASTERS": masters_of(self.peers)}
        return {**self.user(host), **derived, **lists}


def rootfs_step(host: HostName) -> StepId:
    """The id of the step that lays the rootfs."""
    return step_id(host, StepKind.ROOTFS, "image")


def rootfs_inputs(scene: Scene) -> str | None:
    """The inputs of that step for the wanted image."""
    return scene.signer.sign({"rootfs": scene.inputs.image.digest})


def is_settled(contract: Contract, facts: HostFacts, host: HostName) -> bool:
    """True where init.sh or start.sh of any image was done on this machine (the rootfs, if the image has neither)."""
    steps = [step_id(host, StepKind.INIT, Script.INIT), step_id(host, StepKind.START, Script.START)]
    if not contract.scripts & {Script.INIT, Script.START}:
        steps.append(rootfs_step(host))
    return any(facts.ledger.record(step).last_done is not None for step in steps)


def read_scene(inputs: PlanInputs) -> Scene:
    """Work it out. Raises what reading the image raises; HostError for a final plan with hosts that were not read."""
    hosts = _included(inputs)
    read = _readable(inputs, hosts)
    if inputs.final:
        _require_all(inputs, hosts, read)
    contract = read_contract(inputs.changeset)
    signer = Signer(None if inputs.keys is None else inputs.keys.hmac)
    known = _known_peers(inputs)
    peers = _all_peers(inputs, known)
    masters, blind = _master_facts(inputs, hosts, read)
    members = read_members(masters, blind=blind, signer=signer)
    return Scene(
        inputs=inputs,
        paths=HostPaths(ClusterName(inputs.accepted.cluster), inputs.cid, inputs.accepted.data_root),
        contract=contract,
        signer=signer,
        peers=peers,
        peers_known=known == peers,
        read=read,
        members=members,
        first=_first_master(inputs, contract, read, members),
    )


def _included(inputs: PlanInputs) -> tuple[WantedHost, ...]:
    return tuple(host for host in inputs.accepted.wanted if host.name not in inputs.accepted.excluded)


def _readable(inputs: PlanInputs, hosts: tuple[WantedHost, ...]) -> dict[HostName, HostFacts]:
    """Facts of machines that stay. Without keys no ledger can be compared, so then nothing counts as read."""
    if inputs.keys is None:
        return {}
    names = [host.name for host in hosts if host.name not in inputs.creating and inputs.inventory.host(host.name)]
    found = {name: inputs.facts.get(name) for name in names}
    return {name: facts for name, facts in found.items() if isinstance(facts, HostFacts)}


def _require_all(inputs: PlanInputs, hosts: tuple[WantedHost, ...], read: Mapping[HostName, HostFacts]) -> None:
    if inputs.keys is None:
        raise PreconditionError("the cluster's keys are missing, so no ledger can be read or written")
    unread = [host.name for host in hosts if host.name not in read]
    if unread:
        reasons = (f"{name} ({_reason(inputs, name)})" for name in unread)
        hint = "see `sealer-cloud status`, then run the same command again"
        raise HostError(f"not all hosts could be read: {', '.join(reasons)}", host=unread[0], hint=hint)


def _reason(inputs: PlanInputs, name: HostName) -> str:
    facts = inputs.facts.get(name)
    return facts.reason if isinstance(facts, Unreadable) else "it has no machine"


def _known_peers(inputs: PlanInputs) -> tuple[Peer, ...]:
    machines = tuple(machine for machine in inputs.inventory.hosts if machine.name not in inputs.creating)
    return peers_of(inputs.accepted.wanted, Inventory(inputs.inventory.cluster, inputs.cid, machines))


def _all_peers(inputs: PlanInputs, known: tuple[Peer, ...]) -> tuple[Peer, ...]:
    by_name = {peer.name: peer for peer in known}
    included = {host.name for host in _included(inputs)}
    return tuple(
        by_name.get(host.name, Peer(host.name, NO_ADDRESS, host.roles))
        for host in masters_first(inputs.accepted.wanted)
        if host.name in by_name or host.name in included
    )


def _master_facts(
    inputs: PlanInputs, hosts: tuple[WantedHost, ...], read: Mapping[HostName, HostFacts]
) -> tuple[tuple[HostFacts, ...], bool]:
    masters = [host.name for host in hosts if is_master(host.roles)]
    there = [name for name in masters if name not in inputs.creating and inputs.inventory.host(name)]
    return tuple(read[name] for name in there if name in read), any(name not in read for name in there)


def _first_master(
    inputs: PlanInputs, contract: Contract, read: Mapping[HostName, HostFacts], members: Members
) -> HostName:
    """The lowest-numbered living master; in a cluster that stands, one that is in it already (a new one knows nobody).

    Where members come or go it must be healthy if any is, as member.sh asks the running cluster.
    """
    masters = [host for host in _included(inputs) if is_master(host.roles)]
    if not masters:
        raise UsageError("a cluster needs a host with the role master", hint="ask for one: --masters 1")

    def rank(host: WantedHost) -> tuple[bool, bool, bool]:
        facts = read.get(host.name)
        if facts is None:
            return True, True, True
        outside = members.exist and not is_settled(contract, facts, host.name)
        ill = facts.health is None or facts.health.rc != HEALTHY
        return False, outside, ill and _members_change(inputs, members)

    return min(masters, key=rank).name  # min keeps the first of equals


def _members_change(inputs: PlanInputs, members: Members) -> bool:
    if not members.exist:
        return False
    machines = {machine.name: machine.machine_id for machine in inputs.inventory.hosts}
    comes = any(members.recorded_way(h.name, machines.get(h.name, "")) is None for h in _included(inputs))
    return comes or bool(members.left(host.name for host in inputs.accepted.wanted))
