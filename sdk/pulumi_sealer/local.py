"""`sealer:local:*`: a network and isolated Linux hosts on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pulumi

from pulumi_sealer._package import arguments, package_options


@pulumi.input_type
class _NetworkArgs:
    cid: pulumi.Input[str] = pulumi.property("cid")
    cidr: pulumi.Input[str] | None = pulumi.property("cidr")


class Network(pulumi.CustomResource):
    """One cluster's network on this machine: a link, a switch namespace and an IPv4 subnet."""

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        cidr: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; without `cidr` the first free 10.213.N.0/24 is taken and kept."""
        props = arguments(_NetworkArgs, {"cid": cid, "cidr": cidr}, ("gateway",))
        super().__init__("sealer:local:Network", resource_name, props, package_options(opts))

    @property
    @pulumi.getter
    def cid(self) -> pulumi.Output[str]:
        """The cluster's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cid"))

    @property
    @pulumi.getter
    def cidr(self) -> pulumi.Output[str]:
        """The subnet."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cidr"))

    @property
    @pulumi.getter
    def gateway(self) -> pulumi.Output[str]:
        """The address of this machine in the subnet."""
        return cast("pulumi.Output[str]", pulumi.get(self, "gateway"))


@pulumi.input_type
class _HostArgs:
    cid: pulumi.Input[str] = pulumi.property("cid")
    name: pulumi.Input[str] = pulumi.property("name")
    slot: pulumi.Input[int] = pulumi.property("slot")
    roles: pulumi.Input[Sequence[pulumi.Input[str]]] = pulumi.property("roles")
    login_public: pulumi.Input[str] = pulumi.property("loginPublic")
    network: pulumi.Input[str] = pulumi.property("network")


class Host(pulumi.CustomResource):
    """One isolated Linux host. It keeps its name, slot, address, disk and host key for life.

    A host that was found stopped has `running` False in the state; the next update starts it in place.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        name: pulumi.Input[str],
        slot: pulumi.Input[int],
        roles: pulumi.Input[Sequence[pulumi.Input[str]]],
        login_public: pulumi.Input[str],
        network: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; `network` is the `cid` output of its Network."""
        values = {
            "cid": cid,
            "name": name,
            "slot": slot,
            "roles": roles,
            "login_public": login_public,
            "network": network,
        }
        props = arguments(_HostArgs, values, ("address", "host_key", "machine_id", "running"))
        super().__init__("sealer:local:Host", resource_name, props, package_options(opts))

    @property
    @pulumi.getter
    def cid(self) -> pulumi.Output[str]:
        """The cluster's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cid"))

    @property
    @pulumi.getter
    def name(self) -> pulumi.Output[str]:
        """The host's name."""
        return cast("pulumi.Output[str]", pulumi.get(self, "name"))

    @property
    @pulumi.getter
    def slot(self) -> pulumi.Output[int]:
        """Its slot, from which its address follows."""
        return cast("pulumi.Output[int]", pulumi.get(self, "slot"))

    @property
    @pulumi.getter
    def roles(self) -> pulumi.Output[Sequence[str]]:
        """Its roles."""
        return cast("pulumi.Output[Sequence[str]]", pulumi.get(self, "roles"))

    @property
    @pulumi.getter(name="loginPublic")
    def login_public(self) -> pulumi.Output[str]:
        """The key that may log in as root."""
        return cast("pulumi.Output[str]", pulumi.get(self, "login_public"))

    @property
    @pulumi.getter
    def network(self) -> pulumi.Output[str]:
        """Its network's cid."""
        return cast("pulumi.Output[str]", pulumi.get(self, "network"))

    @property
    @pulumi.getter
    def address(self) -> pulumi.Output[str]:
        """Its address in the cluster's network."""
        return cast("pulumi.Output[str]", pulumi.get(self, "address"))

    @property
    @pulumi.getter(name="hostKey")
    def host_key(self) -> pulumi.Output[str]:
        """Its SSH host key, OpenSSH public form."""
        return cast("pulumi.Output[str]", pulumi.get(self, "host_key"))

    @property
    @pulumi.getter(name="machineId")
    def machine_id(self) -> pulumi.Output[str]:
        """Another machine id means another disk."""
        return cast("pulumi.Output[str]", pulumi.get(self, "machine_id"))

    @property
    @pulumi.getter
    def running(self) -> pulumi.Output[bool]:
        """False when the last look found it stopped."""
        return cast("pulumi.Output[bool]", pulumi.get(self, "running"))
