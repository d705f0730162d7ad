"""Who we are to AWS: boto3's chain, resolved once per driver, the same for our calls and for the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drivers.aws.failures import clean, no_credentials, of_foreign
from provisioner.errors import AccessError, PreconditionError, ProviderError, RefusedKeyError, SealerError, pip_install
from provisioner.model.secret import Secret

SHORT = timedelta(minutes=30)
"""A token that ends sooner may end in the middle of a run."""
CHAIN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ENDS = "AWS_CREDENTIAL_EXPIRATION"
"""When those of variables end, as `aws configure export-credentials --format env` writes it."""
KEPT = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""Where the API is and whom to trust there: for the plugin as for us."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Resolved credentials; `expires` is None for those that do not end, or do not say when."""

    key_id: Secret
    secret: Secret
    token: Secret | None = None
    expires: datetime | None = None

    def environ(self) -> dict[str, str]:
        """As the variables that every AWS SDK reads. Never to be shown."""
        given = {CHAIN[0]: self.key_id.reveal(), CHAIN[1]: self.secret.reveal()}
        return given | ({CHAIN[2]: self.token.reveal()} if self.token else {})


def region_of(environ: Mapping[str, str]) -> str | None:
    """The region that the user's own settings name: variables first, then the profile's, or the default profile's."""
    told = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if told or not (environ.get("AWS_PROFILE") or _has_file(environ)):
        return told or None
    try:
        return _session(environ).region_name or None
    except PreconditionError:  # without boto3 nothing else will work either, and that is said where it is needed
        return None


def resolve(environ: Mapping[str, str]) -> Credentials:
    """The credentials, by boto3's chain: variables, web identity (OIDC), SSO, shared files, container, instance.

    Raises AccessError (5) without any, PreconditionError (12) without boto3.
    """
    if environ.get(CHAIN[0]) and environ.get(CHAIN[1]):
        token = environ.get(CHAIN[2])
        told = (Secret(environ[CHAIN[0]]), Secret(environ[CHAIN[1]]), Secret(token) if token else None)
        return Credentials(*told, _when(environ.get(ENDS, "")))
    try:
        found = _session(environ).get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except (AccessError, PreconditionError):
        raise
    except Exception as error:
        raise _unresolved(error) from error
    if frozen is None or not frozen.access_key:
        raise no_credentials()
    expires = getattr(found, "_expiry_time", None)
    return Credentials(
        Secret(frozen.access_key),
        Secret(frozen.secret_key),
        Secret(frozen.token) if frozen.token else None,
        expires if isinstance(expires, datetime) else None,
    )


def _unresolved(error: Exception) -> SealerError:
    """A file that is missing or a setting that is none is the user's to mend; a service that refuses says so itself."""
    from botocore import exceptions as botocore

    told = of_foreign(error, "credentials", "AWS")
    if isinstance(error, botocore.ClientError) and isinstance(told, AccessError):
        return RefusedKeyError(told.message, hint=told.hint)  # a role that may not be taken on, too
    answered = (botocore.ClientError, botocore.HTTPClientError, botocore.ConnectionError)
    if not isinstance(told, ProviderError) or isinstance(error, answered):
        return told
    reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else clean(str(error))
    return RefusedKeyError(
        f"the AWS credentials cannot be had: {reason}",
        hint="check AWS_PROFILE, AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE and the files that they name",
    )


def _when(text: str) -> datetime | None:
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def endings(credentials: Credentials, now: datetime) -> str:
    """What a person should know of how long these credentials live; empty where nothing."""
    if credentials.expires is None:
        return ""
    left = credentials.expires - now
    return f"they end in {max(0, int(left.total_seconds() // 60))} minutes" if left < SHORT else ""


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's settings of endpoint and trust."""
    return {name: environ[name] for name in KEPT if environ.get(name)}


def boto3_module() -> Any:
    """The SDK, imported only now. Raises PreconditionError (12) where it is not installed."""
    try:
        import boto3
    except ImportError as error:
        raise PreconditionError("the AWS SDK is not installed", hint=pip_install("aws")) from error
    return boto3


def _has_file(environ: Mapping[str, str]) -> bool:
    """True where there is a file that may name a region: without one the SDK need not be loaded to look."""
    told, home = environ.get("AWS_CONFIG_FILE"), environ.get("HOME")
    path = Path(told).expanduser() if told else Path(home, ".aws", "config") if home else None
    return path is not None and path.is_file()


def _session(environ: Mapping[str, str]) -> Any:
    boto3 = boto3_module()
    try:
        return boto3.session.Session(profile_name=environ.get("AWS_PROFILE") or None)
    except Exception as error:
        raise of_foreign(error, "credentials", "AWS") from error
