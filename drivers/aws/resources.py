"""The aws driver's part of the Pulumi program: network, then all machines at once, then who they are."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

import pulumi_sealer
from drivers.aws.spec import DEVICES, AwsHost, AwsSpec
from provisioner.model import tags as words
from provisioner.model.driver import Marks, OutputSink
from provisioner.model.ingress import Opening
from provisioner.model.plan import key_name

NAME = "aws"
MACHINE = pulumi.CustomTimeouts(create="10m", update="15m", delete="15m")
REST = pulumi.CustomTimeouts(create="5m", update="5m", delete="10m")
WAIT = pulumi.CustomTimeouts(create="20m", update="5m", delete="5m")
"""Past HostIdentity's own deadline, which names the cause."""
MADE_BY = [f'tags["{key}"]' for key in words.MADE_BY]
VOLUME_MADE_BY = [f'volumeTags["{key}"]' for key in words.MADE_BY]
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Network:
    """What a machine is put into."""

    subnets: Mapping[str, Any]
    group: Any
    ready: tuple[pulumi.Resource, ...]
    """Without these a machine would be made before it could be reached."""


class Declaring:
    """One run's declarations: what every resource has in common."""

    def __init__(
        self,
        spec: AwsSpec,
        marks: Marks,
        intent: pulumi_sealer.Intent,
        adopt: Mapping[str, str],
        *,
        local_endpoint: bool,
    ) -> None:
        self.spec = spec
        self.marks = marks
        self.intent = intent
        self.adopt = adopt
        self.provider = aws.Provider(
            "cloud",
            region=spec.placement.region,
            skip_metadata_api_check=True,  # credentials come by variables, resolved once for all
            skip_region_validation=local_endpoint or None,
            opts=pulumi.ResourceOptions(depends_on=[intent]),
        )

    def options(
        self, name: str = "", timeouts: pulumi.CustomTimeouts = REST, *needs: pulumi.Resource
    ) -> pulumi.ResourceOptions:
        """Depends on Intent; the creating run is written once and never drifts. What stands under `name` is imported."""
        return pulumi.ResourceOptions(
            provider=self.provider,
            depends_on=[self.intent, *needs],
            custom_timeouts=timeouts,
            ignore_changes=MADE_BY,
            import_=self.adopt.get(name),
        )

    def plain(self, name: str = "") -> pulumi.ResourceOptions:
        """As `options`, for what takes no tags."""
        return pulumi.ResourceOptions(
            provider=self.provider, depends_on=[self.intent], custom_timeouts=REST, import_=self.adopt.get(name)
        )

    def tags(self, name: str, **more: str) -> dict[str, str]:
        """The tags of one resource, with the name that the console shows."""
        shown = {"Name": f"{self.marks.cid}-{name}"}
        return words.tags_of(self.marks, {**shown, **self.spec.tags}, **more)


def declare(
    spec: AwsSpec,
    marks: Marks,
    intent: pulumi_sealer.Intent,
    sink: OutputSink,
    adopt: Mapping[str, str],
    *,
    local_endpoint: bool = False,
) -> list[pulumi.Output[dict[str, Any]]]:
    """Declare everything; one output per host, in the order of the spec. Known ones go to the sink too."""
    run = Declaring(spec, marks, intent, adopt, local_endpoint=local_endpoint)
    network = _network(run)
    made: list[pulumi.Output[dict[str, Any]]] = []
    jump: pulumi.Output[dict[str, Any]] | None = None
    for host in spec.hosts:
        identity = _host(run, network, host, jump)
        made.append(_output(identity, host, sink, jumps=jump is not None))
        if spec.jump and jump is None:
            jump = _jump(run, identity)
    return made


def _network(run: Declaring) -> Network:
    placement = run.spec.placement
    if placement.vpc:
        group, rules = _group(run, placement.vpc)
        return Network(placement.subnets, group.id, rules)
    vpc = aws.ec2.Vpc(
        "network",
        cidr_block=placement.cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags=run.tags("network"),
        opts=run.options("network"),
    )
    gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, tags=run.tags("gateway"), opts=run.options("gateway"))
    routes = aws.ec2.RouteTable(
        "routes",
        vpc_id=vpc.id,
        routes=[aws.ec2.RouteTableRouteArgs(cidr_block=EVERYWHERE, gateway_id=gateway.id)],
        tags=run.tags("routes"),
        opts=run.options("routes"),
    )
    subnets, ready = {}, []
    for zone, cidr in placement.subnets.items():
        subnet = aws.ec2.Subnet(
            f"subnet-{zone}",
            vpc_id=vpc.id,
            availability_zone=zone,
            cidr_block=cidr,
            tags=run.tags(f"subnet-{zone}"),
            opts=run.options(f"subnet-{zone}"),
        )
        ready.append(
            aws.ec2.RouteTableAssociation(
                f"routes-{zone}", subnet_id=subnet.id, route_table_id=routes.id, opts=run.plain(f"routes-{zone}")
            )
        )
        subnets[zone] = subnet.id
    group, rules = _group(run, vpc.id)
    return Network(subnets, group.id, (*ready, *rules))


def _group(run: Declaring, vpc: Any) -> tuple[Any, tuple[pulumi.Resource, ...]]:
    group = aws.ec2.SecurityGroup(
        "hosts",
        vpc_id=vpc,
        description=f"Hosts of {run.marks.cid}",
        tags=run.tags("hosts"),
        opts=run.options("hosts"),
    )
    inside = aws.vpc.SecurityGroupIngressRule(
        "inside",
        security_group_id=group.id,
        referenced_security_group_id=group.id,
        ip_protocol="-1",
        tags=run.tags("inside"),
        opts=run.options("inside"),
    )
    outside = aws.vpc.SecurityGroupEgressRule(
        "outside",
        security_group_id=group.id,
        cidr_ipv4=EVERYWHERE,
        ip_protocol="-1",
        tags=run.tags("outside"),
        opts=run.options("outside"),
    )
    opened = [_opened(run, group.id, rule, index) for index, rule in enumerate(run.spec.ingress)]
    return group, (inside, outside, *opened)


def _opened(run: Declaring, group: Any, rule: Opening, index: int) -> pulumi.Resource:
    opts = pulumi.ResourceOptions.merge(
        run.options(rule.name),
        pulumi.ResourceOptions(aliases=[pulumi.Alias(name=f"ingress-{index}")]),  # its name once
    )
    made: pulumi.Resource = aws.vpc.SecurityGroupIngressRule(
        rule.name,
        security_group_id=group,
        cidr_ipv4=rule.cidr(run.spec.operator),
        from_port=rule.first,
        to_port=rule.last,
        ip_protocol=rule.protocol,
        tags=run.tags(rule.name),
        opts=opts,
    )
    return made


def _host(
    run: Declaring, network: Network, host: AwsHost, jump: pulumi.Output[dict[str, Any]] | None
) -> pulumi_sealer.HostIdentity:
    name = host.wanted.name
    ours = pulumi.ResourceOptions(depends_on=[run.intent], custom_timeouts=REST)
    renew = run.adopt.get(key_name(name))
    key = pulumi_sealer.HostKey(key_name(name), cid=run.marks.cid, host=name, renew=renew, opts=ours)
    machine = _machine(run, network, host, key)
    address = machine.private_ip
    return pulumi_sealer.HostIdentity(
        f"{name}-identity",
        cid=run.marks.cid,
        host=name,
        roles=list(host.wanted.roles),
        address=address,
        ssh_host=machine.public_ip if host.public else address,
        ssh_port=run.spec.port,
        ssh_user=run.spec.user,
        machine_id=machine.id,
        running=machine.instance_state.apply(lambda state: state == "running"),
        bootstrap_public=key.bootstrap_public,
        lasting_public=key.lasting_public,
        lasting_private=key.lasting_private,
        login_private=run.intent.login_private,
        provider=NAME,
        region=run.spec.placement.region,
        jump=jump,
        presented=run.adopt.get(f"{name}-identity"),
        opts=pulumi.ResourceOptions(depends_on=[run.intent], custom_timeouts=WAIT),
    )


def _machine(run: Declaring, network: Network, host: AwsHost, key: pulumi_sealer.HostKey) -> aws.ec2.Instance:
    placed, wanted = host.placed, host.wanted
    tags = run.tags(wanted.name, **{words.HOST: wanted.name, words.POOL: wanted.pool})
    ends = placed.spot or run.spec.expires_at is not None
    options = pulumi.ResourceOptions.merge(
        run.options(wanted.name, MACHINE, *network.ready),
        pulumi.ResourceOptions(
            # User-data works at the first boot only; changing it later would stop and start the machine for nothing.
            ignore_changes=[*MADE_BY, *VOLUME_MADE_BY, "userDataBase64"],
            replacement_trigger=str(run.marks.cid),  # to the cloud another cluster's machine differs in its tags alone
        ),
    )
    return aws.ec2.Instance(
        wanted.name,
        ami=placed.image,
        instance_type=placed.machine_type,
        subnet_id=network.subnets[placed.zone],
        vpc_security_group_ids=[network.group],
        associate_public_ip_address=host.public,
        user_data_base64=_user_data(run, host, key),
        instance_initiated_shutdown_behavior="terminate" if ends else "stop",
        instance_market_options=_market(host),
        metadata_options=aws.ec2.InstanceMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(
            volume_size=host.system_disk, volume_type="gp3", delete_on_termination=True
        ),
        ebs_block_devices=[
            aws.ec2.InstanceEbsBlockDeviceArgs(
                device_name=device, volume_size=size, volume_type="gp3", delete_on_termination=True
            )
            for device, size in zip(DEVICES, host.data_disks, strict=False)
        ]
        or None,
        tags=tags,
        volume_tags=tags,
        opts=options,
    )


def _market(host: AwsHost) -> aws.ec2.InstanceInstanceMarketOptionsArgs | None:
    if not host.placed.spot:
        return None
    limit = host.placed.price_limit
    return aws.ec2.InstanceInstanceMarketOptionsArgs(
        market_type="spot",
        spot_options=aws.ec2.InstanceInstanceMarketOptionsSpotOptionsArgs(
            max_price=f"{limit:g}" if limit is not None else None,
            spot_instance_type="one-time",
            instance_interruption_behavior="terminate",
        ),
    )


def _user_data(run: Declaring, host: AwsHost, key: pulumi_sealer.HostKey) -> pulumi.Output[str]:
    from provisioner.model.userdata import user_data

    def written(made: dict[str, Any]) -> str:
        text = user_data(
            host=host.wanted.name,
            bootstrap_private=made["private"],
            bootstrap_public=made["public"],
            login_public=made["login"],
            user=run.spec.user,
            power_off_at=run.spec.expires_at,
        )
        return base64.b64encode(text.encode()).decode()

    parts = pulumi.Output.all(private=key.bootstrap_private, public=key.bootstrap_public, login=run.intent.login_public)
    return pulumi.Output.secret(parts.apply(written))


def _jump(run: Declaring, first: pulumi_sealer.HostIdentity) -> pulumi.Output[dict[str, Any]]:
    return pulumi.Output.all(ssh=first.ssh, keys=first.host_keys).apply(
        lambda made: {
            "host": made["ssh"]["host"],
            "port": int(made["ssh"]["port"]),
            "user": run.spec.user,
            "hostKeys": list(made["keys"]),
        }
    )


def _output(
    identity: pulumi_sealer.HostIdentity, host: AwsHost, sink: OutputSink, *, jumps: bool
) -> pulumi.Output[dict[str, Any]]:
    return pulumi.Output.all(
        address=identity.address,
        ssh=identity.ssh,
        keys=identity.host_keys,
        machine=identity.machine_id,
        running=identity.running,
        # What is None comes back from a preview as unknown, and the host would never be told of.
        jump=identity.jump if jumps else None,
    ).apply(_exported(host, sink))


def _exported(host: AwsHost, sink: OutputSink) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def export(made: dict[str, Any]) -> dict[str, Any]:
        """The host as an InventoryHost's dict; runs only when all of it is known."""
        known = {
            "name": host.wanted.name,
            "address": made["address"],
            "roles": list(host.wanted.roles),
            "ssh": made["ssh"],
            "hostKeys": list(made["keys"]),
            "machineId": made["machine"],
            "running": made["running"],
            "jump": made["jump"],
            "identity": None,
        }
        sink("host", known)
        return known

    return export
