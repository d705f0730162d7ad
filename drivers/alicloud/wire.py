"""The RPC dialect of Alibaba Cloud's APIs: flattening, signing, reading answers. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from provisioner.model.secret import Secret

VERSIONS = {"ecs": "2014-05-26", "vpc": "2016-04-28", "sts": "2015-04-01"}
MESSAGE_LIMIT = 300
_URL = re.compile(r"https?://\S+")
_PAIR = re.compile(
    r"(?i)\b(AccessKeyId|AccessKeySecret|Signature(?:Nonce)?|SecurityToken|StringToSign)\b\s*(?:is)?\s*[=:]\s*\[?\S+"
)
_CANONICAL = re.compile(r"(?s)(server )?string to sign.*")
_KEY_ID = re.compile(r"\b(LTAI|STS\.|TMP\.)[A-Za-z0-9.]+")

Params = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Keys:
    """A resolved access key. `source` says where it came from, for a person; `expires_at` where that is known."""

    access_key_id: str
    secret: Secret
    token: Secret | None
    source: str
    expires_at: datetime | None = None


def flatten(params: Params) -> dict[str, str]:
    """Parameters as the wire takes them: lists as `X.1`, mappings as `X.Key`, None left out."""
    return dict(_flat("", params))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value, start=1):
            yield from _flat(f"{prefix}.{index}", inner)
    elif isinstance(value, bool):
        yield prefix, str(value).lower()
    elif value is not None:
        yield prefix, str(value)


def signature(method: str, params: Mapping[str, str], secret: Secret) -> str:
    """HMAC-SHA1 over all parameters, as both dialects of the service check it."""

    def encoded(text: str) -> str:
        return quote(text, safe="~")

    canonical = "&".join(f"{encoded(k)}={encoded(v)}" for k, v in sorted(params.items()))
    text = f"{method}&%2F&{encoded(canonical)}"
    digest = hmac.new(f"{secret.reveal()}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes two requests differ: when (UTC), and a number that is used once."""

    now: datetime
    nonce: str


def to_query(action: str, product: str, params: Params, keys: Keys, stamp: Stamp) -> tuple[str, bytes]:
    """One signed request: its query (common parameters, signature) and its form body."""
    common = {
        "Action": action,
        "Version": VERSIONS[product],
        "Format": "JSON",
        "Timestamp": f"{stamp.now:%Y-%m-%dT%H:%M:%SZ}",
        "SignatureNonce": stamp.nonce,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": keys.access_key_id,
        **({"SecurityToken": keys.token.reveal()} if keys.token else {}),
    }
    own = flatten(params)
    signed = {**common, "Signature": signature("POST", {**common, **own}, keys.secret)}
    return urlencode(signed), urlencode(own).encode()


def read_answer(raw: bytes) -> dict[str, Any]:
    """An answer's JSON object; an empty one for what is none (a proxy's page)."""
    try:
        answer = json.loads(raw)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def clean(text: str) -> str:
    """A service's message without anything that could carry a key, a signature or an address with them; one line."""
    for pattern in (_CANONICAL, _URL, _PAIR, _KEY_ID):
        text = pattern.sub("…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]}…"


def items(answer: Mapping[str, Any], *path: str) -> list[Any]:
    """The list at a path of an answer; empty where any part is missing or null."""
    value: Any = answer
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else []


def tags_in(row: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a row, in either spelling of the two services."""
    return {
        str(t.get("TagKey") or t.get("Key")): str(t.get("TagValue") or t.get("Value") or "")
        for t in items(row, "Tags", "Tag")
    }
