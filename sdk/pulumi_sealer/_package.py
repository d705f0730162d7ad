"""What every resource class needs to know of the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import pulumi

VERSION = "0.1.0"
"""Version of the resources' schema, asked of the plugin; it grows with the schema, not with every release."""


def package_options(
    opts: pulumi.ResourceOptions | None, secret_outputs: list[str] | None = None
) -> pulumi.ResourceOptions:
    """The caller's options with the package's version and secret outputs; the caller's own words win."""
    ours = pulumi.ResourceOptions(version=VERSION, additional_secret_outputs=secret_outputs)
    return pulumi.ResourceOptions.merge(ours, opts)


def arguments(input_type: type[object], values: Mapping[str, object], outputs: Iterable[str]) -> pulumi.Inputs:
    """The arguments of a resource as its input type, with its pure outputs as unset names.

    Only for an input type does Pulumi translate our Python names by metadata; for a dict it would translate keys within
    values too, and a request must come back as it went in.
    """
    made = input_type.__new__(input_type)
    made.__dict__.update(values)
    made.__dict__.update(dict.fromkeys(outputs))
    return cast("pulumi.Inputs", made)
