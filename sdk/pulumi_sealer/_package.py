"""What every resource class needs to know of the package."""

from __future__ import annotations

import pulumi

VERSION = "0.1.0"
"""Version of the resources' schema, asked of the plugin; it grows with the schema, not with every release."""


def package_options(
    opts: pulumi.ResourceOptions | None, secret_outputs: list[str] | None = None
) -> pulumi.ResourceOptions:
    """The caller's options with the package's version and secret outputs; the caller's own words win."""
    ours = pulumi.ResourceOptions(version=VERSION, additional_secret_outputs=secret_outputs)
    return pulumi.ResourceOptions.merge(ours, opts)
