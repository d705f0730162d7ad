"""The alicloud part of the Pulumi program: a network (or part of one that stands), then all machines at once."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_alicloud as alicloud
from pulumi_alicloud import ecs, vpc

import pulumi_sealer
from drivers.alicloud.spec import BANDWIDTH, AlicloudSpec, Machine, Subnet, auto_release
from provisioner.model import tags as words
from provisioner.model.driver import Marks, OutputSink
from provisioner.model.ingress import Opening
from provisioner.model.plan import key_name
from provisioner.model.tags import HOST, POOL, tags_of
from provisioner.model.userdata import user_data

PROVIDER = "alicloud"
NETWORK_TIMEOUTS = pulumi.CustomTimeouts(create="5m", update="5m", delete="5m")
MACHINE_TIMEOUTS = pulumi.CustomTimeouts(create="10m", update="10m", delete="10m")
"""Without limits the plugin was seen to wait 610 s for a service that is gone."""
IDENTITY_TIMEOUTS = pulumi.CustomTimeouts(create="15m", update="2m", delete="2m")
WAIT_SECONDS = 600
MADE_BY = [f'tags["{key}"]' for key in words.MADE_BY]
"""The run that made a thing is no drift of the next one."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What every resource of one program is made with."""

    spec: AlicloudSpec
    marks: Marks
    intent: pulumi_sealer.Intent
    provider: alicloud.Provider
    adopt: Mapping[str, str]

    def tags(self, **more: str) -> dict[str, str]:
        """The tags of one resource."""
        return tags_of(self.marks, self.spec.tags, **more)

    def options(self, timeouts: pulumi.CustomTimeouts, **more: Any) -> pulumi.ResourceOptions:
        """Its options: after Intent, with this provider, within these times."""
        depends = [self.intent, *more.pop("after", ())]
        return pulumi.ResourceOptions(provider=self.provider, depends_on=depends, custom_timeouts=timeouts, **more)

    def plain(self, after: list[pulumi.Resource]) -> pulumi.ResourceOptions:
        """Options of our own plugin's resources."""
        return pulumi.ResourceOptions(depends_on=[self.intent, *after], custom_timeouts=IDENTITY_TIMEOUTS)


def declare(
    spec: AlicloudSpec, marks: Marks, intent: pulumi_sealer.Intent, sink: OutputSink, adopt: Mapping[str, str]
) -> list[pulumi.Output[dict[str, Any]]]:
    """Declare everything; one output per host, in the order of the spec. Known ones go to the sink too."""
    provider = alicloud.Provider(
        "cloud",
        region=spec.region,
        skip_region_validation=True,
        protocol="HTTPS",
        client_connect_timeout=10_000,
        client_read_timeout=30_000,
        max_retry_timeout=60,
        opts=pulumi.ResourceOptions(depends_on=[intent]),
    )
    scene = Scene(spec, marks, intent, provider, adopt)
    vpc_id = _vpc(scene)
    subnets = {subnet.zone: _subnet(scene, subnet, vpc_id) for subnet in spec.subnets}
    group, rules = _group(scene, vpc_id)
    hosts: list[Host] = []
    for machine in spec.machines:
        place = Place(subnets[machine.zone], group, rules, adopt.get(machine.name))
        hosts.append(_host(scene, machine, place, hosts[0] if hosts and not machine.public else None))
    return [_exported(host, sink) for host in hosts]


def _vpc(scene: Scene) -> pulumi.Output[str]:
    spec = scene.spec
    if spec.vpc_id:
        return pulumi.Output.from_input(spec.vpc_id)
    options = scene.options(NETWORK_TIMEOUTS, ignore_changes=MADE_BY, import_=scene.adopt.get("network"))
    made = vpc.Network("network", vpc_name=str(scene.marks.cid), cidr_block=spec.cidr, tags=scene.tags(), opts=options)
    return cast("pulumi.Output[str]", made.id)


def _subnet(scene: Scene, subnet: Subnet, vpc_id: pulumi.Output[str]) -> pulumi.Output[str]:
    if subnet.id:
        return pulumi.Output.from_input(subnet.id)
    name = f"subnet-{subnet.zone}"
    made = vpc.Switch(
        name,
        vpc_id=vpc_id,
        zone_id=subnet.zone,
        cidr_block=subnet.cidr or "",
        vswitch_name=f"{scene.marks.cid}-{subnet.zone}",
        tags=scene.tags(),
        opts=scene.options(NETWORK_TIMEOUTS, ignore_changes=MADE_BY, import_=scene.adopt.get(name)),
    )
    return cast("pulumi.Output[str]", made.id)


def _group(scene: Scene, vpc_id: pulumi.Output[str]) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """The hosts' security group: its members reach each other and everything outside, as a new group's do."""
    group = ecs.SecurityGroup(
        "hosts",
        vpc_id=vpc_id,
        security_group_name=str(scene.marks.cid),
        inner_access_policy="Accept",
        tags=scene.tags(),
        opts=scene.options(NETWORK_TIMEOUTS, ignore_changes=MADE_BY, import_=scene.adopt.get("hosts")),
    )
    return group.id, [_rule(scene, group, number, rule) for number, rule in enumerate(scene.spec.ingress)]


def _rule(scene: Scene, group: ecs.SecurityGroup, number: int, rule: Opening) -> pulumi.Resource:
    made: pulumi.Resource = ecs.SecurityGroupRule(
        rule.name,
        security_group_id=group.id,
        type="ingress",
        ip_protocol=rule.protocol,
        nic_type="intranet",
        port_range=f"{rule.first}/{rule.last}",
        policy="accept",
        priority=1,
        cidr_ip=rule.cidr(scene.spec.operator),
        opts=scene.options(NETWORK_TIMEOUTS, aliases=[pulumi.Alias(name=f"ingress-{number}")]),  # its name once
    )
    return made


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine goes. `adopt` is the id of one that stands already."""

    subnet: pulumi.Output[str]
    group: pulumi.Output[str]
    rules: list[pulumi.Resource]
    adopt: str | None


@dataclass(frozen=True, slots=True)
class Host:
    """One declared host."""

    machine: Machine
    key: pulumi_sealer.HostKey
    instance: ecs.Instance
    identity: pulumi_sealer.HostIdentity
    jumps: bool
    """It is reached through another one."""


def _host(scene: Scene, machine: Machine, place: Place, through: Host | None) -> Host:
    name = key_name(machine.name)
    key = pulumi_sealer.HostKey(
        name, cid=scene.marks.cid, host=machine.name, renew=scene.adopt.get(name), opts=scene.plain([])
    )
    instance = _instance(scene, machine, place, _user_data(scene, machine, key))
    identity = _identity(scene, machine, (key, instance), place.rules, through)
    return Host(machine, key, instance, identity, jumps=through is not None and through.machine.public)


def _user_data(scene: Scene, machine: Machine, key: pulumi_sealer.HostKey) -> pulumi.Output[str]:
    """Base64 already here: plain text is read back encoded at an import, and the difference restarts the machine."""

    def encoded(known: dict[str, str]) -> str:
        script = user_data(host=machine.name, user=scene.spec.user, power_off_at=None, **known)
        return base64.b64encode(script.encode()).decode()

    keys = pulumi.Output.all(
        bootstrap_private=key.bootstrap_private,
        bootstrap_public=key.bootstrap_public,
        login_public=scene.intent.login_public,
    )
    return pulumi.Output.secret(keys.apply(encoded))


def _instance(scene: Scene, machine: Machine, place: Place, data: pulumi.Output[str]) -> ecs.Instance:
    spec = scene.spec
    category, size = machine.system_disk
    disks = [
        ecs.InstanceDataDiskArgs(category=kind, size=gib, delete_with_instance=True) for kind, gib in machine.data_disks
    ]
    return ecs.Instance(
        machine.name,
        instance_name=f"{scene.marks.cid}-{machine.name}",
        host_name=machine.name,
        image_id=spec.image_id,
        instance_type=machine.machine_type,
        status="Running",  # one that was stopped is started again, in place
        vswitch_id=place.subnet,
        security_groups=[place.group],
        instance_charge_type="PostPaid",
        system_disk_category=category,
        system_disk_size=size,
        data_disks=disks or None,
        internet_charge_type="PayByTraffic",
        internet_max_bandwidth_out=BANDWIDTH if machine.public else 0,
        auto_release_time=auto_release(spec.expires_at) if spec.expires_at else None,
        user_data=data,
        tags=scene.tags(**{HOST: machine.name, POOL: machine.pool}),
        opts=scene.options(
            MACHINE_TIMEOUTS,
            after=place.rules,
            ignore_changes=[*MADE_BY, "userData", *(["dataDisks"] if place.adopt else [])],  # an import reads none back
            import_=place.adopt,
            replacement_trigger=str(
                scene.marks.cid
            ),  # to the cloud another cluster's machine differs in its tags alone
        ),
        **_spot(machine),
    )


def _spot(machine: Machine) -> dict[str, Any]:
    if not machine.spot:
        return {}
    limit = {} if machine.price_limit is None else {"spot_price_limit": machine.price_limit}
    return {"spot_strategy": machine.spot_strategy, **limit, "spot_duration": 0}


def _identity(
    scene: Scene,
    machine: Machine,
    made: tuple[pulumi_sealer.HostKey, ecs.Instance],
    rules: list[pulumi.Resource],
    through: Host | None,
) -> pulumi_sealer.HostIdentity:
    key, instance = made
    after: list[pulumi.Resource] = [*rules, *([through.identity] if through else [])]
    return pulumi_sealer.HostIdentity(
        f"{machine.name}-identity",
        cid=scene.marks.cid,
        host=machine.name,
        roles=list(machine.roles),
        address=instance.primary_ip_address,
        ssh_host=instance.public_ip if machine.public else instance.primary_ip_address,
        ssh_port=scene.spec.port,
        ssh_user=scene.spec.user,
        machine_id=instance.id,
        running=instance.status.apply(lambda status: status == "Running"),
        bootstrap_public=key.bootstrap_public,
        lasting_public=key.lasting_public,
        lasting_private=key.lasting_private,
        login_private=scene.intent.login_private,
        provider=PROVIDER,
        region=scene.spec.region,
        jump=_jump(scene, through) if through and through.machine.public else None,
        presented=scene.adopt.get(f"{machine.name}-identity"),
        wait_seconds=WAIT_SECONDS,
        opts=scene.plain(after),
    )


def _jump(scene: Scene, through: Host) -> dict[str, Any]:
    return {
        "host": through.instance.public_ip,
        "port": scene.spec.port,
        "user": scene.spec.user,
        "hostKeys": [through.key.lasting_public],
    }


def _exported(host: Host, sink: OutputSink) -> pulumi.Output[dict[str, Any]]:
    identity = host.identity
    known = pulumi.Output.all(
        address=identity.address,
        ssh=identity.ssh,
        hostKeys=identity.host_keys,
        machineId=identity.machine_id,
        running=identity.running,
        # What is None comes back from a preview as unknown, and the host would never be told of.
        jump=identity.jump if host.jumps else None,
    )
    return known.apply(_export(host.machine, sink))


def _export(machine: Machine, sink: OutputSink) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def export(made: dict[str, Any]) -> dict[str, Any]:
        """The host as an InventoryHost's dict; runs only when all of it is known."""
        ssh = {**made["ssh"], "port": int(made["ssh"]["port"])}
        jump = {**made["jump"], "port": int(made["jump"]["port"])} if made.get("jump") else None
        host = {
            **made,
            "name": machine.name,
            "roles": list(machine.roles),
            "ssh": ssh,
            "hostKeys": list(made["hostKeys"]),
            "jump": jump,
            "identity": None,
        }
        sink("host", host)
        return host

    return export
