"""`sealer:index:Intent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pulumi

from pulumi_sealer._package import arguments, package_options

SCHEMA_VERSION = 1


@pulumi.input_type
class _IntentArgs:
    schema_version: pulumi.Input[int] = pulumi.property("schemaVersion")
    cid: pulumi.Input[str] = pulumi.property("cid")
    request: pulumi.Input[Mapping[str, Any]] = pulumi.property("request")
    secrets: pulumi.Input[Mapping[str, Any]] = pulumi.property("secrets")
    keys: pulumi.Input[Mapping[str, str]] | None = pulumi.property("keys")


class Intent(pulumi.CustomResource):
    """The accepted request of a cluster, and the keys that were made for it.

    It is never replaced. When the request changes, its keys stay, and are known in previews too: let every other
    resource of the cluster depend on it (`depends_on`) and take nothing from it but the keys.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        cid: pulumi.Input[str],
        request: pulumi.Input[Mapping[str, Any]],
        secrets: pulumi.Input[Mapping[str, Any]] | None = None,
        keys: pulumi.Input[Mapping[str, str]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; `secrets` holds literal secrets of the request and is kept encrypted.

        `keys` ({hmac, loginPublic, loginPrivate}) are those of a cluster that stands already; they are read at its
        creation alone, kept encrypted, and what is missing of them is made.
        """
        values = {
            "schema_version": SCHEMA_VERSION,
            "cid": cid,
            "request": request,
            "secrets": {} if secrets is None else pulumi.Output.secret(secrets),
        }
        if keys is not None:
            values["keys"] = pulumi.Output.secret(keys)
        props = arguments(_IntentArgs, values, ("login_public", "login_private", "hmac"))
        options = package_options(opts, ["login_private", "hmac", "secrets"])
        super().__init__("sealer:index:Intent", resource_name, props, options)

    @property
    @pulumi.getter(name="schemaVersion")
    def schema_version(self) -> pulumi.Output[int]:
        """Version of the request's format."""
        return cast("pulumi.Output[int]", pulumi.get(self, "schema_version"))

    @property
    @pulumi.getter
    def cid(self) -> pulumi.Output[str]:
        """The cluster's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "cid"))

    @property
    @pulumi.getter
    def request(self) -> pulumi.Output[Mapping[str, Any]]:
        """The accepted request."""
        return cast("pulumi.Output[Mapping[str, Any]]", pulumi.get(self, "request"))

    @property
    @pulumi.getter
    def secrets(self) -> pulumi.Output[Mapping[str, Any]]:
        """Literal secrets of the request; secret."""
        return cast("pulumi.Output[Mapping[str, Any]]", pulumi.get(self, "secrets"))

    @property
    @pulumi.getter(name="loginPublic")
    def login_public(self) -> pulumi.Output[str]:
        """The login key, OpenSSH public form."""
        return cast("pulumi.Output[str]", pulumi.get(self, "login_public"))

    @property
    @pulumi.getter(name="loginPrivate")
    def login_private(self) -> pulumi.Output[str]:
        """The login key, OpenSSH private form; secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "login_private"))

    @property
    @pulumi.getter
    def hmac(self) -> pulumi.Output[str]:
        """The key of the cluster's ledgers, 64 hex characters; secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "hmac"))
