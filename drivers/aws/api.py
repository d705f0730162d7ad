"""Calls to AWS: one client per service and region, bounded, with errors of our tree."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.aws.credentials import Credentials, boto3_module
from drivers.aws.failures import THROTTLED, of_code, of_foreign

ATTEMPTS = 5
"""Botocore's own (standard mode: full jitter) on one call: what bounds an API that cannot be reached."""
BUSY_SECONDS = 150.0
"""How long an API that answers "later" is asked again: longer than the minute that throttling may last."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 20.0
NEVER_WAITED_FOR = ("pricing", "service-quotas")
"""What they say is nice to know."""
CONNECT_SECONDS = 5
READ_SECONDS = 20
PRICING_REGION = "us-east-1"
FILTER_VALUES = 200
"""What EC2 takes in one filter."""
FALLBACK_REGION = "us-east-1"
"""Where to ask for the list of regions when the user named none."""


class CodeError(Exception):
    """An answer with an error code, for those who look at the code before it becomes an error of ours."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Waits:
    """Time and chance, as parameters."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class Api:
    """AWS as one account sees it. Safe to use from several threads. `attempts` of botocore's per call."""

    def __init__(
        self,
        credentials: Credentials,
        environ: Mapping[str, str],
        attempts: int = ATTEMPTS,
        waits: Waits = Waits(),
    ) -> None:
        self._credentials = credentials
        self._environ = environ
        self._attempts = attempts
        self._waits = waits
        self._guard = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._session: Any = None

    def call(self, service: str, action: str, region: str, **arguments: object) -> dict[str, Any]:
        """One call, named as in boto3 (`describe_vpcs`). Raises errors of our tree alone."""
        try:
            return self.attempt(service, action, region, **arguments)
        except CodeError as error:
            raise of_code(error.code, error.message, _spoken(action), region) from error

    def attempt(self, service: str, action: str, region: str, **arguments: object) -> dict[str, Any]:
        """As `call`, but an answer with an error code is a CodeError: for calls where some codes mean success.

        An answer of "too many requests" is asked again for BUSY_SECONDS, at random within a pause that doubles.
        """
        until = self._waits.monotonic() + (0 if service in NEVER_WAITED_FOR else BUSY_SECONDS)
        pause = FIRST_PAUSE
        while True:
            try:
                return self._once(service, action, region, **arguments)
            except CodeError as error:
                if error.code not in THROTTLED or self._waits.monotonic() + pause > until:
                    raise
            self._waits.sleep(pause * self._waits.chance())
            pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self, service: str, action: str, region: str, **arguments: object) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        try:
            answer: dict[str, Any] = getattr(self._client(service, region), action)(**arguments)
        except ClientError as error:
            told = error.response.get("Error", {})
            raise CodeError(str(told.get("Code", "?")), str(told.get("Message", ""))) from error
        except Exception as error:
            raise of_foreign(error, _spoken(action), region) from error
        return answer

    def pages(self, service: str, action: str, region: str, key: str, **arguments: object) -> Iterator[Any]:
        """Every item under `key` of a paged call."""
        token: dict[str, object] = {}
        while True:
            answer = self.call(service, action, region, **arguments, **token)
            yield from answer.get(key) or ()
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def sdk_regions(self) -> frozenset[str]:
        """The regions of all partitions that the SDK knows; no call. There may be newer ones."""
        with self._guard:
            session = self._opened()
            kinds = session.get_available_partitions()
            return frozenset(name for kind in kinds for name in session.get_available_regions("ec2", kind))

    def _client(self, service: str, region: str) -> Any:
        with self._guard:  # making clients is not safe in parallel, using them is
            if (service, region) not in self._clients:
                self._clients[service, region] = self._made(service, region)
            return self._clients[service, region]

    def _made(self, service: str, region: str) -> Any:
        session = self._opened()
        from botocore.config import Config

        attempts = 1 if service in NEVER_WAITED_FOR else self._attempts
        return session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint(service),
            verify=self._environ.get("AWS_CA_BUNDLE") or self._environ.get("SSL_CERT_FILE") or None,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=32,
            ),
        )

    def _opened(self) -> Any:
        given = self._credentials
        self._session = self._session or boto3_module().session.Session(
            aws_access_key_id=given.key_id.reveal(),
            aws_secret_access_key=given.secret.reveal(),
            aws_session_token=given.token.reveal() if given.token else None,
            region_name=FALLBACK_REGION,  # each client names its own
        )
        return self._session

    def _endpoint(self, service: str) -> str | None:
        own = self._environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}")
        return own or self._environ.get("AWS_ENDPOINT_URL") or None


def filters(wanted: Mapping[str, str | tuple[str, ...]]) -> list[dict[str, object]]:
    """EC2's filters: name to value or values."""
    return [{"Name": name, "Values": [value] if isinstance(value, str) else [*value]} for name, value in wanted.items()]


def machines_of(api: Api, region: str, ids: Sequence[str]) -> Iterator[Any]:
    """The machines of these ids that EC2 still shows, in as many calls as a filter's limit makes of it."""
    for start in range(0, len(ids), FILTER_VALUES):
        where = filters({"instance-id": tuple(ids[start : start + FILTER_VALUES])})
        for batch in api.pages("ec2", "describe_instances", region, "Reservations", Filters=where):
            yield from batch.get("Instances", ())


def tags_in(thing: Mapping[str, Any]) -> dict[str, str]:
    """The tags of one described thing."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags") or ()}


def _spoken(action: str) -> str:
    return "".join(part.capitalize() for part in action.split("_"))
