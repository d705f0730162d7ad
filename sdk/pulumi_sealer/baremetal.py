"""`sealer:baremetal:*`: machines that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from pulumi_sealer._package import arguments, package_options


@pulumi.input_type
class _HostArgs:
    cid: pulumi.Input[str] = pulumi.property("cid")
    name: pulumi.Input[str] = pulumi.property("name")
    roles: pulumi.Input[Sequence[pulumi.Input[str]]] = pulumi.property("roles")
    address: pulumi.Input[str] = pulumi.property("address")
    ssh: pulumi.Input[Mapping[str, Any]] = pulumi.property("ssh")
    host_keys: pulumi.Input[Sequence[pulumi.Input[str]]] = pulumi.property("hostKeys")
    identity: pulumi.Input[str] | None = pulumi.property("identity")
    jump: pulumi.Input[Mapping[str, Any]] | None = pulumi.property("jump")


class Host(pulumi.CustomResource):
    """A machine that exists, as a host of a cluster. Nothing is made on it, and its deletion leaves it as it is.

    Creating it looks at the machine over SSH, with the keys pinned; one that holds another cluster is refused. A machine
    that does not answer is not gone; another machine in its place is.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        name: pulumi.Input[str],
        roles: pulumi.Input[Sequence[pulumi.Input[str]]],
        address: pulumi.Input[str],
        ssh: pulumi.Input[Mapping[str, Any]],
        host_keys: pulumi.Input[Sequence[pulumi.Input[str]]],
        identity: pulumi.Input[str] | None = None,
        jump: pulumi.Input[Mapping[str, Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it.

        `address` is what the cluster calls it by; `ssh` where it is entered: {"host", "port", "user"}; `host_keys` public
        keys or fingerprints (SHA256:…); `identity` the path of a private key on the machine that runs the program; `jump`
        as `ssh`, with "hostKeys" and, where it is another one, "identity".
        """
        values = {
            "cid": cid,
            "name": name,
            "roles": roles,
            "address": address,
            "ssh": ssh,
            "host_keys": host_keys,
            "identity": identity,
            "jump": jump,
        }
        props = arguments(_HostArgs, values, ("machine_id",))
        super().__init__("sealer:baremetal:Host", resource_name, props, package_options(opts))

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
    def roles(self) -> pulumi.Output[Sequence[str]]:
        """Its roles."""
        return cast("pulumi.Output[Sequence[str]]", pulumi.get(self, "roles"))

    @property
    @pulumi.getter
    def address(self) -> pulumi.Output[str]:
        """What the cluster calls it by."""
        return cast("pulumi.Output[str]", pulumi.get(self, "address"))

    @property
    @pulumi.getter
    def ssh(self) -> pulumi.Output[Mapping[str, Any]]:
        """Where it is entered."""
        return cast("pulumi.Output[Mapping[str, Any]]", pulumi.get(self, "ssh"))

    @property
    @pulumi.getter(name="hostKeys")
    def host_keys(self) -> pulumi.Output[Sequence[str]]:
        """Its public keys; a fingerprint that was given has become the key that it showed."""
        return cast("pulumi.Output[Sequence[str]]", pulumi.get(self, "host_keys"))

    @property
    @pulumi.getter
    def identity(self) -> pulumi.Output[str | None]:
        """The path of the private key."""
        return cast("pulumi.Output[str | None]", pulumi.get(self, "identity"))

    @property
    @pulumi.getter
    def jump(self) -> pulumi.Output[Mapping[str, Any] | None]:
        """The host on the way to it."""
        return cast("pulumi.Output[Mapping[str, Any] | None]", pulumi.get(self, "jump"))

    @property
    @pulumi.getter(name="machineId")
    def machine_id(self) -> pulumi.Output[str]:
        """Another machine id means another machine, or one that was made anew."""
        return cast("pulumi.Output[str]", pulumi.get(self, "machine_id"))
