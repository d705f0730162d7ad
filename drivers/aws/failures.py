"""From what AWS answers to an error of ours, by one table of codes. Pure.

Codes: "Error codes for the Amazon EC2 API" (EC2 API Reference), "Common errors" (STS API Reference), and for capacity
the list that aws-parallelcluster-node fails over on (its pull request 673 names the source of each).
"""

from __future__ import annotations

import re

from provisioner.errors import AccessError, CapacityError, ProviderError, RefusedKeyError, SealerError, UsageError

CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",  # this type is not sold in this zone
    }
)
"""Another zone, type or market may have what this one lacks."""

QUOTA = frozenset(
    {
        "AddressLimitExceeded",
        "InsufficientFreeAddressesInSubnet",
        "InstanceLimitExceeded",
        "InternetGatewayLimitExceeded",
        "MaxIOPSLimitExceeded",
        "RouteTableLimitExceeded",
        "SecurityGroupLimitExceeded",
        "SubnetLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
        "VpcLimitExceeded",
    }
)
"""The account's limit: no other zone has more of it."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "OptInRequired", "UnauthorizedOperation"})
"""The key is good, but may not do this."""

IDENTITY = frozenset(
    {
        "AuthFailure",
        "Blocked",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "MissingAuthenticationToken",
        "PendingVerification",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The key itself is refused."""

THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
"""Asked too often: nothing was done, and later it works."""

NOT_SERVED = frozenset(
    {"InvalidAction", "NotImplemented", "UnknownAction", "UnknownOperationException", "UnsupportedOperation", "501"}
)
"""The endpoint does not know this call: it is no AWS, only like it."""

_GONE = re.compile(r"Invalid\w+(?:ID|Id)?\.NotFound|InvalidGroup\.NotFound|Gateway\.NotAttached|InvalidAssociationID")
_SECRETS = re.compile(r"https?://\S+|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?i:signature|token|secret)=\S+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
LIMIT = 300


def is_gone(code: str) -> bool:
    """True where the code says that the thing is not there (any more)."""
    return bool(_GONE.fullmatch(code))


def clean(text: str) -> str:
    """Foreign text for a person: one line, no address, key id or signature in it, at most 300 characters."""
    line = _CONTROL.sub(" ", _SECRETS.sub("…", text)).strip()
    return line if len(line) <= LIMIT else line[: LIMIT - 1] + "…"


def of_code(code: str, message: str, action: str, region: str) -> SealerError:
    """The error of an answer with this code; `action` is the API's own word."""
    text = f"{action} in {region}: {code}: {clean(message)}"
    if code in IDENTITY:
        return RefusedKeyError(text, hint="check the AWS credentials: aws sts get-caller-identity")
    if code in DENIED:
        return AccessError(text, hint="sealer-cloud doctor --permissions aws prints the policy that is needed")
    if code in QUOTA:
        return CapacityError(text, hint="raise this limit of the account under Service Quotas, or use another region")
    if code in CAPACITY:
        return CapacityError(text, hint="name more zones or instance types, or allow on-demand")
    return ProviderError(text, hint="run the same command again to go on")


def of_foreign(error: Exception, action: str, region: str) -> SealerError:
    """The error for anything that boto3 raises; only the kind of a connection's failure is told, never its address."""
    from botocore import exceptions as botocore

    if isinstance(error, botocore.ClientError):
        told = error.response.get("Error", {})
        return of_code(str(told.get("Code", "?")), str(told.get("Message", "")), action, region)
    if isinstance(error, (botocore.NoCredentialsError, botocore.PartialCredentialsError)):
        return no_credentials()
    name = type(error).__name__
    for kinds, make in (
        (_CONFIG, lambda: RefusedKeyError(f"the AWS configuration cannot be used ({name})", hint="check AWS_PROFILE")),
        (_SIGN_IN, lambda: RefusedKeyError(f"the AWS credentials cannot be had ({name})", hint="sign in again")),
        (_REGION, lambda: UsageError(f"{region!r} is no AWS region", hint="name one: --region eu-central-1")),
        (_NETWORK, lambda: _unreachable(action, region, name)),
    ):
        if any(isinstance(error, getattr(botocore, kind)) for kind in kinds):
            return make()
    return ProviderError(
        f"{action} in {region}: {name}: {clean(str(error))}", hint="run the same command again to go on"
    )


_CONFIG = ("ProfileNotFound", "ConfigParseError", "ConfigNotFound")
_SIGN_IN = ("CredentialRetrievalError", "TokenRetrievalError", "SSOError", "MetadataRetrievalError")
_REGION = ("InvalidRegionError", "NoRegionError")
_NETWORK = ("HTTPClientError", "ConnectionError")
"""Classes of `botocore.exceptions`, by name, as the SDK is imported only when it is needed."""


def _unreachable(action: str, region: str, name: str) -> ProviderError:
    return ProviderError(
        f"{action} in {region}: the AWS API cannot be reached ({name})",
        hint="check the network, the region's name and AWS_ENDPOINT_URL; then run the same command again",
    )


def no_credentials() -> AccessError:
    """Nobody said who we are."""
    return AccessError(
        "there are no AWS credentials",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE",
    )
