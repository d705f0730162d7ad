"""`sealer:index:HostKey` and `sealer:index:HostIdentity`: the host key of a machine that a cloud makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from pulumi_sealer._package import arguments, package_options

WAIT_SECONDS = 600
PRIVATE = ("lasting_private", "login_private")


@pulumi.input_type
class _KeyArgs:
    cid: pulumi.Input[str] = pulumi.property("cid")
    host: pulumi.Input[str] = pulumi.property("host")
    renew: pulumi.Input[str] | None = pulumi.property("renew")


class HostKey(pulumi.CustomResource):
    """Two host key pairs, made before the machine: the bootstrap one for its user-data, the lasting one for ever after.

    User-data is readable by every process on a machine, so the bootstrap key is worth nothing once HostIdentity is done.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        host: pulumi.Input[str],
        renew: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; both keys live as long as the resource.

        But for the bootstrap one: a `renew` that no run before said, from the run that makes the machine anew, makes it
        anew. The next run says nothing, and nothing changes.
        """
        made = ("bootstrap_public", "bootstrap_private", "lasting_public", "lasting_private")
        props = arguments(_KeyArgs, {"cid": cid, "host": host, "renew": renew}, made)
        options = package_options(opts, ["bootstrap_private", "lasting_private"])
        super().__init__("sealer:index:HostKey", resource_name, props, options)

    @property
    @pulumi.getter
    def cid(self) -> pulumi.Output[str]:
        """The cluster's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cid"))

    @property
    @pulumi.getter
    def host(self) -> pulumi.Output[str]:
        """The host's name."""
        return cast("pulumi.Output[str]", pulumi.get(self, "host"))

    @property
    @pulumi.getter(name="bootstrapPublic")
    def bootstrap_public(self) -> pulumi.Output[str]:
        """What the machine shows first, OpenSSH public form."""
        return cast("pulumi.Output[str]", pulumi.get(self, "bootstrap_public"))

    @property
    @pulumi.getter(name="bootstrapPrivate")
    def bootstrap_private(self) -> pulumi.Output[str]:
        """For user-data alone, OpenSSH private form; secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "bootstrap_private"))

    @property
    @pulumi.getter(name="lastingPublic")
    def lasting_public(self) -> pulumi.Output[str]:
        """What the machine shows once HostIdentity is done, OpenSSH public form."""
        return cast("pulumi.Output[str]", pulumi.get(self, "lasting_public"))

    @property
    @pulumi.getter(name="lastingPrivate")
    def lasting_private(self) -> pulumi.Output[str]:
        """For HostIdentity alone, OpenSSH private form; secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "lasting_private"))


@pulumi.input_type
class _IdentityArgs:
    cid: pulumi.Input[str] = pulumi.property("cid")
    host: pulumi.Input[str] = pulumi.property("host")
    roles: pulumi.Input[Sequence[pulumi.Input[str]]] = pulumi.property("roles")
    address: pulumi.Input[str] = pulumi.property("address")
    ssh_host: pulumi.Input[str] = pulumi.property("sshHost")
    ssh_port: pulumi.Input[int] = pulumi.property("sshPort")
    ssh_user: pulumi.Input[str] = pulumi.property("sshUser")
    machine_id: pulumi.Input[str] = pulumi.property("machineId")
    running: pulumi.Input[bool] = pulumi.property("running")
    bootstrap_public: pulumi.Input[str] = pulumi.property("bootstrapPublic")
    lasting_public: pulumi.Input[str] = pulumi.property("lastingPublic")
    lasting_private: pulumi.Input[str] = pulumi.property("lastingPrivate")
    login_private: pulumi.Input[str] = pulumi.property("loginPrivate")
    provider: pulumi.Input[str] = pulumi.property("provider")
    region: pulumi.Input[str] = pulumi.property("region")
    wait_seconds: pulumi.Input[int] = pulumi.property("waitSeconds")
    jump: pulumi.Input[Mapping[str, Any]] | None = pulumi.property("jump")
    presented: pulumi.Input[str] | None = pulumi.property("presented")


class HostIdentity(pulumi.CustomResource):
    """A machine that answers by SSH and shows its lasting host key alone.

    Creating it waits for the machine's SSH, accepts nothing but the two keys of its HostKey, and swaps them over the
    verified session. Another `machine_id` needs another one; whatever else changes is only written down.

    `address` is what the cluster uses, `ssh_*` is where we connect, through `jump` ({host, port, user, hostKeys}) where
    there is one. `provider` and `region` say whom to ask for the cause when the machine does not come up within
    `wait_seconds`. `running` False says that the machine is stopped. `presented` is the key that a machine shows which
    stands already and is taken over: at its creation that one is accepted in place of the bootstrap key.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        host: pulumi.Input[str],
        roles: pulumi.Input[Sequence[pulumi.Input[str]]],
        address: pulumi.Input[str],
        ssh_host: pulumi.Input[str],
        ssh_port: pulumi.Input[int],
        ssh_user: pulumi.Input[str],
        machine_id: pulumi.Input[str],
        running: pulumi.Input[bool],
        bootstrap_public: pulumi.Input[str],
        lasting_public: pulumi.Input[str],
        lasting_private: pulumi.Input[str],
        login_private: pulumi.Input[str],
        provider: pulumi.Input[str],
        region: pulumi.Input[str],
        jump: pulumi.Input[Mapping[str, Any]] | None = None,
        presented: pulumi.Input[str] | None = None,
        wait_seconds: pulumi.Input[int] = WAIT_SECONDS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; both private keys are kept encrypted."""
        # Each parameter is an input of the same name: said once, and not a second time as a table.
        given = {key: value for key, value in locals().items() if key in _IdentityArgs.__annotations__}
        private = {key: pulumi.Output.secret(given[key]) for key in PRIVATE}
        props = arguments(_IdentityArgs, {**given, **private}, ("host_keys", "ssh"))
        options = package_options(opts, list(PRIVATE))
        super().__init__("sealer:index:HostIdentity", resource_name, props, options)

    @property
    @pulumi.getter
    def cid(self) -> pulumi.Output[str]:
        """The cluster's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cid"))

    @property
    @pulumi.getter
    def host(self) -> pulumi.Output[str]:
        """The host's name."""
        return cast("pulumi.Output[str]", pulumi.get(self, "host"))

    @property
    @pulumi.getter
    def roles(self) -> pulumi.Output[Sequence[str]]:
        """Its roles."""
        return cast("pulumi.Output[Sequence[str]]", pulumi.get(self, "roles"))

    @property
    @pulumi.getter
    def address(self) -> pulumi.Output[str]:
        """Its address in the cluster."""
        return cast("pulumi.Output[str]", pulumi.get(self, "address"))

    @property
    @pulumi.getter(name="hostKeys")
    def host_keys(self) -> pulumi.Output[Sequence[str]]:
        """The one key that it shows, OpenSSH public form."""
        return cast("pulumi.Output[Sequence[str]]", pulumi.get(self, "host_keys"))

    @property
    @pulumi.getter(name="machineId")
    def machine_id(self) -> pulumi.Output[str]:
        """The provider's id of the machine; another one means another machine."""
        return cast("pulumi.Output[str]", pulumi.get(self, "machine_id"))

    @property
    @pulumi.getter
    def running(self) -> pulumi.Output[bool]:
        """False when the provider said that it is stopped."""
        return cast("pulumi.Output[bool]", pulumi.get(self, "running"))

    @property
    @pulumi.getter
    def ssh(self) -> pulumi.Output[Mapping[str, Any]]:
        """Where to connect: {host, port, user}."""
        return cast("pulumi.Output[Mapping[str, Any]]", pulumi.get(self, "ssh"))

    @property
    @pulumi.getter
    def jump(self) -> pulumi.Output[Mapping[str, Any] | None]:
        """The host to connect through, or None."""
        return cast("pulumi.Output[Mapping[str, Any] | None]", pulumi.get(self, "jump"))
