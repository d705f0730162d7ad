"""Which regions an account can use, and where to ask when what was named may be none. Reads only."""

from __future__ import annotations

from drivers.aws.api import FALLBACK_REGION, Api, CodeError
from drivers.aws.failures import NOT_SERVED, of_code
from provisioner.errors import AccessError, ProviderError, SealerError, UsageError
from provisioner.model.grammar import did_you_mean

MAIN = {
    "cn-": "cn-north-1",
    "us-gov-": "us-gov-west-1",
    "us-iso-": "us-iso-east-1",
    "us-isob-": "us-isob-east-1",
}
"""Accounts of these partitions are unknown elsewhere ("Partitions" in the AWS whitepaper on fault isolation boundaries)."""
WHERE = "--region, Infra's `region` or AWS_REGION"
NO_LIST = "this endpoint does not list its regions: {} is taken as it is written"


def main_of(region: str) -> str:
    """The region of the same partition that lists all others."""
    return next((main for start, main in MAIN.items() if region.startswith(start)), FALLBACK_REGION)


def who(api: Api, region: str | None) -> str:
    """The account's number. Raises UsageError where nobody answers because the region of the settings is none."""
    try:
        answer = api.call("sts", "get_caller_identity", region or FALLBACK_REGION)
    except ProviderError:
        if region is not None and region not in api.sdk_regions():
            demand_region(api, region)
        raise
    return str(answer.get("Account", ""))


def regions(api: Api, home: str | None) -> tuple[str, ...]:
    """Every region that the account can use, `home` first; only that one where the list may not be read, or there is none."""
    try:
        names = _listed(api, home or FALLBACK_REGION)
    except AccessError:
        if home is None:
            raise
        return (home,)
    if not names:
        return (home or FALLBACK_REGION,)
    if home is None or home not in names:
        return tuple(names)  # nothing can stand in a region that is none
    return (home, *(name for name in names if name != home))


def wanted(api: Api, named: tuple[str, ...], home: str | None) -> tuple[str, ...]:
    """The regions that a user named, else all. Raises UsageError for one that is none."""
    for region in named:
        demand_region(api, region)
    return named or regions(api, home)


def demand_region(api: Api, region: str) -> str:
    """Refuse a region that the account cannot use, before its own address is tried. Raises UsageError naming those that are.

    Where the endpoint has no list any name is taken, and a note says so; where it cannot be had, those that the SDK knows.
    """
    try:
        names = _listed(api, main_of(region))
    except SealerError as error:
        known = sorted(api.sdk_regions())
        if region in known:
            return ""
        if not isinstance(error, AccessError):
            raise
        names = known
    if names and region not in names:
        closed = region in api.sdk_regions()
        raise UsageError(
            f"region: this account has not enabled {region}" if closed else f"region: aws has no region {region!r}",
            hint=f"{did_you_mean(region, names) or f'correct {WHERE}'}; regions: {', '.join(names)}",
        )
    return "" if names else NO_LIST.format(region)


def _listed(api: Api, at: str) -> list[str]:
    """The account's regions; none where the endpoint does not know the call."""
    try:
        answer = api.attempt("ec2", "describe_regions", at)
    except CodeError as error:
        if error.code in NOT_SERVED:
            return []
        raise of_code(error.code, error.message, "DescribeRegions", at) from error
    return sorted(str(region["RegionName"]) for region in answer.get("Regions", ()))
