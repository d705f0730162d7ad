"""The seam to a provider: spec, checks, resources, and looking without state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from provisioner.errors import AccessError, PreconditionError, SealerError
from provisioner.model.accepted import Accepted
from provisioner.model.ids import ClusterId, ClusterName, HostName, RunId
from provisioner.model.ingress import OPERATOR_VARIABLE, operator_cidr
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork, Tell

OutputSink = Callable[[str, object], None]
"""Called by a running program with `keys` (login_private, login_public, hmac) and `host` (one InventoryHost as a dict),
in the process that runs the program: so a secret output reaches us without being printed by anything. And with `unread`
(`{id, inputs}`): what the plugin does not read back of a machine that is imported, and the state is told so."""

Program = Callable[[OutputSink], Awaitable[None] | None]
"""A Pulumi program: declares the resources of one cluster, gives known outputs to the sink; may be waited for."""


STAYING = frozenset({"baremetal"})
"""Providers whose machines nobody makes and nobody deletes: `down` undoes on them what the cluster made."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold on this machine or in this account. `ok` False stops, `hint` says what to do.

    `access` is True for credentials and permissions: without them a run ends as access denied, not as something missing.
    `refused` is True where the provider itself does not answer, or refuses what anybody may ask.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
    access: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class FoundCluster:
    """A cluster found by looking (records, tags), without any state of stage 1."""

    name: ClusterName
    cid: ClusterId
    provider: str
    hosts: tuple[str, ...]
    regions: tuple[str, ...] = ()
    """Where a look saw it; empty where there are no regions."""


@dataclass(frozen=True, slots=True)
class FoundMachine:
    """One machine as a look shows it. `host` is empty where no tag names one, `state` the provider's own word.

    None where nobody says. `run`, `ci_run` and `repo` say who made it; times RFC 3339.
    """

    host: str
    id: str
    state: str
    address: str | None = None
    public: str | None = None
    region: str | None = None
    zone: str | None = None
    machine_type: str | None = None
    expires_at: str | None = None
    run: str | None = None
    ci_run: str | None = None
    repo: str | None = None


Dark = Callable[[str, SealerError], None]
"""Told of a region that could not be looked at, and why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One host's machine as it will be bought. `price` per hour, None where nobody says one; `spot` True for spot."""

    host: HostName
    zone: str
    machine_type: str
    price: float | None
    currency: str
    spot: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A choice that the provider had no capacity for: never tried again in this run. `pool` fails over as a whole."""

    pool: str
    zone: str
    machine_type: str
    spot: bool
    code: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What the driver chose: `placement` (its own JSON, kept in the request) and how a person sees it.

    `notes` say what a person should know: what was tried, who keeps the deadline of which resource.
    """

    placement: Mapping[str, object]
    offers: tuple[Offer, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundResource:
    """One thing that stands in an account: for `gc` and `down`. Times RFC 3339; price per hour, None if unknown.

    `cid`, `run`, `expires_at` are None where it carries no such tag.
    """

    kind: str
    id: str
    region: str
    name: str
    cid: ClusterId | None
    run: str | None
    created: str | None
    expires_at: str | None
    price: float | None = None
    currency: str = ""
    ci_run: str | None = None
    """The CI's own id of the run that made it."""
    shared: str | None = None
    """The network of `network create` that it is part of: no cluster's."""
    repo: str | None = None
    """The repository that the CI's run was of: ids of runs are unique only within one."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look through an account found, and the regions that it could not look at, with the reason."""

    resources: tuple[FoundResource, ...]
    not_looked_at: tuple[tuple[str, str], ...] = ()
    unsure: frozenset[str] = frozenset()
    """Of these regions those where something of ours may stand."""


def unsure_of(refused: Iterable[tuple[str, SealerError]], meant: Collection[str | None]) -> frozenset[str]:
    """The regions where something may stand: those that did not answer, and those that were `meant` (home, or named).

    Elsewhere a policy that forbids to look forbids to make: many accounts close all regions but a few.
    """
    return frozenset(name for name, error in refused if name in meant or not isinstance(error, AccessError))


@dataclass(frozen=True, slots=True)
class EngineNeeds:
    """What the engine's processes need for a provider: variables (credentials, endpoints) and plugins by folder.

    No value of `environ` may ever be shown: it holds credentials.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    plugins: Mapping[str, Path] = field(default_factory=dict)
    """Plugin name (`alicloud`) to the folder that holds `pulumi-resource-<name>`."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What every resource of a run is tagged with, from its create call on (see `model/tags.py`)."""

    cid: ClusterId
    run: RunId
    expires_at: str | None = None
    ci_run: str | None = None
    repo: str | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A command that wants to connect: the operator machine's name (8 hex digits that say nothing of it).

    `known` are the ids of everything in the state, where a driver may find its group; `acting` False: look, change nothing.
    """

    name: str
    known: tuple[str, ...] = ()
    acting: bool = True


def tell_nobody(_text: str) -> None:
    """What surroundings do with words where no person waits."""


def look_up_nobody(url: str) -> str:
    """What surroundings without a network answer. Raises PreconditionError (12)."""
    raise PreconditionError(
        f"the operator's address is not known: {url} is not asked here",
        hint=f"set {OPERATOR_VARIABLE} to your network (like 203.0.113.7/32)",
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a driver may know of this process: variables, where to cache, a clock. Drivers read no `os.environ`."""

    environ: Mapping[str, str] = field(repr=False)
    cache_dir: Path
    now: Callable[[], datetime]
    look_up: Callable[[str], str] = look_up_nobody
    """The public IPv4 address that the service at a URL sees us with. Raises PreconditionError (12)."""
    tell: Tell = tell_nobody
    """Called from any thread with what a person who waits should know. Never raises."""

    def operator(self, service: str) -> str:
        """The operator's own network: as the variable says it, else looked up at the provider's `service`.

        Raises UsageError (3) for a variable that is none, PreconditionError (12) where nobody tells.
        """
        return operator_cidr(self.environ) or f"{self.look_up(service)}/32"


class Driver(Protocol):
    """What every provider can do. `spec` is the driver's own frozen type, opaque to everybody else.

    Calls block; whoever is in an event loop uses a thread. All raise errors of our tree alone: AccessError (5) for
    credentials and permission, ProviderError (6), CapacityError (13), PreconditionError (12), UsageError (3).
    """

    name: str

    def region(self) -> str | None:
        """The region that the user's own settings name, for requests that name none; None where there are no regions."""

    def needs(self) -> EngineNeeds:
        """What the engine's processes get.

        Raises AccessError (5) without credentials, PreconditionError (12) without the plugin, saying what to type.
        """

    def choose(
        self, accepted: Accepted, cid: ClusterId | None, refused: tuple[Refused, ...] = (), *, standing: frozenset[str]
    ) -> Choice:
        """Choose zones, types, disks and images before anything is made, and ask whether we may; reads and dry runs only.

        Hosts in `standing` keep what `accepted.placement` says of them. Raises CapacityError (13) when nothing is left,
        AccessError (5) naming every action that is forbidden.
        """

    def prices(self, accepted: Accepted, hosts: frozenset[str]) -> Mapping[str, tuple[float, str]]:
        """What the machines of these hosts, as `accepted.placement` has them, cost today: host → per hour, currency.

        A host whose price nobody says is left out.
        """

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:
        """Machines of the cluster by tag that the state does not know (by their provider ids): host name → id.

        No machine and no disk is ever removed by this call: nobody has seen its name in a plan. What else was made but
        not recorded (networks, rules) costs nothing and is removed. Raises ProviderError naming both where one host
        has two machines that the state does not know.
        """

    def end_strays(self, cid: ClusterId, known: frozenset[str]) -> tuple[str, ...]:
        """Remove parts of the cluster's network by tag that the state does not know; a line for each that went.

        A create call that is sent again after a lost answer makes a second one where the cloud takes no token for it.
        No machine and no disk is ever removed. Never waits: what is in use stays, and goes with the cluster.
        """

    def start(self, machine_ids: tuple[str, ...]) -> None:
        """Start machines of the request at hand that stand and are stopped, where the engine does not; wait for them."""

    def strangers(self, region: str | None, cid: ClusterId) -> tuple[str, ...]:
        """What stands in the networks that were made for this cluster and is not of it, one line each; reads only.

        Machines, network interfaces, subnets: they keep the network from going. In that region, or (None) wherever the
        cluster is.
        """

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:
        """Everything with our tags in the account, in these regions (none: all that the account can see).

        A region that refuses or does not answer is told in it. Raises the worst where all do.
        """

    def permissions(self) -> str:
        """The least policy that it needs, as the provider writes policies; empty where it needs none."""

    def let_in(self, accepted: Accepted, cid: ClusterId, visit: Visit) -> str:
        """Make sure that the cluster's firewall lets this operator in, where its rules say `from: operator`.

        One read where it does. Else one rule is added, known by the visit's name, and an older one of that name goes. Such
        rules go with the cluster and are no drift. Returns what was changed (or, for a visit that only looks, is lacking)
        in one line; empty for nothing. Raises PreconditionError (12) where the operator's address cannot be had.
        """

    def diagnose(self, region: str, machine_id: str) -> tuple[str, ...]:
        """Why a machine may not answer, one line each, as far as can be seen: last console lines, firewall, route.

        Never raises: what cannot be looked up is left out. Console text is cleaned of control characters and cut.
        """

    def parse_spec(self, accepted: Accepted) -> object:
        """The driver's spec. Raises UsageError naming the key that this provider cannot serve."""

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        """What this machine lacks for the provider; reads only.

        With what only a new cluster needs (of that spec, where there is one), but for a `standing` one.
        """

    def declare(
        self, spec: object, marks: Marks, intent: object, sink: OutputSink, adopt: Mapping[str, str]
    ) -> list[object]:
        """Declare the resources (inside a Pulumi program); returns one pulumi.Output per host for export.

        Every resource depends on `intent` and takes from it only what never changes. `adopt` (host → provider id) names
        machines that stand but are not in the state: they are imported, not made. Where a whole cluster is taken over it
        names its other resources too, by their logical names (`network` → id), and the host key that each machine shows
        (`<host>-identity` → public key). Of a machine that is made anew it holds what HostKey's `renew` is told
        (`<host>-key` → a word of this run).
        """

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        """Clusters that a look finds, all or by name: in these regions (none: all that the account can see).

        With `dark` a region that refuses or does not answer is told and stops no other; nothing to be found is then no
        proof. Raises what stops the look everywhere, or without `dark` anywhere.
        """

    def within(self, regions: tuple[str, ...]) -> None:
        """What is asked about a cluster from now on is looked up in these regions alone."""

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        """The cluster's machines as they stand, by host; reads only. Asks the provider alone, and enters none of them."""

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        """Everything of this cluster that is still there, one line each, after looking from outside."""

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        """Remove everything of this cluster by its cid alone; idempotent. Returns what was removed."""

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> Networks:
        """The networks that clusters share, found by their tag: in these regions (none: all that the account can see).

        Raises UsageError where the provider has none.
        """

    def plan_network(self, wish: NetworkWish) -> NetworkPlan:
        """What a network lacks to be as wished; reads only. No parts: nothing.

        Raises UsageError for a zone that is not there, a range without room, or one that differs from what stands.
        """

    def make_network(self, plan: NetworkPlan, tags: Mapping[str, str], tell: Tell) -> None:
        """Make the parts of a plan, each tagged in its create call."""

    def remove_network(self, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:
        """Remove a network's own parts, in the order of dependency; what is refused is answered, one line each."""


DriverRegistry = Mapping[str, Callable[[Surroundings], Driver]]
