"""The local driver's part of the Pulumi program: one network, then all hosts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi

import pulumi_sealer
from drivers.local.spec import LocalSpec
from provisioner.model.driver import OutputSink
from provisioner.model.hosts import WantedHost
from provisioner.model.ids import ClusterId
from pulumi_sealer import local

TIMEOUTS = pulumi.CustomTimeouts(create="2m", update="2m", delete="2m")
"""A local host takes under a second; an engine without a limit would wait for ever."""


def declare(
    spec: LocalSpec,
    cid: ClusterId,
    intent: pulumi_sealer.Intent,
    sink: OutputSink,
) -> list[pulumi.Output[dict[str, Any]]]:
    """Declare network and hosts; one output per host, in the order of the spec. Known ones go to the sink too."""
    options = pulumi.ResourceOptions(depends_on=[intent], custom_timeouts=TIMEOUTS)
    network = local.Network("network", cid=cid, cidr=spec.cidr, opts=options)

    def host(wanted: WantedHost) -> pulumi.Output[dict[str, Any]]:
        resource = local.Host(
            wanted.name,
            cid=cid,
            name=wanted.name,
            slot=wanted.slot,
            roles=list(wanted.roles),
            login_public=intent.login_public,
            network=network.cid,
            opts=options,
        )
        return pulumi.Output.all(
            address=resource.address,
            host_key=resource.host_key,
            machine_id=resource.machine_id,
            running=resource.running,
        ).apply(_exported(wanted, sink))

    return [host(wanted) for wanted in spec.hosts]


def _exported(wanted: WantedHost, sink: OutputSink) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def export(made: dict[str, Any]) -> dict[str, Any]:
        """The host as an InventoryHost's dict; runs only when all of it is known."""
        host = {
            "name": wanted.name,
            "address": made["address"],
            "roles": list(wanted.roles),
            "ssh": {"host": made["address"], "port": 22, "user": "root"},
            "hostKeys": [made["host_key"]],
            "machineId": made["machine_id"],
            "running": made["running"],
        }
        sink("host", host)
        return host

    return export
