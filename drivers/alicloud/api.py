"""A small client for the ECS and VPC APIs: signed HTTPS, paging, retries under one deadline.

The vendor's own client trusts only the certificates that it brings, so it cannot follow `SSL_CERT_FILE`.
"""

from __future__ import annotations

import http.client
import random
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from drivers.alicloud.codes import Kind, kind_of, to_error
from drivers.alicloud.pace import Pace
from drivers.alicloud.wire import Keys, Params, Stamp, clean, items, read_answer, to_query
from provisioner.errors import ProviderError
from provisioner.model.driver import tell_nobody

REQUEST_SECONDS = 30.0
UNREACHABLE_SECONDS = 30.0
"""How long a service that does not answer at all is tried."""
BUSY_SECONDS = 150.0
"""How long one that answers "later" is tried: longer than the minute that throttling may last."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
PAGE_SIZE = 50
"""What every listing takes: DescribeVpcs and DescribeVSwitches refuse more (their API references)."""
MOST_RESULTS = 100
"""The same for listings by token: DescribeInstances and DescribeSecurityGroups refuse more."""
BY_TOKEN = frozenset({"DescribeDisks", "DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups"})
"""Of these the vendor says that page numbers will be removed (ECS API reference 2014-05-26)."""
LEAST_PAGE = 10
"""What the listings give where no size is told (ECS API reference, `PageSize`): fewer rows are no full page."""
MOST_PAGES = 1000
MOST_BYTES = 64 << 20

_CENTRAL = {"ecs": "ecs-cn-hangzhou.aliyuncs.com", "vpc": "vpc.aliyuncs.com"}
_AT_CENTRAL = frozenset(
    [
        "cn-qingdao",
        "cn-beijing",
        "cn-hangzhou",
        "cn-shanghai",
        "cn-shenzhen",
        "cn-hongkong",
        "ap-southeast-1",
        "us-east-1",
        "us-west-1",
    ]
)
"""Regions that the vendor's own clients reach by the central names: they are older than the regional ones."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the services are: `host:port` by product, from the SDKs' own variables; else the usual regional hosts."""

    own: Mapping[str, str] = field(default_factory=dict)

    def host(self, product: str, region: str) -> str:
        """`host` or `host:port` of a product in a region."""
        if self.own.get(product):
            return self.own[product]
        if product in _CENTRAL and region in _AT_CENTRAL:
            return _CENTRAL[product]
        return f"{product}.{region}.aliyuncs.com"


Send = Callable[[str, str, bytes], tuple[int, bytes]]
"""Host, query, body → status and answer. Raises OSError when there was no answer."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Time and chance, as parameters."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Api:
    """Calls that only read or delete, or carry a token: so each may be sent again. `keys` is asked before each call."""

    keys: Callable[[], Keys]
    endpoints: Endpoints
    send: Send
    waits: Waits = Waits()
    pace: Pace = field(default_factory=Pace)
    """The turn that each try waits for."""
    tell: Callable[[str], None] = tell_nobody
    """Told once that nobody answers: a person would else look at nothing for half a minute."""
    told: set[str] = field(default_factory=set)
    """Of whom it was told."""

    def call(self, product: str, action: str, region: str, params: Params | None = None) -> dict[str, Any]:
        """One call's answer.

        Raises AccessError, CapacityError or ProviderError (evidence: the service's code); ProviderError when nobody
        answers. Texts carry no address with a query, no key and no signature.
        """
        host = self.endpoints.host(product, region)
        every = {"RegionId": region, **(params or {})}
        start, pause = self.waits.monotonic(), FIRST_PAUSE
        while True:
            status, answer = self._once(product, action, host, every)
            code = str(answer.get("Code") or ("" if status < http.client.BAD_REQUEST else f"HTTP{status}"))
            if status and status < http.client.BAD_REQUEST:
                return answer
            busy = status >= http.client.INTERNAL_SERVER_ERROR or kind_of(code) is Kind.AGAIN
            limit = BUSY_SECONDS if busy else UNREACHABLE_SECONDS
            if (status and not busy) or self.waits.monotonic() - start + pause > limit:
                raise self._failure(action, host, status, code, answer)
            if not status:
                self._tell_silent(host, answer)
            self._hold(pause * self.waits.chance(), everybody=busy)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self, product: str, action: str, host: str, params: Params) -> tuple[int, dict[str, Any]]:
        """Status and answer; status 0 where nobody answered."""
        if ahead := self.pace.turn(self.waits.monotonic()):
            self.waits.sleep(ahead)
        query, body = to_query(action, product, params, self.keys(), Stamp(self.waits.now(), uuid.uuid4().hex))
        try:
            status, raw = self.send(host, query, body)
        except (OSError, http.client.HTTPException) as error:
            return 0, {"Message": _why(error)}
        return status, read_answer(raw)

    def _tell_silent(self, host: str, answer: Mapping[str, Any]) -> None:
        if self.told:  # a look through all regions asks dozens of hosts, and one line says it
            return
        self.told.add(host)
        why = clean(str(answer.get("Message") or ""))
        self.tell(f"alicloud at {host} does not answer ({why}); it is asked for {UNREACHABLE_SECONDS:.0f} s at most")

    def _hold(self, seconds: float, *, everybody: bool) -> None:
        """Wait before the next try; `everybody` where the service asked for it, so that no other thread takes our place."""
        if everybody:
            self.pace.quiet(self.waits.monotonic() + seconds)
        self.waits.sleep(seconds)

    def _failure(self, action: str, host: str, status: int, code: str, answer: Mapping[str, Any]) -> Exception:
        message = clean(str(answer.get("Message") or ""))
        if status:
            return to_error(action, code, message)
        hint = "check the network, the proxy settings, the region's name and ALIBABA_CLOUD_ENDPOINT_ECS/_VPC"
        return ProviderError(f"alicloud at {host} does not answer: {message}", hint=hint)

    def pages(self, product: str, action: str, region: str, path: tuple[str, str], params: Params) -> Iterator[Any]:
        """All rows of a listing, by token where the vendor has them so."""
        if action not in BY_TOKEN:
            yield from self._numbered(product, action, region, path, params)
            return
        seen, by_token, more = 0, False, False
        for answer in self._answers(action, region, params):
            rows = items(answer, *path)
            yield from rows
            seen, by_token = seen + len(rows), by_token or "NextToken" in answer
            more = _goes_on(answer, rows, seen, told=by_token)
        if more:  # an endpoint of an older make, which gave its first page and no token
            yield from islice(self._numbered(product, action, region, path, params), seen, None)

    def tokens(self, action: str, region: str, path: tuple[str, str], params: Params) -> Iterator[Any]:
        """All rows of a listing of ECS that knows no other way than tokens."""
        for answer in self._answers(action, region, params):
            yield from items(answer, *path)

    def _answers(self, action: str, region: str, params: Params) -> Iterator[dict[str, Any]]:
        more: dict[str, object] = {"MaxResults": MOST_RESULTS}
        for _ in range(MOST_PAGES):
            answer = self.call("ecs", action, region, {**params, **more})
            yield answer
            if not answer.get("NextToken"):
                return
            more["NextToken"] = answer["NextToken"]
        raise _endless(action)

    def _numbered(self, product: str, action: str, region: str, path: tuple[str, str], params: Params) -> Iterator[Any]:
        seen = 0
        before: list[Any] = []
        for number in range(1, MOST_PAGES + 1):
            answer = self.call(product, action, region, {**params, "PageNumber": number, "PageSize": PAGE_SIZE})
            rows = items(answer, *path)
            if rows == before and answer.get("TotalCount") is None:  # nothing, or one that knows no numbers either
                return
            yield from rows
            seen, before = seen + len(rows), rows
            if not rows or not _goes_on(answer, rows, seen):
                return
        raise _endless(action)


def _goes_on(answer: Mapping[str, Any], rows: Sized, seen: int, *, told: bool = False) -> bool:
    """Whether there is more behind a page: by the total, and without one where it may be a full page.

    `told`: the listing ends by its own word, so that the size of a page says nothing.
    """
    total = answer.get("TotalCount")
    return seen < int(total or 0) if total is not None else not told and len(rows) >= LEAST_PAGE


def _endless(action: str) -> ProviderError:
    """A part of a listing that is taken for the whole lets machines stand that nobody sees: so it is none."""
    return ProviderError(
        f"alicloud: {action} has not come to its end after {MOST_PAGES} pages",
        hint="check ALIBABA_CLOUD_ENDPOINT_ECS/_VPC: what answers there does not keep to pages as the service does",
    )


def _why(error: Exception) -> str:
    """Why there was no answer, without the request."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message}); SSL_CERT_FILE names other authorities"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return reason.strerror or type(reason).__name__ if isinstance(reason, OSError) else type(error).__name__


def https(environ: Mapping[str, str]) -> Send:
    """The real transport: TLS by `SSL_CERT_FILE` (else the system's authorities), proxies by the usual variables."""
    opener: list[urllib.request.OpenerDirector] = []

    def send(host: str, query: str, body: bytes) -> tuple[int, bytes]:
        if not opener:
            context = ssl.create_default_context(cafile=environ.get("SSL_CERT_FILE") or None)
            proxies = urllib.request.ProxyHandler(_proxies(environ, host))
            opener.append(urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context)))
        request = urllib.request.Request(f"https://{host}/?{query}", data=body, method="POST")
        request.add_header("Content-Type", "application/x-www-form-urlencoded")
        try:
            with opener[0].open(request, timeout=REQUEST_SECONDS) as answer:
                return answer.status, answer.read(MOST_BYTES)
        except urllib.error.HTTPError as error:
            return error.code, error.read(MOST_BYTES)

    return send


def proxy_of(environ: Mapping[str, str]) -> str:
    """The proxy for HTTPS that the environment names, or nothing."""
    return environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""


def passes_by(environ: Mapping[str, str], host: str) -> bool:
    """True where no proxy stands between us and `host`."""
    skipped = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return bool(urllib.request.proxy_bypass_environment(host, {"no": skipped}))  # type: ignore[attr-defined]


def _proxies(environ: Mapping[str, str], host: str) -> dict[str, str]:
    proxy = proxy_of(environ)
    return {"https": proxy} if proxy and not passes_by(environ, host) else {}
