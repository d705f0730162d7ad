"""What stands of a cluster without state, and what of it the program imports. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.spec import AlicloudSpec
from drivers.alicloud.things import DISK, GROUP, INSTANCE, SUBNET, VPC, Account, Thing, ends_machine, everywhere
from drivers.alicloud.wire import items, tags_in
from drivers.orphans import by_host
from provisioner.errors import AccessError, UsageError
from provisioner.model import tags
from provisioner.model.adoption import Bought, Standing
from provisioner.model.driver import FoundMachine
from provisioner.model.ids import ClusterId, HostName


def standing(account: Account, cid: ClusterId) -> Standing:
    """Everything of a cluster that this account can see. Raises ProviderError (6) where one host stands twice."""
    region, things = _where(account, cid)
    others = {_logical(t.kind, t.name, cid): t.id for t in things if t.kind in {VPC.kind, GROUP.kind, SUBNET.kind}}
    rows = account.api.pages(
        "ecs", INSTANCE.listing, region, INSTANCE.path, {"Tag": [{"Key": tags.CID, "Value": str(cid)}]}
    )
    machines = sorted((_bought(row) for row in rows if tags.HOST in tags_in(row)), key=lambda m: m.host)
    by_host(((machine.host, machine.id) for machine in machines), cid, ends_machine(region))
    first = next((t for t in things if t.kind == INSTANCE.kind), None)
    marks: Mapping[str, str] = first.tags if first else {}
    told = {key: marks.get(key) for key in (tags.EXPIRES_AT, tags.CI_RUN, tags.REPO)}
    return Standing(region, tuple(machines), others, told[tags.EXPIRES_AT], told[tags.CI_RUN], told[tags.REPO])


def _where(account: Account, cid: ClusterId) -> tuple[str, list[Thing]]:
    """The region that holds it, and what is there; where we may not even look, we made nothing."""
    for region in account.regions():
        with suppress(AccessError):
            if things := [t for t in account.ours(region, cid) if t.cid == cid]:
                return region, things
    return account.home, []


def _logical(kind: str, name: str, cid: ClusterId) -> str:
    """The name in the program: a vSwitch is called `<cid>-<zone>`."""
    if kind == VPC.kind:
        return "network"
    return "hosts" if kind == GROUP.kind else f"subnet-{name.removeprefix(f'{cid}-')}"


def _bought(row: Mapping[str, Any]) -> Bought:
    inside, outside = _addresses(row)
    return Bought(HostName(tags_in(row)[tags.HOST]), str(row["InstanceId"]), inside or "", outside)


def _addresses(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """A machine's address in its network and its public one."""
    inside = items(row, "VpcAttributes", "PrivateIpAddress", "IpAddress")
    outside = [a for a in items(row, "PublicIpAddress", "IpAddress") if a]
    return str(inside[0]) if inside else None, str(outside[0]) if outside else None


def data_disks(api: Api, region: str, machine_id: str) -> list[dict[str, Any]]:
    """The data disks of a machine as the engine's plugin is asked for them, sizes in GiB, in the order of their devices.

    The plugin (v1.285, resource_alicloud_instance.go) reads none back: a machine that it takes over would have none.
    """
    asked = {"InstanceId": machine_id, "DiskType": "data"}
    rows = sorted(api.pages("ecs", DISK.listing, region, DISK.path, asked), key=lambda row: str(row.get("Device", "")))
    return [
        {
            "category": str(row["Category"]),
            "deleteWithInstance": row.get("DeleteWithInstance") is not False,
            "encrypted": row.get("Encrypted") is True,
            "size": int(row["Size"]),
        }
        for row in rows
    ]


def machines(account: Account, cid: ClusterId) -> tuple[FoundMachine, ...]:
    """The machines of a cluster as they stand, by host. Raises what a region refuses."""

    def look(region: str) -> list[Thing]:
        found = account.listed(INSTANCE, region, Tag=[{"Key": tags.CID, "Value": str(cid)}])
        return [thing for thing in found if thing.cid == cid]

    return tuple(sorted(map(_seen, everywhere(account, look)), key=lambda m: (m.host, m.id)))


def _seen(thing: Thing) -> FoundMachine:
    inside, outside = _addresses(thing.row)
    return FoundMachine(
        host=thing.tags.get(tags.HOST, ""),
        id=thing.id,
        state=str(thing.row.get("Status") or "unknown").lower(),
        address=inside,
        public=outside,
        region=thing.region,
        zone=str(thing.row.get("ZoneId") or "") or None,
        machine_type=str(thing.row.get("InstanceType") or "") or None,
        expires_at=thing.tags.get(tags.EXPIRES_AT),
        run=thing.tags.get(tags.RUN),
        ci_run=thing.tags.get(tags.CI_RUN),
        repo=thing.tags.get(tags.REPO),
    )


def imports(spec: AlicloudSpec, found: Standing) -> Mapping[str, str]:
    """Logical name → id of what the program would make else. Rules of the group are none: to add one again adds nothing.

    Raises UsageError (3) naming what does not stand any more.
    """
    machines = {str(machine.host): machine.id for machine in found.machines}
    wanted = ["hosts", *(f"subnet-{subnet.zone}" for subnet in spec.subnets if not subnet.id)]
    wanted += [] if spec.vpc_id else ["network"]
    known = {**found.others, **machines}
    names = [*wanted, *(machine.name for machine in spec.machines)]
    if missing := [name for name in names if name not in known]:
        raise UsageError(f"of {spec.cluster} these do not stand any more in {spec.region}: {', '.join(missing)}")
    return {name: known[name] for name in names}
