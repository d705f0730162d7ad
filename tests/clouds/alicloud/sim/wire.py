"""What goes over the wire: parameters, errors, the signature."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from urllib.parse import quote

COMMON = frozenset(
    {
        "Action", "Version", "Format", "Timestamp", "SignatureNonce", "SignatureMethod", "SignatureVersion",
        "SignatureType", "AccessKeyId", "Signature", "SecurityToken", "RegionId",
    }
)  # fmt: skip
"""Parameters that every action takes."""

HIDDEN = frozenset({"Signature", "UserData", "Password", "SecurityToken"})
"""Never in the log of calls."""


class ApiError(Exception):
    """What the API answers instead of a result. Only what is gone may have the status 404 or `NotFound` in it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Dropped(Exception):  # noqa: N818 - no error: the connection ends without an answer
    """The connection is closed without a word."""


def gone(code: str, what: str) -> ApiError:
    """The answer for something that does not exist."""
    return ApiError(404, code, f"The specified {what} does not exist. ({code}: NotFound)")


class Params(dict[str, str]):
    """The flat parameters of one call."""

    def rows(self, name: str) -> list[dict[str, str]]:
        """`X.1.Key=a, X.1.Value=b, X.2.Key=…` in the order of the numbers."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.items():
            match = re.fullmatch(rf"{re.escape(name)}\.(\d+)\.(.+)", key)
            if match:
                found.setdefault(int(match[1]), {})[match[2]] = value
        return [found[n] for n in sorted(found)]

    def plain(self, name: str) -> list[str]:
        """`X.1=a, X.2=b`."""
        found = {int(m[1]): v for k, v in self.items() if (m := re.fullmatch(rf"{re.escape(name)}\.(\d+)", k))}
        return [found[n] for n in sorted(found)]

    def part(self, name: str) -> dict[str, str]:
        """`X.Size=1, X.Category=b` without the `X.`."""
        return {k.partition(".")[2]: v for k, v in self.items() if k.startswith(f"{name}.")}

    def tags(self) -> dict[str, str]:
        """`Tag.N.Key` and `Tag.N.Value`."""
        return {row["Key"]: row.get("Value", "") for row in self.rows("Tag") if "Key" in row}

    def ids(self, name: str) -> list[str] | None:
        """A list of ids as JSON text, numbered, or between commas; None if none was given."""
        text = self.get(name, "")
        if text.startswith("["):
            return list(json.loads(text))
        if text:
            return text.split(",")
        return self.plain(name) or None

    def flag(self, name: str) -> bool:
        """True for `true`."""
        return self.get(name, "").lower() == "true"

    def end_dry_run(self) -> None:
        """Stands before whatever is made. Raises ApiError where nothing is to be made."""
        if self.flag("DryRun"):
            raise ApiError(400, "DryRunOperation", "Request validation has been passed with DryRun flag set.")

    def number(self, name: str, default: int = 0) -> int:
        """A whole number. Raises ApiError for something else."""
        try:
            return int(self.get(name) or default)
        except ValueError:
            raise ApiError(400, f"Invalid{name}", f"The specified {name} is not valid.") from None


def _encode(text: str) -> str:
    return quote(text, safe="~")


def sign(method: str, params: Mapping[str, str], secret: str) -> str:
    """HMAC-SHA1 over everything in query and form."""
    pairs = "&".join(f"{_encode(k)}={_encode(v)}" for k, v in sorted(params.items()) if k != "Signature")
    text = f"{method}&%2F&{_encode(pairs)}"
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), "sha1")).decode()
