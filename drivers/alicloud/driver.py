"""The provider alicloud behind the seam that every provider keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

from drivers.alicloud import adopting, credentials, sharednet, sweep
from drivers.alicloud.api import PAGE_SIZE, Api, Send, Waits, https
from drivers.alicloud.codes import Kind, error_kind
from drivers.alicloud.diagnose import diagnose
from drivers.alicloud.door import let_in
from drivers.alicloud.dryrun import permission
from drivers.alicloud.pace import Pace
from drivers.alicloud.placing import Ask, place, standing_prices
from drivers.alicloud.policy import policy
from drivers.alicloud.regions import demanded
from drivers.alicloud.spec import AlicloudSpec, check_request, parse_spec
from drivers.alicloud.things import Account
from drivers.alicloud.wire import items
from drivers.whereabouts import Whereabouts
from provisioner.errors import PreconditionError, ProviderError, SealerError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import Standing
from provisioner.model.ci import ci_of
from provisioner.model.driver import (
    Check,
    Choice,
    Dark,
    EngineNeeds,
    FoundCluster,
    FoundMachine,
    Marks,
    OutputSink,
    Refused,
    Surroundings,
    Survey,
    Visit,
)
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.ingress import (
    guest_of,
    operator_cidr,
    operator_openings,
    settle_origin,
    with_origin,
)
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork, Tell

PLUGIN_VERSION = "3.105.0"
PLUGIN_VARIABLE = "SEALER_CLOUD_PLUGIN_ALICLOUD_DIR"
PLUGIN_FILE = "pulumi-resource-alicloud"
FALLBACK_REGION = "cn-hangzhou"
"""Only for calls that are the same everywhere, where nobody named a region."""
SHORT_LIFE = timedelta(minutes=30)
_PACE = Pace()
"""One for the process: a run makes several drivers, and the service counts all of their calls."""
_T = TypeVar("_T")


def _guarded(look: Callable[[], _T]) -> _T | None:
    """What a look finds, None where it is refused: for facts that are good to know and no more."""
    try:
        return look()
    except SealerError:
        return None


class AlicloudDriver:
    """Machines of Alibaba Cloud; `send` and `waits` are the real ones but in tests."""

    name = "alicloud"

    def __init__(self, around: Surroundings, send: Send | None = None, waits: Waits | None = None) -> None:
        self._around = around
        self._keys = credentials.resolver(around.environ)
        self._api = Api(
            self._keys,
            credentials.endpoints_of(around.environ),
            send or https(around.environ),
            waits or Waits(),
            Pace() if waits else _PACE,
            around.tell,
        )
        self._seen: str | None = None
        """The region of the request that this driver was last asked about."""
        self._operator = Whereabouts(around)
        self._within: tuple[str, ...] = ()
        self._owner: str | None = None
        """Whose account a choice for a standing cluster found, so that the check after it need not ask again."""

    def region(self) -> str | None:
        """The region that the variables name."""
        return credentials.region_of(self._around.environ)

    def needs(self) -> EngineNeeds:
        """The plugin's folder, and the same key, endpoints and authorities that our own calls use."""
        folder = self._plugin()
        environ = credentials.plugin_environ(self._around.environ, self._keys(), self._seen or self.region())
        return EngineNeeds(environ, {self.name: folder})

    def _plugin(self) -> Path:
        said = self._around.environ.get(PLUGIN_VARIABLE)
        folder = Path(said) if said else self._around.cache_dir / "plugins" / f"{self.name}-{PLUGIN_VERSION}"
        if (folder / PLUGIN_FILE).is_file():
            return folder
        where = f"${PLUGIN_VARIABLE}" if said else "the cache"
        raise PreconditionError(
            f"the engine's plugin for alicloud {PLUGIN_VERSION} is not in {where}",
            hint=f"run `make setup-clouds`, or set {PLUGIN_VARIABLE} to the folder of {PLUGIN_FILE}",
        )

    def choose(
        self, accepted: Accepted, cid: ClusterId | None, refused: tuple[Refused, ...] = (), *, standing: frozenset[str]
    ) -> Choice:
        """Zones, types, disks, image, and whether we may; where every host stands one call: whose account this is."""
        check_request(accepted)
        region = self._region(accepted)
        said = operator_cidr(self._around.environ)
        asked = settle_origin(accepted, said, self._operator.network, standing=bool(standing))
        ask = Ask(asked, region, refused, standing, self._around.now(), lambda: self.account(region))
        choice = place(self._api, ask)
        placed = asked.model_copy(update={"placement": dict(choice.placement)})
        # A second choice of one run was permitted the first time.
        may = () if refused else permission(self._api, placed, cid, standing, ci=ci_of(self._around.environ))
        words = [*may, *credentials.warnings(self._around.environ), *self._ending(), *self._whose(placed, standing)]
        return Choice(with_origin(choice.placement, asked), choice.offers, (*choice.notes, *words))

    def let_in(self, accepted: Accepted, cid: ClusterId, visit: Visit) -> str:
        """One read of the group; a rule for this operator where none lets him in."""
        if not operator_openings(accepted):
            return ""
        guest = guest_of(accepted, self._operator.network(accepted), visit.name, self._around.now())
        return let_in(self._api, self._region(accepted), cid, guest, visit)

    def _region(self, accepted: Accepted) -> str:
        region = accepted.region or self.region()
        if region is None:
            raise UsageError("no region is named", hint=f"use --region, or set {credentials.REGIONS[0]}")
        self._seen = region
        return region

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:
        """Machines by tag that the state does not know."""
        return sweep.orphans(self._account(), cid, known)

    def end_strays(self, cid: ClusterId, known: frozenset[str]) -> tuple[str, ...]:
        """The plugin's creates carry a token, so this finds what a cloud made twice all the same."""
        return sweep.end_strays(self._account(), cid, known)

    def prices(self, accepted: Accepted, hosts: frozenset[str]) -> Mapping[str, tuple[float, str]]:
        """By one look-up per kind of machine."""
        return standing_prices(self._api, self._region(accepted), accepted, hosts)

    def start(self, machine_ids: tuple[str, ...]) -> None:
        """The program says that they run (`status`), so the engine does it."""

    def strangers(self, region: str | None, cid: ClusterId) -> tuple[str, ...]:
        """Machines, interfaces and vSwitches in the cluster's own network that are not of it."""
        account = Account(self._api, region, (region,)) if region else self._account()
        found = [t for r in account.regions() for t in account.strangers(r, account.ours(r, cid), cid)]
        return tuple(str(thing) for thing in found)

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:
        """Everything with our tags."""
        return sweep.survey(self._named(regions))

    def permissions(self) -> str:
        """A RAM policy of exactly the calls that the driver and the plugin make."""
        return policy()

    def diagnose(self, region: str, machine_id: str) -> tuple[str, ...]:
        """Status, security group, console."""
        return diagnose(self._api, region, machine_id)

    def parse_spec(self, accepted: Accepted) -> AlicloudSpec:
        """The spec of a request whose placement was chosen."""
        self._region(accepted)
        return parse_spec(accepted, operator_cidr(self._around.environ))

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        """Credentials by one signed call, whose account it is, how long they last, the plugin."""
        asked = spec if isinstance(spec, AlicloudSpec) else None
        return (
            self._check_signed(asked),
            *self._check_account(asked, standing=standing),
            *self._check_life(),
            self._check_plugin(),
        )

    def _check_signed(self, spec: AlicloudSpec | None) -> Check:
        """Before any refresh: a key that was deleted makes every resource look gone. Raises ProviderError with a spec."""
        region = spec.region if spec else self._home()
        try:
            answer = self._api.call("ecs", "DescribeRegions", region)
        except ProviderError as error:
            if error_kind(error) is not Kind.UNKNOWN_ACTION:
                if spec:  # nothing is missing here: the service does not answer, and that is what a run ends as
                    raise
                return Check("account", ok=False, detail=error.message, hint=error.hint, refused=True)
            return Check("account", ok=True, detail=f"{self._keys().source}, signed calls are taken")
        except SealerError as error:
            return Check("credentials", ok=False, detail=error.message, hint=error.hint, access=True)
        names = {str(r.get("RegionId")) for r in items(answer, "Regions", "Region")}
        if spec and names and region not in names:
            return Check("region", ok=False, detail=f"this account has no region {region}", hint="use --region")
        return Check("credentials", ok=True, detail=f"from {self._keys().source}")

    def _check_account(self, spec: AlicloudSpec | None, *, standing: bool) -> tuple[Check, ...]:
        if spec is None or not standing or spec.account is None:
            return ()
        now = self._owner or self.account(spec.region, spec.account)
        if now is None or now == spec.account:
            return ()
        detail = f"the cluster is in account {spec.account}, the credentials are of account {now}"
        return (
            Check("account", ok=False, detail=detail, hint="use the credentials of the cluster's account", access=True),
        )

    def _left(self) -> int | None:
        """Minutes until a token ends that ends soon."""
        ends = _guarded(lambda: self._keys().expires_at)
        if ends is None or ends - self._around.now() >= SHORT_LIFE:
            return None
        return max(int((ends - self._around.now()).total_seconds() // 60), 0)

    def _ending(self) -> tuple[str, ...]:
        left = self._left()
        return () if left is None else (f"the alicloud token may end before the run does: it ends in {left} min",)

    def _check_life(self) -> tuple[Check, ...]:
        left = self._left()
        if left is None:
            return ()
        return (
            Check(
                "session",
                ok=left > 0,
                detail=f"the token ends in {left} min",
                hint="get a fresh one: a run may take longer",
                access=True,
            ),
        )

    def _check_plugin(self) -> Check:
        try:
            self._plugin()
        except PreconditionError as error:
            return Check("plugin", ok=False, detail=error.message, hint=error.hint)
        return Check("plugin", ok=True, detail=f"{self.name} {PLUGIN_VERSION}")

    def account(self, region: str, known: str | None = None) -> str | None:
        """The account's id: by STS where it can be reached, else by who owns the networks here. None: not known.

        A network may be another account's, shared with this one: where there are several owners only the `known` one counts.
        """
        own = self._api.endpoints.own
        if "sts" in own or not own:  # whoever names ECS and VPC alone is not to be taken to the real STS
            answer = _guarded(lambda: self._api.call("sts", "GetCallerIdentity", region)) or {}
            if answer.get("AccountId"):
                return str(answer["AccountId"])
        vpcs = _guarded(lambda: self._api.call("vpc", "DescribeVpcs", region, {"PageSize": PAGE_SIZE})) or {}
        owners = {str(row["OwnerId"]) for row in items(vpcs, "Vpcs", "Vpc") if row.get("OwnerId")}
        if known in owners:
            return known
        return owners.pop() if len(owners) == 1 else None

    def _whose(self, placed: Accepted, standing: frozenset[str]) -> tuple[str, ...]:
        """A word where nothing tells whose account this is: then another one's credentials are not refused."""
        known = placed.placement.get("account")
        if known and standing:
            known = self._owner = self.account(self._region(placed), str(known))
        lapses = "it is not known whose account this is (no answer of STS, no network that says its owner)"
        return () if known else (f"{lapses}, so credentials of another account are not refused",)

    def declare(
        self, spec: object, marks: Marks, intent: object, sink: OutputSink, adopt: Mapping[str, str]
    ) -> list[object]:
        """Declare network and machines inside a Pulumi program; one output per host. Machines to adopt are read."""
        from drivers.alicloud.resources import declare
        from pulumi_sealer import Intent

        asked = cast("AlicloudSpec", spec)
        for own in (adopt[machine.name] for machine in asked.machines if machine.name in adopt):
            sink("unread", {"id": own, "inputs": {"dataDisks": adopting.data_disks(self._api, asked.region, own)}})
        return list(declare(asked, marks, cast("Intent", intent), sink, adopt))

    def _home(self) -> str:
        return self._seen or self.region() or FALLBACK_REGION

    def _account(self) -> Account:
        """The account, looked at in the region of the request at hand; without one, everywhere."""
        return Account(self._api, self._home(), self._within or ((self._seen,) if self._seen else ()))

    def _named(self, regions: tuple[str, ...]) -> Account:
        """The account, looked at in the regions that a person named; without one, everywhere. Raises UsageError for none."""
        return Account(self._api, regions[0] if regions else self._home(), demanded(self._api, regions))

    def within(self, regions: tuple[str, ...]) -> None:
        """There, and nowhere else."""
        self._within = regions

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        """Clusters by their tags, all regions at once."""
        return sweep.find(self._named(regions), name, dark)

    def standing(self, cid: ClusterId, region: str | None) -> Standing:
        """Machines, network and group of a cluster by their tags."""
        return adopting.standing(self._named((region,) if region else ()), cid)

    def imports(self, accepted: Accepted, standing: Standing) -> Mapping[str, str]:
        """What the program of this request imports."""
        return adopting.imports(self.parse_spec(accepted), standing)

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        """Its machines by their tags."""
        return adopting.machines(self._account(), cid)

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        """What is there of a cluster, and strangers in its network."""
        return sweep.leftovers(self._account(), cid)

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        """Remove all of a cluster by its tags."""
        return sweep.sweep(self._account(), cid)

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> Networks:
        """Shared networks by their tag."""
        return sharednet.networks(self._named(regions), name)

    def plan_network(self, wish: NetworkWish) -> NetworkPlan:
        """VPC and vSwitches that are missing."""
        return sharednet.plan(self._api, wish)

    def make_network(self, plan: NetworkPlan, tags: Mapping[str, str], tell: Tell) -> None:
        """VPC and vSwitches, each waited for."""
        sharednet.make(self._api, plan, tags, tell)

    def remove_network(self, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:
        """The vSwitches, then the VPC."""
        return sharednet.remove(Account(self._api, network.region, (network.region,)), network, tell)
