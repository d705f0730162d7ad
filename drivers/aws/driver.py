"""The aws provider behind the seam that every provider keeps."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from drivers.aws import adopting, look, netmake, sharednet
from drivers.aws.api import ATTEMPTS, FALLBACK_REGION, Api, Waits
from drivers.aws.caller import Caller, Known
from drivers.aws.choose import kept, offers_of, place
from drivers.aws.credentials import endings, passed_on, region_of
from drivers.aws.diagnose import diagnose
from drivers.aws.door import let_in
from drivers.aws.dryrun import permission
from drivers.aws.facts import LIVE, differences, gather
from drivers.aws.permissions import policy
from drivers.aws.placement import Placement, parse_placement
from drivers.aws.regions import demand_region, wanted
from drivers.aws.regions import regions as every_region
from drivers.aws.spec import AwsSpec, check_request, parse_aws
from drivers.aws.standing import priced, prices_of, standing_prices, start_machines
from drivers.aws.strays import bought, end_strays
from drivers.aws.sweep import REST_SECONDS, Waiting, let_go, remove
from drivers.aws.wayout import dead_ends
from drivers.whereabouts import Whereabouts
from provisioner.errors import AccessError, PreconditionError, ProviderError, SealerError, UsageError, worst_of
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
    unsure_of,
)
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.ingress import (
    OPEN_NOTE,
    guest_of,
    open_to_all,
    operator_cidr,
    operator_openings,
    settle_origin,
    with_origin,
)
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork, Tell

PLUGIN = "pulumi-resource-aws"
PLUGIN_DIR = "SEALER_CLOUD_PLUGIN_AWS_DIR"
ROOT = "root"


class AwsDriver:
    """Machines on EC2. Importing this imports neither boto3 nor Pulumi; an instance asks who we are once."""

    name = "aws"

    def __init__(self, around: Surroundings, waiting: Waiting | None = None, attempts: int | None = None) -> None:
        self._around = around
        self._waiting = waiting or Waiting()
        waits = Waits(self._waiting.monotonic, self._waiting.sleep)
        self._caller = Caller(around, waits, attempts or ATTEMPTS)
        self._checked = False
        self._seen: str | None = None
        """The region of the request at hand: what is asked about its cluster is looked up there."""
        self._operator = Whereabouts(around)
        self._within: tuple[str, ...] = ()

    def region(self) -> str | None:
        """`AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's."""
        return region_of(self._around.environ)

    def needs(self) -> EngineNeeds:
        """The same credentials and endpoints that our own calls use, and the plugin's folder."""
        folder = self._plugin()
        if folder is None:
            raise PreconditionError(
                "the Pulumi plugin for AWS is missing",
                hint=f"pulumi plugin install resource aws; or set {PLUGIN_DIR} to the folder that holds {PLUGIN}",
            )
        # A program that is asked for keys may ask a person: not once more for the plugin.
        credentials, _ = self._caller.reach()
        # Keys in variables win over a profile and a role, in every SDK; and nobody asks the instance's metadata again.
        shown = {**passed_on(self._around.environ), **credentials.environ()}
        return EngineNeeds(environ={**shown, "AWS_EC2_METADATA_DISABLED": "true"}, plugins={"aws": folder})

    def choose(
        self,
        accepted: Accepted,
        cid: ClusterId | None,
        refused: tuple[Refused, ...] = (),
        *,
        standing: frozenset[str],
    ) -> Choice:
        """Machines for the hosts that do not stand, and whether we may; one call (who are we) where all of them do."""
        check_request(accepted)
        old = parse_placement(accepted.placement)
        accepted = settle_origin(
            accepted, operator_cidr(self._around.environ), self._operator.network, standing=bool(standing)
        )
        _, api, account = self._identity()
        region = self._region_for(accepted, old, account)
        stays = kept(accepted, old, standing)
        new = [host for host in accepted.hosts if host.name not in stays]
        if old and not new and not refused:
            return self._chosen(accepted, replace(old, hosts=stays))
        pools = frozenset(host.pool for host in new)
        facts = gather(api, (account, region), accepted, pools, self._around.now())
        placement = place(accepted, old, facts, refused, standing)
        placement = priced(api, facts, placement, tuple(str(host.name) for host in new))
        may: tuple[str, ...] = ()
        if not refused:  # a second choice of one run was permitted the first time
            placed = accepted.model_copy(update={"placement": placement.to_json(ROOT)})
            may = permission(api, placed, cid, standing, facts.root_device, ci=ci_of(self._around.environ))
        ends = dead_ends(api, placement, accepted.network.get("shared"))
        return self._chosen(accepted, placement, (*may, *facts.notes, *ends, *differences(api, accepted, placement)))

    def prices(self, accepted: Accepted, hosts: frozenset[str]) -> Mapping[str, tuple[float, str]]:
        """By one look-up per type, and one for all spot machines."""
        placement = parse_placement(accepted.placement)
        return standing_prices(self._identity()[1], placement, hosts, self._around.now()) if placement else {}

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:
        """Living machines with this cid that the state does not know."""
        _, api, _ = self._identity()
        there = self._of(cid)
        found = [thing for thing in there if thing.id not in known and thing.state in (*LIVE, "")]
        machines = bought(found, cid)
        if any(not id_.startswith("i-") for id_ in known):  # else we were told of machines alone
            # Never waits: what is in use is no orphan, or goes with its machine later.
            remove(api, [t for t in found if t.kind not in look.COSTLY], self._waiting, rest_seconds=-1)
            let_go(api, [t for t in there if t.kind == "route-table" and t.id in known], known)
        return machines

    def end_strays(self, cid: ClusterId, known: frozenset[str]) -> tuple[str, ...]:
        """EC2 makes a second VPC, gateway or table of a call that is sent again."""
        there = [thing for thing in self._of(cid) if thing.id not in known]
        return end_strays(self._identity()[1], there, self._waiting)

    def start(self, machine_ids: tuple[str, ...]) -> None:
        """An instance's program says nothing of running or not."""
        start_machines(self._identity()[1], self._seen or self.region() or FALLBACK_REGION, machine_ids, self._waiting)

    def strangers(self, region: str | None, cid: ClusterId) -> tuple[str, ...]:
        """Machines, interfaces and subnets in the cluster's own network that are not of it."""
        _, api, _ = self._identity()
        ours = look.in_region(api, region, cid) if region else self._of(cid)
        return tuple(str(thing) for thing in look.strangers(api, ours, cid))

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:
        """Everything with our tags, with prices of machines as they are paid for; regions that refuse are told."""
        _, api, _ = self._identity()
        names = wanted(api, regions, self.region())
        found, refused = look.everywhere(names, lambda name: look.in_region(api, name))
        if refused and not found:  # "nothing found" would be a comfort that nobody has looked for
            raise worst_of(error for _, error in refused)
        things = [thing for part in found for thing in part]
        prices = prices_of(api, (t.sold_as for t in things if t.sold_as), self._around.now())
        resources = tuple(look.resource_of(t, prices.get(t.sold_as) if t.sold_as else None) for t in things)
        dark = tuple((name, error.message) for name, error in refused)
        return Survey(resources, dark, unsure_of(refused, regions or (self.region(),)))

    def permissions(self) -> str:
        """An IAM policy in JSON."""
        return policy()

    def let_in(self, accepted: Accepted, cid: ClusterId, visit: Visit) -> str:
        """One read of the group's rules; a rule for this operator where none lets him in."""
        region = accepted.region or self.region()
        if not operator_openings(accepted) or region is None:
            return ""
        guest = guest_of(accepted, self._operator.network(accepted), visit.name, self._around.now())
        return let_in(self._caller.reach()[1], region, cid, guest, visit)

    def diagnose(self, region: str, machine_id: str) -> tuple[str, ...]:
        """State, firewall, route and the console's last lines; empty where nobody answers."""
        try:
            return diagnose(self._identity()[1], region, machine_id)
        except SealerError:
            return ()

    def parse_spec(self, accepted: Accepted) -> AwsSpec:
        """The spec of a request with a placement. Raises UsageError naming a key that AWS cannot serve."""
        self._seen = accepted.region or self._seen
        return parse_aws(accepted, operator_cidr(self._around.environ))

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:  # noqa: ARG002
        """Credentials (anew at each check but the first), plugin; with a spec a foreign account raises AccessError (5)."""
        found = [self._check_plugin()]
        what = "aws credentials"
        try:
            self._caller.reach()
            what = "aws account"  # there are some, so whatever fails now is no account that nobody uses
            credentials, _, account = self._caller.identity(anew=self._checked)
            self._checked = True
        except SealerError as error:
            if spec is not None:
                raise
            kind = {"access": isinstance(error, AccessError), "refused": isinstance(error, ProviderError)}
            return (*found, Check(what, ok=False, detail=error.message, hint=error.hint, **kind))
        if isinstance(spec, AwsSpec):
            _same_account(spec.placement, account)
        ending = endings(credentials, self._around.now())
        detail = f"account {account}" + (f"; {ending}" if ending else "")
        found.append(Check("aws credentials", ok=True, detail=detail, hint="renew them first" if ending else ""))
        return tuple(found)

    def declare(
        self, spec: object, marks: Marks, intent: object, sink: OutputSink, adopt: Mapping[str, str]
    ) -> list[object]:
        """Declare network and machines inside a Pulumi program; one output per host."""
        from drivers.aws.resources import declare
        from pulumi_sealer import Intent

        elsewhere = any(name.startswith("AWS_ENDPOINT_URL") for name in passed_on(self._around.environ))
        made = declare(cast("AwsSpec", spec), marks, cast("Intent", intent), sink, adopt, local_endpoint=elsewhere)
        return list(made)

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        """Clusters by tag, in these regions or every one that the account can use, all at once."""
        _, api, _ = self._identity()
        home = self._seen or self.region()
        found, refused = look.everywhere(wanted(api, regions, home), lambda where: look.in_region(api, where))
        if refused and not found:
            raise worst_of(error for _, error in refused)
        for where, error in refused:
            if dark is not None:
                dark(where, error)
            elif where == home or where in regions or not isinstance(error, AccessError):
                raise error
        return look.clusters_of([thing for part in found for thing in part], name)

    def within(self, regions: tuple[str, ...]) -> None:
        """There, and nowhere else."""
        self._within = regions

    def standing(self, cid: ClusterId, region: str | None) -> Standing:
        """Machines, network and group of a cluster by their tags."""
        self._seen, api = region or self._seen, self._identity()[1]
        if region:
            demand_region(api, region)
        return adopting.standing(api, cid, self._of(cid), self._seen or self.region() or FALLBACK_REGION)

    def imports(self, accepted: Accepted, standing: Standing) -> Mapping[str, str]:
        """What the program of this request imports."""
        return adopting.imports(self.parse_spec(accepted), accepted.cluster, standing)

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        """Its machines by their tags."""
        return adopting.seen(self._identity()[1], self._of(cid))

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        """What still carries the cluster's tag, rules left out (they go with their group), and strangers in its network."""
        _, api, _ = self._identity()
        ours = self._of(cid)
        return (
            *(str(thing) for thing in ours if thing.kind != "security-group-rule"),
            *(f"{t} stands in its network and is not of this cluster" for t in look.strangers(api, ours, cid)),
        )

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        """Remove everything with this tag; what cannot be removed is raised after all else is gone."""
        _, api, _ = self._identity()
        before = self._of(cid)
        strangers = look.strangers(api, before, cid)
        going = [t for t in before if not (strangers and t.kind in look.NETWORK)]
        failed = remove(api, going, self._waiting, 0.0 if strangers else REST_SECONDS)
        if strangers:
            names = ", ".join(map(str, strangers))
            failed.append(
                ProviderError(
                    f"what is not of {cid} stands in its network: {names}; the network is left",
                    hint="remove them, then run the same command",
                )
            )
        if failed:
            raise worst_of(failed)
        left = {thing.id for thing in self._of(cid)} if before else set()
        return tuple(str(t) for t in before if t.id not in left and t.kind != "security-group-rule")

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> Networks:
        """Shared networks by their tag."""
        _, api, _ = self._identity()
        return sharednet.networks(api, wanted(api, regions, self.region()), name)

    def plan_network(self, wish: NetworkWish) -> NetworkPlan:
        """VPC, way out, subnets and their routes, as far as they are missing."""
        return sharednet.plan(self._identity()[1], wish)

    def make_network(self, plan: NetworkPlan, tags: Mapping[str, str], tell: Tell) -> None:
        """The parts in their order; no create call is sent twice."""
        netmake.make(self._caller.once(), plan, tags, self._waiting, tell)

    def remove_network(self, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:
        """The parts in the order of dependency."""
        return sharednet.remove(self._identity()[1], network, self._waiting, tell)

    def _of(self, cid: ClusterId) -> list[look.Found]:
        _, api, _ = self._identity()
        return sorted(self._things(api, cid), key=lambda t: look.rank(t.kind))

    def _things(self, api: Api, cid: ClusterId | None = None) -> list[look.Found]:
        home = self._seen or self.region()
        regions = self._within or ((self._seen,) if self._seen and cid else every_region(api, home))
        found, refused = look.everywhere(regions, lambda name: look.in_region(api, name, cid))
        for name, error in refused:
            # Where we may not even look, we made nothing; but at home, or where it was seen, we must.
            if name == home or self._within or not found or not isinstance(error, AccessError):
                raise error
        return [thing for part in found for thing in part]

    def _identity(self) -> Known:
        return self._caller.identity()

    def _region_for(self, accepted: Accepted, old: Placement | None, account: str) -> str:
        region = accepted.region or self.region()
        if not region:
            raise UsageError("no AWS region is named", hint="use --region, Infra's region, or AWS_REGION")
        if old is not None:
            _same_account(old, account)
            if old.region != region:
                raise UsageError(f"this cluster is in {old.region}, not in {region}", hint="it cannot move")
        return region

    def _chosen(self, accepted: Accepted, placement: Placement, more: tuple[str, ...] = ()) -> Choice:
        user = accepted.ssh.user if accepted.ssh else ROOT
        ending = endings(self._identity()[0], self._around.now())
        notes = [f"the AWS credentials may end before the run does: {ending}"] if ending else []
        if accepted.expires_at:
            notes.append(
                "at the deadline a timer in each machine powers it off and EC2 terminates it; "
                "the network costs nothing and is removed by `gc`"
            )
        if any(host.spot for host in placement.hosts.values()):
            notes.append("spot machines can be taken away at any time")
        if open_to_all(accepted):
            notes.append(OPEN_NOTE)
        chosen = with_origin(placement.to_json(user), accepted)
        return Choice(chosen, offers_of(accepted, placement), (*notes, *more))

    def _plugin(self) -> Path | None:
        environ = self._around.environ
        places = [Path(environ[PLUGIN_DIR])] if environ.get(PLUGIN_DIR) else []
        places.append(self._around.cache_dir / "plugins" / self.name)
        for place_ in places:
            if (place_ / PLUGIN).is_file():
                return place_.absolute()
        on_path = shutil.which(PLUGIN, path=environ.get("PATH"))
        return Path(on_path).absolute().parent if on_path else self._installed()

    def _installed(self) -> Path | None:
        """Where `pulumi plugin install` puts it; of several versions the newest."""
        home = self._around.environ.get("PULUMI_HOME") or f"{self._around.environ.get('HOME', '~')}/.pulumi"
        found = Path(home).expanduser().glob(f"plugins/resource-aws-v*/{PLUGIN}")
        newest = sorted(found, key=lambda path: path.stat().st_mtime)
        return newest[-1].parent if newest else None

    def _check_plugin(self) -> Check:
        folder = self._plugin()
        if folder:
            return Check("aws plugin", ok=True, detail=str(folder / PLUGIN))
        hint = f"pulumi plugin install resource aws, or set {PLUGIN_DIR}"
        return Check("aws plugin", ok=False, detail=f"{PLUGIN} is missing", hint=hint)


def _same_account(placement: Placement, account: str) -> None:
    if placement.account and placement.account != account:
        raise AccessError(
            f"this cluster belongs to AWS account {placement.account}, these credentials to {account}",
            hint="use the credentials of that account; nothing was changed",
        )
