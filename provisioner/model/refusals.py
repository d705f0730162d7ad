"""What a cloud's error code means to us, by one table: try another choice, stop, or mend the credentials. Pure.

Sources. Alibaba Cloud ECS: the error codes of RunInstances and StartInstance in the ECS API reference, the list of
"no stock" codes in its guide to alternative instance types, and the common errors of its OpenAPI guide. AWS: "Error
codes for the Amazon EC2 API" in its API reference. What no row names is an ordinary refusal, never a reason to go on.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Meaning(StrEnum):
    """Why a cloud refused, as far as it decides what we do."""

    STOCK = "no stock"
    """Nothing of that type in that zone: another type, disk or zone may do."""
    SPOT = "no spot capacity"
    """Not as a spot machine: another type or zone, or on demand where the pool allows it, may do."""
    QUOTA = "quota"
    """The account's limit in the region: no other choice of ours helps."""
    BUDGET = "budget"
    """The account cannot pay."""
    BUSY = "busy"
    """Asked too often: the same again will do, later."""
    ACCESS = "access"
    """Credentials or permission."""


_TABLE: tuple[tuple[str, Meaning], ...] = (
    # Alibaba Cloud, RunInstances: sold out, not (or not any more) on sale in the zone, disk category not offered there
    (r"OperationDenied\.NoStock", Meaning.STOCK),
    (r"Zone\.NotOnSale|Zone\.NotOpen|InstanceType\.Offline|InstanceType\.StockNotEnough", Meaning.STOCK),
    (r"InvalidResourceType\.NotSupported|InvalidInstanceType\.(ZoneNotSupported|ValueNotSupported)", Meaning.STOCK),
    (r"InvalidInstanceType\.NotSupport(ed)?DiskCategory|InvalidSystemDiskCategory\.ValueNotSupported", Meaning.STOCK),
    (
        r"InvalidDataDiskCategory\.(ValueNotSupported|NotSupported)|InvalidDiskCategory\.(Value)?NotSupported",
        Meaning.STOCK,
    ),
    # Alibaba Cloud, preemptible instances: our limit is below the market's price, or the account may buy none
    (r"InvalidSpotPriceLimit\.\w+|OperationDenied\.SpotPriceLowerThanPublicPrice", Meaning.SPOT),
    (r"InvalidSpotAuthorized|InvalidSpotAliUid|InvalidInstanceType\.NotSupported|InvalidSpotStrategy", Meaning.SPOT),
    # Alibaba Cloud: QuotaExceed.ElasticQuota, QuotaExceed.AfterpayInstance, QuotaExceeded.Vpc, InstanceQuotaExceed …
    (r"\w*Quota\.?(Exceed|NotEnough)\w*(\.[\w.]+)?|\w*QuotaExceed\w*(\.[\w.]+)?", Meaning.QUOTA),
    # Alibaba Cloud: balance and arrears
    (r"InvalidAccountStatus\.(NotEnoughBalance|Arrearage)|InsufficientBalance\w*|NotEnoughBalance", Meaning.BUDGET),
    (r"Account\.Arrearage|InvalidPayMethod|Pay\.InsufficientBalance", Meaning.BUDGET),
    # Alibaba Cloud, common errors: keys, signatures, RAM
    (r"InvalidAccessKeyId(\.\w+)?|NoEnabledAccessKey|IncompleteSignature|SignatureDoesNotMatch", Meaning.ACCESS),
    (r"InvalidSecurityToken(\.\w+)?|Forbidden\.(RAM|SubUser|AccessKey\w*|NoPermission|Unauthorized)", Meaning.ACCESS),
    (
        r"NoPermission|Forbidden\.RAM\w*|InvalidAccountStatus(\.SecurityRisk)?|RealNameAuthenticationError",
        Meaning.ACCESS,
    ),
    # AWS: capacity; `Unsupported` is a type that the zone does not offer
    (r"(Server\.)?Insufficient(Instance|Host|ReservedInstance)?Capacity\w*|UnfulfillableCapacity", Meaning.STOCK),
    (r"Unsupported|InvalidFleetConfiguration|ReservationCapacityExceeded", Meaning.STOCK),
    # AWS: spot
    (r"SpotMaxPriceTooLow|MaxSpotInstanceCountExceeded|capacity-not-available", Meaning.SPOT),
    # AWS: VcpuLimitExceeded, InstanceLimitExceeded, VpcLimitExceeded, AddressLimitExceeded … but not its rate limit
    (r"(?!RequestLimitExceeded)\w+LimitExceeded", Meaning.QUOTA),
    # both: the rate limit
    (
        r"(Rejected\.)?Throttling(\.\w+)*|ServiceUnavailable|RequestLimitExceeded|RequestThrottled(Exception)?",
        Meaning.BUSY,
    ),
    (r"Throttl(ing|ed)Exception|TooManyRequestsException", Meaning.BUSY),
    # AWS: who may not call
    (r"(Client\.)?UnauthorizedOperation|AuthFailure|AccessDenied(Exception)?|OptInRequired", Meaning.ACCESS),
    (r"InvalidClientTokenId|UnrecognizedClient(Exception)?|ExpiredToken(Exception)?|RequestExpired", Meaning.ACCESS),
    (r"Blocked|PendingVerification|MissingAuthenticationToken|InvalidIdentityToken", Meaning.ACCESS),
)
_RULES = tuple((re.compile(pattern), meaning) for pattern, meaning in _TABLE)

_CODES = (
    # what the SDKs write: Alibaba's tea and its older one (`Code: X`, `ErrorCode: X`), AWS's for Go, botocore
    re.compile(r"\b(?:Error)?Code: ?\"?([\w.-]+)"),
    re.compile(r"\bapi error ([\w.-]+)"),
    re.compile(r"An error occurred \(([\w.-]+)\)"),
    re.compile(r"\"Code\": ?\"([\w.-]+)\""),
)

FAILS_OVER = frozenset({Meaning.STOCK, Meaning.SPOT})
"""Meanings after which another type or zone is tried: a quota or a balance is the same for all of them."""


def read_code(text: str) -> str:
    """The provider's error code in a provider's text; empty where there is none. Statuses (`Code: 403`) are no codes."""
    found = (match for pattern in _CODES for match in pattern.findall(text))
    return next((code.strip(".-") for code in found if not code.isdigit()), "")


def meaning_of(code: str) -> Meaning | None:
    """What a code means; None for a refusal that is none of these."""
    return next((meaning for pattern, meaning in _RULES if pattern.fullmatch(code)), None)
