"""Whether a region that a person named is one. Reads only."""

from __future__ import annotations

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.wire import items
from provisioner.errors import ProviderError, SealerError, UsageError
from provisioner.model.grammar import did_you_mean

LISTS_REGIONS = "cn-hangzhou"
"""Whose address lists all regions."""


def demand_region(api: Api, region: str) -> None:
    """The same for one region. Raises as `demanded`."""
    demanded(api, (region,))


def demanded(api: Api, regions: tuple[str, ...]) -> tuple[str, ...]:
    """The regions that a person named, each of which is one, asked of one list before their own addresses are tried.

    Raises UsageError naming those that are. Where the service does not list its regions, the key may not ask for them,
    or the list alone cannot be had, any name is taken.
    """
    names = _listed(api, regions) if regions else []
    for region in regions:
        if names and region not in names:
            raise UsageError(
                f"alicloud has no region {region!r} for this account",
                hint=f"{did_you_mean(region, names) or 'use --region'}; regions: {', '.join(names)}",
            )
    return regions


def _listed(api: Api, regions: tuple[str, ...]) -> list[str]:
    """All regions, sorted; none where there is no list, and an address that is yet to be asked may still answer."""
    home = regions[0] if api.endpoints.own.get("ecs") else LISTS_REGIONS
    try:
        answer = api.call("ecs", "DescribeRegions", home)
    except SealerError as error:
        if error_kind(error) is Kind.UNKNOWN_ACTION or forbids(error):
            return []
        hosts = {api.endpoints.host("ecs", region) for region in regions}
        if isinstance(error, ProviderError) and hosts != {api.endpoints.host("ecs", home)}:
            return []
        raise
    return sorted(str(row["RegionId"]) for row in items(answer, "Regions", "Region"))
