"""Whether a region that a person named is one. Reads only."""

from __future__ import annotations

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.wire import items
from provisioner.errors import SealerError, UsageError
from provisioner.model.grammar import did_you_mean

LISTS_REGIONS = "cn-hangzhou"
"""Whose address lists all regions."""


def demand_region(api: Api, region: str) -> None:
    """Refuse a region that is none, before its own address is tried for half a minute. Raises UsageError naming those that are.

    Where the service does not list its regions, or the key may not ask for them, any name is taken.
    """
    home = region if api.endpoints.own.get("ecs") else LISTS_REGIONS
    try:
        answer = api.call("ecs", "DescribeRegions", home)
    except SealerError as error:
        if error_kind(error) is Kind.UNKNOWN_ACTION or forbids(error):
            return
        raise
    names = sorted(str(row["RegionId"]) for row in items(answer, "Regions", "Region"))
    if names and region not in names:
        raise UsageError(
            f"alicloud has no region {region!r} for this account",
            hint=f"{did_you_mean(region, names) or 'use --region'}; regions: {', '.join(names)}",
        )


def demanded(api: Api, regions: tuple[str, ...]) -> tuple[str, ...]:
    """The regions that a person named, each of which is one. Raises as `demand_region`."""
    for region in regions:
        demand_region(api, region)
    return regions
