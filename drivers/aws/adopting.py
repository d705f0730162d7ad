"""What stands of a cluster without state, and what of it the program imports. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.aws import look
from drivers.aws.api import Api, filters, machines_of
from drivers.aws.facts import LIVE
from drivers.aws.look import Found
from drivers.aws.spec import AwsSpec
from drivers.aws.strays import ends_machine
from drivers.orphans import by_host
from provisioner.errors import UsageError
from provisioner.model import tags as words
from provisioner.model.adoption import Bought, Standing
from provisioner.model.driver import FoundMachine
from provisioner.model.ids import ClusterId, HostName

NAME = "Name"
"""The tag that the console shows: by default it says which part of the program a thing is."""


def standing(api: Api, cid: ClusterId, found: Iterable[Found], home: str) -> Standing:
    """A cluster of which these things were found. Raises ProviderError (6) where one host stands twice."""
    things = [thing for thing in found if thing.state in ("", *LIVE)]
    region = things[0].region if things else home
    machines = sorted(_machines(api, region, things), key=lambda machine: machine.host)
    by_host(((machine.host, machine.id) for machine in machines), cid, ends_machine(region))
    first = next((thing for thing in things if thing.kind == look.MACHINE), None)
    marks: Mapping[str, str] = first.tags if first else {}
    ends, ci_run, repo = (marks.get(key) for key in (words.EXPIRES_AT, words.CI_RUN, words.REPO))
    return Standing(region, tuple(machines), _named(api, region, cid, things), ends, ci_run, repo)


def _named(api: Api, region: str, cid: ClusterId, things: Iterable[Found]) -> dict[str, str]:
    """Ids by logical name: every resource but machines and their disks is called `<cid>-<logical name>`."""
    standing = {thing.id for thing in things if thing.kind not in (look.MACHINE, "volume", "network-interface")}
    where = filters({"key": (NAME,), "value": (f"{cid}-*",)})
    rows = api.pages("ec2", "describe_tags", region, "Tags", Filters=where, MaxResults=1000)
    return {
        str(row["Value"]).removeprefix(f"{cid}-"): str(row["ResourceId"])
        for row in rows
        if row["ResourceId"] in standing and str(row["Value"]).startswith(f"{cid}-")
    }


def _machines(api: Api, region: str, things: Iterable[Found]) -> list[Bought]:
    hosts = {t.id: t.tags[words.HOST] for t in things if t.kind == look.MACHINE and t.tags.get(words.HOST)}
    return [
        Bought(
            HostName(hosts[row["InstanceId"]]),
            str(row["InstanceId"]),
            str(row.get("PrivateIpAddress") or ""),
            str(row["PublicIpAddress"]) if row.get("PublicIpAddress") else None,
        )
        for row in machines_of(api, region, list(hosts))
    ]


def seen(api: Api, found: Iterable[Found]) -> tuple[FoundMachine, ...]:
    """The machines among these things as they stand, by host."""
    things = {thing.id: thing for thing in found if thing.kind == look.MACHINE}
    regions = sorted({thing.region for thing in things.values()})
    rows = [row for r in regions for row in machines_of(api, r, [t.id for t in things.values() if t.region == r])]
    return tuple(sorted((_seen(row, things[row["InstanceId"]]) for row in rows), key=lambda m: (m.host, m.id)))


def _seen(row: Mapping[str, Any], thing: Found) -> FoundMachine:
    return FoundMachine(
        host=thing.tags.get(words.HOST, ""),
        id=thing.id,
        state=str(row["State"]["Name"]),
        address=row.get("PrivateIpAddress") or None,
        public=row.get("PublicIpAddress") or None,
        region=thing.region,
        zone=row.get("Placement", {}).get("AvailabilityZone"),
        machine_type=row.get("InstanceType"),
        expires_at=thing.tags.get(words.EXPIRES_AT),
        run=thing.tags.get(words.RUN),
        ci_run=thing.tags.get(words.CI_RUN),
        repo=thing.tags.get(words.REPO),
    )


def imports(spec: AwsSpec, cluster: str, found: Standing) -> Mapping[str, str]:
    """Logical name → id, as imports take them, of all that the program declares in the cloud.

    Raises UsageError (3) naming what does not stand any more, or where a tag of the user's hides which part is which.
    """
    if NAME in spec.tags:
        raise UsageError(
            f"{cluster} has a tag {NAME} of its own on all its parts, so nobody can tell which of them is which: what is to "
            f"be adopted must be made without tags.{NAME}"
        )
    placement = spec.placement
    names = ["hosts", "inside", "outside", *(rule.name for rule in spec.ingress)]
    if not placement.vpc:
        names += ["network", "gateway", "routes", *(f"subnet-{zone}" for zone in placement.subnets)]
    known = {**found.others, **{str(machine.host): machine.id for machine in found.machines}}
    names += [str(host.wanted.name) for host in spec.hosts]
    if missing := [name for name in names if name not in known]:
        raise UsageError(f"of {cluster} these do not stand any more in {found.region}: {', '.join(missing)}")
    ours = {name: known[name] for name in names}
    # An association has no tags; it is imported by what it joins.
    joins = (
        {} if placement.vpc else {f"routes-{z}": f"{ours[f'subnet-{z}']}/{ours['routes']}" for z in placement.subnets}
    )
    return {**ours, **joins}
