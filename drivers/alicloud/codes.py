"""What Alibaba Cloud's error codes mean for us, as one table. Pure.

Sources: the error tables of RunInstances, DescribeAvailableResource, DeleteSecurityGroup and of the signature check in
the vendor's API reference, and its own sample of a fail-over, which tries another type at the codes that are marked so.
"""

from __future__ import annotations

import re
from enum import Enum

from provisioner.errors import AccessError, CapacityError, ProviderError, RefusedKeyError, SealerError


class Kind(Enum):
    """What an error code asks of us."""

    ACCESS = "credentials or permission"
    CAPACITY = "no stock, quota or money"
    AGAIN = "try the same call again"
    DEPENDS = "something else must go first"
    GONE = "it is not there"
    UNKNOWN_ACTION = "the endpoint does not know this call"
    OTHER = "anything else"


_TABLE: tuple[tuple[str, Kind], ...] = (
    # The order counts: a deleted key answers with `.NotFound`, and quotas with words of permission.
    (r"InvalidAccessKeyId\b.*|InvalidAccessKeySecret|NoEnabledAccessKey|MissingAccessKeyId", Kind.ACCESS),
    (
        r"SignatureDoesNotMatch|IncompleteSignature|InvalidSignature.*|InvalidTimeStamp\..*|SignatureExpired",
        Kind.ACCESS,
    ),
    (r"InvalidSecurityToken\b.*|SecurityTokenExpired|MissingSecurityToken", Kind.ACCESS),
    (r"Throttling\b.*|Rejected\.Throttling|ServiceUnavailable|InternalError|UnknownError|SystemBusy", Kind.AGAIN),
    (r"OperationConflict|SignatureNonceUsed|LastTokenProcessing|Idempotence\.Processing", Kind.AGAIN),
    (
        r"OperationDenied\.NoStock|OperationDenied\.ZoneNotOnSale|Zone\.NotOnSale|Zone\.NotOpen",
        Kind.CAPACITY,
    ),  # fail-over sample
    (
        r"InvalidResourceType\.NotSupported|InstanceType\.Offline|InvalidInstanceType\.(ValueNotSupported|ZoneNotSupported)",
        Kind.CAPACITY,
    ),
    (
        r"InvalidInstanceType\.NotSupportDiskCategory|InvalidSystemDiskCategory\.ValueNotSupported|InvalidDiskCategory\b.*",
        Kind.CAPACITY,
    ),
    (
        r"OperationDenied\.SpotPriceLowerThanPublicPrice|InvalidSpotPriceLimit\.LowerThanPublicPrice|Invalid\.SpotPriceLimit\..*",
        Kind.CAPACITY,
    ),
    (r"(InvalidSpot|Spot)\S*|OperationDenied\.Spot\S*", Kind.CAPACITY),
    (r"Quota\S*|\S*QuotaExceed\S*|InstanceQuota\S*|\S*LimitExceed\S*|Invalid\.Zone\.NotEnoughResource", Kind.CAPACITY),
    (
        r"InvalidAccountStatus\.NotEnoughBalance|Account\.Arrearage|InsufficientBalance|\S*NotEnoughBalance",
        Kind.CAPACITY,
    ),
    (
        r"Forb(?:id|bi|ed)den\b.*|NoPermission\b.*|NotAuthorized\b.*|UnauthorizedOperation|Unauthorized|InvalidUser\.Unauthorized",
        Kind.ACCESS,
    ),
    (
        r"DependencyViolation\b.*|IncorrectVpcStatus|IncorrectVSwitchStatus|InvalidOperation\.(Conflict|DependencyViolation)",
        Kind.DEPENDS,
    ),
    (r"IncorrectInstanceStatus(\.Initializing)?|IncorrectStatus\b.*", Kind.DEPENDS),
    (
        r"UnsupportedOperation|UnsupportedAction|InvalidAction\.NotFound|InvalidApi\.NotFound|InvalidVersion|\S*UnsupportedAction",
        Kind.UNKNOWN_ACTION,
    ),
    (r"\S+\.NotFound|\S*NotFound", Kind.GONE),
)
_COMPILED = tuple((re.compile(pattern), kind) for pattern, kind in _TABLE)


def kind_of(code: str) -> Kind:
    """What this code asks of us; OTHER for one that the table does not have."""
    return next((kind for pattern, kind in _COMPILED if pattern.fullmatch(code)), Kind.OTHER)


_HINTS = (
    (r"InvalidTimeStamp\..*|SignatureExpired", "set this machine's clock"),
    (r"InvalidSecurityToken.*|SecurityTokenExpired", "the token has ended or is wrong: get a new one"),
    (
        r"InvalidAccessKeyId.*|SignatureDoesNotMatch|InvalidAccessKeySecret",
        "check the access key; `sealer-cloud doctor` says where it comes from",
    ),
    (r"\S*(Balance|Arrearage)", "put money into the account"),
    (r"\S*Quota\S*|\S*LimitExceed\S*", "ask for more in the Quota Center, or use less"),
)
_BY_KIND = {
    Kind.ACCESS: "see `sealer-cloud doctor --permissions alicloud` for what is needed",
    Kind.CAPACITY: "try other zones or instance types",
    Kind.AGAIN: "the service is busy: try again later",
}


def to_error(action: str, code: str, message: str) -> SealerError:
    """The error of our tree for a refused call; `evidence` is the code. `message` must be clean already."""
    kind = kind_of(code)
    access = AccessError if _FORBIDS.match(code) else RefusedKeyError
    kinds = {Kind.ACCESS: access, Kind.CAPACITY: CapacityError}
    hint = next((hint for pattern, hint in _HINTS if re.fullmatch(pattern, code)), _BY_KIND.get(kind, ""))
    said = f": {message}" if message else ""
    return kinds.get(kind, ProviderError)(f"alicloud refused {action}: {code}{said}", hint=hint, evidence=code)


def error_kind(error: SealerError) -> Kind:
    """The kind of an error that `to_error` made."""
    return kind_of(error.evidence)


_FORBIDS = re.compile(r"Forb(id|bi|ed)den|NoPermission|NotAuthorized")
"""`Forbbiden.SubUser` and `Forbedden.NotSupportRAM` are the vendor's own spellings (error table of the ECS API)."""


def forbids(error: SealerError) -> bool:
    """True where the key is good and may not look there: policies often name the regions of their users."""
    return isinstance(error, AccessError) and bool(_FORBIDS.match(error.evidence))
