"""Looking up the address that the world sees this machine with: one question, 3 seconds, and no answer is trusted blindly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from provisioner.errors import PreconditionError, UsageError
from provisioner.model.ingress import OPERATOR_VARIABLE
from provisioner.settings import Settings

LOOKUP_VARIABLE = "SEALER_CLOUD_OPERATOR_LOOKUP"
SECONDS = 3.0
_LONGEST = 64
Fetch = Callable[[str, Mapping[str, str]], bytes]
"""URL, variables → the first bytes of the answer. Raises OSError, ValueError, http.client.HTTPException."""


def looker(settings: Settings, fetch: Fetch | None = None) -> Callable[[str], str]:
    """How this process looks its address up: at the service that the variable names, else at the one that is asked for.

    What comes back raises PreconditionError (12) after 3 seconds, and for any answer but one public IPv4 address.
    """

    def look_up(url: str) -> str:
        service = settings.environ.get(LOOKUP_VARIABLE) or url
        if not service.startswith("https://") or "@" in service:
            raise UsageError(
                f"${LOOKUP_VARIABLE} must be an https:// address without a user", hint="correct or unset it"
            )
        host = service.removeprefix("https://").partition("/")[0]
        answer = _within(SECONDS, lambda: (fetch or fetch_https)(service, settings.environ))
        if answer is None:
            raise _unknown(f"{host} did not tell it within {SECONDS:.0f} s")
        try:
            address = IPv4Address(answer.decode("ascii").strip())
        except ValueError as error:
            raise _unknown(f"{host} did not answer with an IPv4 address") from error
        if not address.is_global:
            raise _unknown(f"{host} answered with {address}, which is not a public address")
        return str(address)

    return look_up


def fetch_https(url: str, environ: Mapping[str, str]) -> bytes:
    """GET without a proxy: SSH takes none, and the address wanted is the one that it comes from. Follows no redirect."""
    import ssl
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: object, **_more: object) -> None:
            """Elsewhere is somebody else's word."""

    context = ssl.create_default_context(cafile=environ.get("SSL_CERT_FILE") or None)
    direct = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=context), Stay)
    with opener.open(url, timeout=SECONDS) as answer:
        return bytes(answer.read(_LONGEST))


def _within(seconds: float, fetch: Callable[[], bytes]) -> bytes | None:
    """What `fetch` brings; None where it fails or takes longer: looking up a name alone may hang for half a minute."""
    from http.client import HTTPException  # what answers at that address may be a portal that speaks something else

    found: list[bytes] = []

    def run() -> None:
        try:
            found.append(fetch())
        except (OSError, ValueError, HTTPException):
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def _unknown(why: str) -> PreconditionError:
    return PreconditionError(
        f"the operator's address is not known: {why}",
        hint=f"set {OPERATOR_VARIABLE} to your network (like 203.0.113.7/32), or {LOOKUP_VARIABLE} to another service",
    )
