"""The engine in memory: the promises of `infra.engine.Engine` without Pulumi, processes or files.

A program is not run: what it would make is read from its `accepted` attribute (see `FakeProgram`), or by `accepted_of`.
State (`stacks`) and reality (`machines`) are two things, so that drift and half-made stacks can be played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from provisioner.errors import CapacityError, PreconditionError, ProviderError
from provisioner.events import Events, ResourceChanged
from provisioner.infra.changes import natural
from provisioner.infra.engine import NOTHING, Still, unasked
from provisioner.model.accepted import Accepted
from provisioner.model.driver import EngineNeeds, OutputSink, Program
from provisioner.model.engine import Destroyed, Previewed, StackState
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost, SshTarget, StackOutputs, WantedHost
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.plan import HOST_KEY, InfraPlan, ResourceChange, key_name
from provisioner.model.secret import Secret
from provisioner.stop import Stop

INTENT, NETWORK, HOST = "sealer:index:Intent", "sealer:local:Network", "sealer:local:Host"
OPS = ("create", "update", "replace", "delete", "same")

MakeMachine = Callable[[ClusterId, WantedHost], InventoryHost]
Op = tuple[str, ResourceChange]


@dataclass(frozen=True)
class FakeProgram:
    """A program for the fake: only what it accepts. Calling it declares nothing."""

    accepted: Accepted

    def __call__(self, sink: OutputSink) -> None:
        """Nothing to declare: the fake reads `accepted`."""


@dataclass
class FakeStack:
    """One stack as its backend would hold it."""

    cid: ClusterId | None = None
    accepted: Accepted | None = None
    network: bool = False
    hosts: dict[str, InventoryHost] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    keyed: set[str] = field(default_factory=set)


class FakeEngine:
    """`failpoint` is called at named points and may raise: what was done until there stays done.

    Points: `up/begin`, `up/intent`, `up/network`, `up/before/<host>`, `up/made/<host>` (the machine is there, the state
    does not know it yet), `up/after/<host>`, `up/end`, `destroy/begin`, `destroy/<name>`, `destroy/end`, `forget`.
    `missing`: there is none. `cloud` makes it one whose creates adopt nothing: a machine that stands and is not imported gets a twin. `sold_out`
    maps zone and type of a placement to the code of a CapacityError; `needed` lists what each run was given, `told` what
    each `up` was to take over or to renew: its hosts have keys, which live on when their machines do not.

    `fail` maps `create <name>`, `update <name>` or `delete <name>` to an error text. `calls` lists method and cluster;
    `mutations` lists what was done to machines.
    """

    def __init__(
        self,
        make: MakeMachine | None = None,
        *,
        stop: Stop | None = None,
        failpoint: Callable[[str], None] | None = None,
        accepted_of: Callable[[Program], Accepted] | None = None,
    ) -> None:
        self.stacks: dict[str, FakeStack] = {}
        self.machines: dict[tuple[str, str], InventoryHost] = {}
        self.calls: list[tuple[str, str]] = []
        self.mutations: list[str] = []
        self.fail: dict[str, str] = {}
        self.cloud = False
        self.missing = False
        self.cut: tuple[frozenset[str], float] = (frozenset(), 0.0)
        self.sold_out: dict[tuple[str, str], str] = {}
        self.needed: list[EngineNeeds] = []
        self.told: list[dict[str, str]] = []
        self._make = make or self._default_machine
        self._stop = stop or Stop()
        self._at = failpoint or (lambda _name: None)
        self._accepted_of = accepted_of or (lambda program: program.accepted)  # type: ignore[attr-defined]
        self._made = 0
        self._adopt: dict[str, str] = {}

    def names(self) -> tuple[ClusterName, ...]:
        return tuple(ClusterName(n) for n in sorted(self.stacks))

    def stored(self, cluster: ClusterName) -> StackState | None:
        stack = self.stacks.get(cluster)
        if stack is None:
            return None
        order = {w.name: n for n, w in enumerate(stack.accepted.wanted)} if stack.accepted else {}
        hosts = sorted(stack.hosts.values(), key=lambda h: (order.get(h.name, len(order)), h.name))
        inventory = Inventory(cluster, stack.cid, tuple(hosts)) if stack.cid else None
        count = len(stack.hosts) + stack.network + (stack.accepted is not None)
        ids = tuple(h.machine_id for h in hosts)
        return StackState(
            cluster,
            stack.cid,
            stack.accepted,
            inventory,
            count,
            tuple(stack.pending),
            "v0.0.0-fake",
            machine_ids=ids,
            machines=tuple(h.name for h in hosts),
            resource_ids=ids,
        )

    async def keys(self, cluster: ClusterName) -> ClusterKeys | None:
        stack = self.stacks.get(cluster)
        return fake_keys(stack.cid) if stack and stack.cid else None

    async def repair(self, cluster: ClusterName, *, state: bool = True) -> tuple[str, ...]:
        self.calls.append(("repair", cluster))
        stack = self.stacks.get(cluster)
        if stack is None or not state or not stack.pending:
            return ()
        notes = tuple(f"forgot the begun step `{line}`" for line in stack.pending)
        stack.pending.clear()
        return notes

    def begun(self, cluster: ClusterName) -> tuple[frozenset[str], float]:
        return self.cut

    def demand(self) -> None:
        if self.missing:
            raise PreconditionError("there is no Pulumi engine on this machine")

    async def preview(
        self, cluster: ClusterName, cid: ClusterId, program: Program, events: Events, needs: EngineNeeds = NOTHING
    ) -> Previewed:
        self._stop.check("machines")
        self.calls.append(("preview", cluster))
        self.needed.append(needs)
        stack = self.stacks.get(cluster) or FakeStack()
        accepted = self._accepted_of(program)
        ops = self._ops(cid, stack, accepted)
        for op, change in ops:
            events(ResourceChanged(change.type, change.name, op, done=True))
        known = {c.name for op, c in ops if c.type == HOST and op in {"same", "update"}}
        hosts = [self._seen(cid, stack.hosts[n], start=True) for n in sorted(known)]
        keys = fake_keys(cid) if stack.accepted else None
        anew = [c.name for op, c in ops if op in {"create", "replace"} and c.name in stack.keyed]
        ops += [("update", ResourceChange(HOST_KEY, key_name(name))) for name in anew]
        return Previewed(_plan(ops), StackOutputs(cid, keys, tuple(h for h in hosts if h)))

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
        self._stop.check("machines")
        self.calls.append(("up", cluster))
        self.needed.append(needs)
        self._adopt = dict(getattr(program, "adopt", {}))
        self.told.append(self._adopt)
        self._at("up/begin")
        accepted = self._accepted_of(program)
        stack = self.stacks.setdefault(cluster, FakeStack())
        ops = self._ops(cid, stack, accepted)
        gone = [host for host in stack.hosts if (cid, host) not in self.machines]  # the refresh
        if gone and self.cloud:
            still()
        for host in gone:
            del stack.hosts[host], stack.slots[host]
        for op, change in sorted(ops, key=lambda o: o[0] == "delete"):
            events(ResourceChanged(change.type, change.name, op, done=False))
            self._do(stack, cid, accepted, op, change)
            events(ResourceChanged(change.type, change.name, op, done=True))
        self._at("up/end")
        return StackOutputs(cid, fake_keys(cid), tuple(stack.hosts[n] for n in sorted(stack.hosts)))

    async def destroy(self, cluster: ClusterName, events: Events, needs: EngineNeeds = NOTHING) -> Destroyed:
        self._stop.check("machines")
        self.calls.append(("destroy", cluster))
        self.needed.append(needs)
        self._at("destroy/begin")
        stack = self.stacks.get(cluster)
        if stack is None:
            return Destroyed((), ())
        deleted: list[ResourceChange] = []
        failed: list[ResourceChange] = []
        for change in _resources(stack):
            self._at(f"destroy/{change.name}")
            if f"delete {change.name}" in self.fail or (failed and change.type != HOST):
                failed.append(change)
                continue
            self._remove(stack, change)
            deleted.append(change)
            events(ResourceChanged(change.type, change.name, "delete", done=True))
        self._at("destroy/end")
        return Destroyed(_ordered(deleted), _ordered(c for c in failed if f"delete {c.name}" in self.fail))

    async def forget(self, cluster: ClusterName, *, aside: bool = False) -> None:
        self.calls.append(("forget", cluster))
        self._at("forget")
        stack = self.stacks.get(cluster)
        if stack and list(_resources(stack)) and not aside:
            raise ProviderError(f"{cluster} still has resources")
        self.stacks.pop(cluster, None)

    def _ops(self, cid: ClusterId, stack: FakeStack, accepted: Accepted) -> list[Op]:
        intent = "create" if stack.accepted is None else ("same" if stack.accepted == accepted else "update")
        ops: list[Op] = [(intent, ResourceChange(INTENT, "intent", "request" if intent == "update" else ""))]
        ops.append(("same" if stack.network else "create", ResourceChange(NETWORK, "network")))
        wanted = {w.name: w for w in accepted.wanted}
        ops += [self._host_op(cid, stack, w) for w in wanted.values()]
        gone = [n for n in stack.hosts if n not in wanted and (cid, n) in self.machines]
        return ops + [("delete", ResourceChange(HOST, n)) for n in sorted(gone, key=natural)]

    def _host_op(self, cid: ClusterId, stack: FakeStack, wanted: WantedHost) -> Op:
        name = wanted.name
        old, real = stack.hosts.get(name), self.machines.get((cid, name))
        if old is None or real is None:
            return "create", ResourceChange(HOST, name)
        if stack.slots[name] != wanted.slot:
            return "replace", ResourceChange(HOST, name)
        details = ["start again"] if real.running is False else ["roles"] if old.roles != wanted.roles else []
        return ("update", ResourceChange(HOST, name, details[0])) if details else ("same", ResourceChange(HOST, name))

    def _do(self, stack: FakeStack, cid: ClusterId, accepted: Accepted, op: str, change: ResourceChange) -> None:
        if change.type == INTENT:
            stack.cid, stack.accepted = cid, accepted
            self._at("up/intent")
        elif change.type == NETWORK:
            stack.network = True
            self._at("up/network")
        elif op == "delete":
            self._refuse("delete", change.name)
            self._remove(stack, change)
        elif op != "same":
            self._make_host(stack, cid, next(w for w in accepted.wanted if w.name == change.name), op)

    def _make_host(self, stack: FakeStack, cid: ClusterId, wanted: WantedHost, op: str) -> None:
        name = wanted.name
        stack.keyed |= {name} if self.cloud else set()
        self._at(f"up/before/{name}")
        self._refuse("update" if op == "update" else "create", name)
        if op != "update":
            self._demand_stock(accepted_hosts(stack.accepted).get(name, {}), name)
        if op == "replace":
            self._remove(stack, ResourceChange(HOST, name))
        if op != "update":
            stack.pending.append(f"creating {HOST} {name}")
        if self.cloud and op == "create" and (cid, name) in self.machines:
            if self._adopt.get(name) == self.machines[cid, name].machine_id:
                self.mutations.append(f"import {name}")
            else:
                self.mutations.append(f"twin {name}")
        if (cid, name) not in self.machines:
            self.machines[cid, name] = self._make(cid, wanted)
            self.mutations.append(f"make {name}")
        elif self.machines[cid, name].running is False:
            self.mutations.append(f"start {name}")
        self.machines[cid, name] = replace(self.machines[cid, name], running=True, roles=wanted.roles)
        self._at(f"up/made/{name}")
        stack.hosts[name], stack.slots[name] = self.machines[cid, name], wanted.slot
        if op != "update":
            stack.pending.remove(f"creating {HOST} {name}")
        self._at(f"up/after/{name}")

    def _remove(self, stack: FakeStack, change: ResourceChange) -> None:
        if change.type == HOST:
            if self.machines.pop((stack.cid, change.name), None):
                self.mutations.append(f"remove {change.name}")
            stack.hosts.pop(change.name, None)
            stack.slots.pop(change.name, None)
        elif change.type == NETWORK:
            stack.network = False
        else:
            stack.accepted = None

    def _refuse(self, verb: str, name: str) -> None:
        if f"{verb} {name}" in self.fail:
            raise ProviderError(f"{verb} {HOST} {name}: {self.fail[f'{verb} {name}']}", host=name, phase="machines")

    def _demand_stock(self, on: Mapping[str, object], name: str) -> None:
        code = self.sold_out.get((str(on.get("zone")), str(on.get("type"))))
        if code:
            error = CapacityError(f"create {HOST} {name}: {code}", host=name, phase="machines")
            error.code, error.hosts = code, (name,)
            raise error

    def _seen(self, cid: ClusterId, host: InventoryHost, *, start: bool) -> InventoryHost | None:
        real = self.machines.get((cid, host.name))
        return replace(real, running=True) if real and start else real

    def _default_machine(self, cid: ClusterId, wanted: WantedHost) -> InventoryHost:
        self._made += 1
        address = f"10.213.0.{10 + wanted.slot}"
        keys = (f"ssh-ed25519 key-{cid}-{wanted.name}",)
        machine = f"machine-{self._made}"
        return InventoryHost(
            HostName(wanted.name), wanted.roles, address, SshTarget(address), keys, machine, running=True
        )


def accepted_hosts(accepted: Accepted | None) -> Mapping[str, Mapping[str, object]]:
    """What a placement says of each host."""
    return accepted.placement.get("hosts", {}) if accepted else {}  # type: ignore[return-value]


def fake_keys(cid: ClusterId) -> ClusterKeys:
    """The keys of a cluster: always the same for a cid, as Intent's are."""
    digits = "".join(f"{ord(c):02x}" for c in cid)
    return ClusterKeys(Secret(f"PRIVATE KEY of {cid}"), f"ssh-ed25519 {cid}", Secret((digits * 64)[:64]))


def _resources(stack: FakeStack) -> list[ResourceChange]:
    """What a destroy deletes, in its order: hosts, then what they stand on."""
    found = [ResourceChange(HOST, n) for n in sorted(stack.hosts, key=natural)]
    found += [ResourceChange(NETWORK, "network")] if stack.network else []
    return found + ([ResourceChange(INTENT, "intent")] if stack.accepted is not None else [])


def _plan(ops: list[Op]) -> InfraPlan:
    return InfraPlan(**{op: _ordered(c for o, c in ops if o == op) for op in OPS})


def _ordered(changes) -> tuple[ResourceChange, ...]:
    return tuple(sorted(changes, key=lambda c: (c.type, natural(c.name))))
