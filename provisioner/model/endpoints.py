"""Where a cloud's services are, when not at the usual place: the words of `Infra.spec.endpoints`, as the SDKs' variables. Pure.

A variable that the user set wins over the file, so the words only fill what nobody said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "alicloud": {
        product: (f"ALIBABA_CLOUD_ENDPOINT_{product.upper()}", f"{product.upper()}_ENDPOINT")
        for product in ("ecs", "vpc", "sts")
    },
    "aws": {
        "all": ("AWS_ENDPOINT_URL",),
        "ec2": ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"),
        "sts": ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"),
    },
}
"""Provider and word to the variables that say the same: the first is the one to set, any of them wins over the file."""
WORDS = tuple(dict.fromkeys(word for words in VARIABLES.values() for word in words))

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_ENDPOINT = re.compile(
    rf"(?:(?P<scheme>https?)://)?(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?P<path>(?:/[A-Za-z0-9._~-]+)*/?)"
)
_MAX_PORT = 65535


def check_endpoint(text: str) -> str:
    """An endpoint of some cloud: what is wrong with it, or nothing. What it holds is not repeated: it may be a password."""
    if "@" in text:
        return "must not hold a user or a password: credentials come by the provider's own chain"
    match = _ENDPOINT.fullmatch(text)
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= _MAX_PORT):
        return "is no endpoint: write host, host:port or https://host:port"
    return ""


def check_endpoint_of(provider: str, word: str, text: str) -> str:
    """What is wrong with one endpoint of this provider, or nothing."""
    known = VARIABLES.get(provider)
    if known is None:
        return f"provider {provider} has no endpoints"
    if word not in known:
        return f"provider {provider} knows no endpoint {word}: {', '.join(known)}"
    if complaint := check_endpoint(text):
        return complaint
    match = _ENDPOINT.fullmatch(text)
    scheme, path = (match["scheme"], match["path"].strip("/")) if match else (None, "")
    if provider == "alicloud" and (scheme == "http" or path):
        return "is host or host:port, always by HTTPS"
    if provider == "aws" and scheme is None:
        return "must be a URL, like https://host:port"
    return ""


def with_endpoints(environ: Mapping[str, str], provider: str, endpoints: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, with these endpoints where the user's own name none."""
    known = VARIABLES.get(provider, {})
    filled = {
        known[word][0]: text
        for word, text in endpoints.items()
        if word in known and not any(environ.get(name) for name in known[word])
    }
    return {**environ, **filled} if filled else environ
