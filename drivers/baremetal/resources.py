"""The baremetal driver's part of the Pulumi program: all machines at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi

import pulumi_sealer
from provisioner.model.driver import OutputSink
from provisioner.model.hosts import InventoryHost, SshTarget
from provisioner.model.ids import ClusterId
from pulumi_sealer import baremetal

TIMEOUTS = pulumi.CustomTimeouts(create="2m", update="2m", delete="2m")
"""Looking at a machine is bounded by far less; an engine without a limit would wait for ever."""


def declare(
    hosts: tuple[InventoryHost, ...], cid: ClusterId, intent: pulumi_sealer.Intent, sink: OutputSink
) -> list[pulumi.Output[dict[str, Any]]]:
    """Declare the machines; one output per host, in the order given. Known ones go to the sink too."""
    options = pulumi.ResourceOptions(depends_on=[intent], custom_timeouts=TIMEOUTS)

    def one(host: InventoryHost) -> pulumi.Output[dict[str, Any]]:
        resource = baremetal.Host(
            host.name,
            cid=cid,
            name=host.name,
            roles=list(host.roles),
            address=host.address,
            ssh=_target(host.ssh),
            host_keys=list(host.host_keys),
            identity=host.identity,
            jump=_jump(host),
            opts=options,
        )
        return pulumi.Output.all(host_keys=resource.host_keys, machine_id=resource.machine_id).apply(
            _exported(host, sink)
        )

    return [one(host) for host in hosts]


def _target(target: SshTarget) -> dict[str, object]:
    return {"host": target.host, "port": target.port, "user": target.user}


def _jump(host: InventoryHost) -> dict[str, object] | None:
    jump = host.jump
    if jump is None:
        return None
    return {**_target(jump.target), "hostKeys": list(jump.host_keys), "identity": jump.identity}


def _exported(host: InventoryHost, sink: OutputSink) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def export(made: dict[str, Any]) -> dict[str, Any]:
        """The host as an InventoryHost's dict; runs only when all of it is known."""
        raw = {
            "name": host.name,
            "address": host.address,
            "roles": list(host.roles),
            "ssh": _target(host.ssh),
            "hostKeys": list(made["host_keys"]),
            "machineId": made["machine_id"],
            "running": None,
            "jump": _jump(host),
            "identity": host.identity,
        }
        sink("host", raw)
        return raw

    return export
