"""Whose account: the vendor's own chain, resolved once, for the engine's plugin and our own calls alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache

from drivers.alicloud.api import Endpoints, passes_by, proxy_of
from drivers.alicloud.wire import Keys
from provisioner.errors import AccessError, RefusedKeyError, pip_install
from provisioner.model.secret import Secret

ID, SECRET, TOKEN = "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"
OLD_NAMES = (
    ("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY", "ALICLOUD_SECURITY_TOKEN"),
    ("ACCESSKEYID", "ACCESSKEYSECRET", ""),
)
"""Names that older tools read: id, secret, token."""
REGIONS = ("ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_REGION", "ALICLOUD_REGION")
OLD_REGION = "RegionID"

_SILENCED = (
    "ALICLOUD_PROFILE",
    "ALIBABA_CLOUD_PROFILE",
    "ALICLOUD_ECS_ROLE_NAME",
    "ALIBABA_CLOUD_ECS_METADATA",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALICLOUD_ASSUME_ROLE_ARN",
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
"""What would make the plugin resolve by itself, and so perhaps to another account."""


def environ_keys(environ: Mapping[str, str]) -> Keys | None:
    """The key that the variables name, the documented names first; None where they name none."""
    for key_id, secret, token in ((ID, SECRET, TOKEN), *OLD_NAMES):
        if environ.get(key_id) and environ.get(secret):
            said = environ.get(token) if token else None
            return Keys(environ[key_id], Secret(environ[secret]), Secret(said) if said else None, f"${key_id}")
    return None


def warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A word for each old name that is in use."""
    keys = environ_keys(environ)
    old = {f"${key}": new for key, _, _ in OLD_NAMES for new in (f"${ID} and ${SECRET}",)}
    notes = (
        [f"credentials come from {keys.source}, an old name: use {old[keys.source]}"]
        if keys and keys.source in old
        else []
    )
    if environ.get(OLD_REGION) and not any(environ.get(name) for name in REGIONS):
        notes.append(f"the region comes from ${OLD_REGION}, an old name: use ${REGIONS[0]} or --region")
    return tuple(notes)


def region_of(environ: Mapping[str, str]) -> str | None:
    """The region that the variables name."""
    return next((environ[name] for name in (*REGIONS, OLD_REGION) if environ.get(name)), None)


def endpoints_of(environ: Mapping[str, str]) -> Endpoints:
    """Where the services are, by `ALIBABA_CLOUD_ENDPOINT_<PRODUCT>` or the older `<PRODUCT>_ENDPOINT`."""

    def bare(text: str) -> str:
        return text.removeprefix("https://").rstrip("/")

    own = {
        product: bare(
            environ.get(f"ALIBABA_CLOUD_ENDPOINT_{product.upper()}") or environ.get(f"{product.upper()}_ENDPOINT") or ""
        )
        for product in ("ecs", "vpc", "sts")
    }
    return Endpoints({product: host for product, host in own.items() if host})


def resolver(environ: Mapping[str, str]) -> Callable[[], Keys]:
    """The chain, resolved at the first call. The call raises AccessError (5) when it leads nowhere."""

    @cache
    def resolve() -> Keys:
        return environ_keys(environ) or _chain(environ)

    return resolve


def _chain(environ: Mapping[str, str]) -> Keys:
    """Profiles, OIDC, the machine's role, a URL: by the vendor's package.

    Raises AccessError (5), of the kind RefusedKeyError where a variable names one of these and it leads nowhere.
    """
    hint = f"set {ID} and {SECRET}, or run `aliyun configure`"
    try:
        from alibabacloud_credentials.provider import DefaultCredentialsProvider
    except ImportError as error:
        raise AccessError(
            f"alicloud: no credentials in {ID}, and the package that reads profiles is not installed",
            hint=f"set {ID} and {SECRET}, or `{pip_install('alicloud')}`",
        ) from error
    provider = DefaultCredentialsProvider()
    try:
        found = provider.get_credentials()
    except Exception as error:  # its own class says nothing more, and requests' come through too
        # Its text lists each try with answers of servers in it: more than may be shown.
        kind = RefusedKeyError if any(environ.get(name) for name in _SILENCED) else AccessError
        raise kind("alicloud: no credentials found by variables, profiles or roles", hint=hint) from error
    if not found.get_access_key_id() or not found.get_access_key_secret():
        raise RefusedKeyError("alicloud: the credentials found are empty", hint=hint)
    token = found.get_security_token()
    return Keys(
        found.get_access_key_id(),
        Secret(found.get_access_key_secret()),
        Secret(token) if token else None,
        str(found.get_provider_name()),
        _expiry(provider),
    )


def _expiry(provider: object) -> datetime | None:
    """When a session ends; the package keeps it to itself, so None where it does not let us see it."""
    last = getattr(provider, "_DefaultCredentialsProvider__last_used_provider", None)
    holders = (getattr(last, "__dict__", None) or {}).values()
    for holder in holders:
        stale = getattr(getattr(holder, "_cached_result", None), "_stale_time", None) or getattr(
            holder, "expiration", None
        )
        if isinstance(stale, int | float) and stale > 0:
            return datetime.fromtimestamp(stale, UTC)
    return None


def plugin_environ(environ: Mapping[str, str], keys: Keys, region: str | None) -> dict[str, str]:
    """What the plugin's process gets: this key alone, the endpoints, and one reading of who stands behind which proxy."""
    token = keys.token.reveal() if keys.token else ""
    found = dict.fromkeys(_SILENCED, "")
    for key_id, secret, session in ((ID, SECRET, TOKEN), OLD_NAMES[0]):
        found |= {key_id: keys.access_key_id, secret: keys.secret.reveal(), session: token}
    own = endpoints_of(environ).own
    found |= {f"ALIBABA_CLOUD_ENDPOINT_{product.upper()}": host for product, host in own.items()}
    # Without it the plugin asks the billing service whose account this is, at each start.
    abroad = region is not None and not region.startswith("cn-")
    found["ALIBABA_CLOUD_ACCOUNT_TYPE"] = environ.get("ALIBABA_CLOUD_ACCOUNT_TYPE") or (
        "International" if abroad else "Domestic"
    )
    found |= {"SSL_CERT_FILE": environ["SSL_CERT_FILE"]} if environ.get("SSL_CERT_FILE") else {}
    return found | _no_proxy(environ, tuple(own.values()))


def _no_proxy(environ: Mapping[str, str], hosts: tuple[str, ...]) -> dict[str, str]:
    """The plugin reads the entries of NO_PROXY as regular expressions: so hosts that are left out are said that way too."""
    said = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    direct = sorted({re.escape(host.rpartition(":")[0] or host) for host in hosts if passes_by(environ, host)})
    if not proxy_of(environ) or not direct:
        return {}
    both = ",".join([*([said] if said else []), *direct])
    return {"NO_PROXY": both, "no_proxy": both}
