"""Who calls AWS: credentials, had once and anew where they end soon, and whose account they are."""

from __future__ import annotations

from datetime import datetime, timedelta

from drivers.aws.api import Api, Waits
from drivers.aws.credentials import Credentials, endings, region_of, resolve
from drivers.aws.regions import who
from provisioner.model.driver import Surroundings

FRESH = timedelta(minutes=1)
"""How long keys that end soon are used before the chain is asked for others: a program may have none that live longer,
and may ask a person for each."""

Known = tuple[Credentials, Api, str]
"""Credentials, the API as they see it, their account's id."""


class Caller:
    """One driver's way to the API. `attempts` of botocore's per call."""

    def __init__(self, around: Surroundings, waits: Waits, attempts: int) -> None:
        self._around = around
        self._waits = waits
        self._attempts = attempts
        self._had: tuple[Credentials, Api] | None = None
        self._since = around.now()
        self._known: Known | None = None

    def reach(self) -> tuple[Credentials, Api]:
        """The API, without a call to it. Raises AccessError (5) without credentials, PreconditionError (12)."""
        now = self._around.now()
        if self._had is None or self._is_stale(self._had[0], now):
            credentials = resolve(self._around.environ)
            if self._had is None or credentials != self._had[0]:  # the same ones keep their open connections
                self._had = credentials, self._api(credentials, self._attempts)
            self._since = self._around.now()
        return self._had

    def identity(self, *, anew: bool = False) -> Known:
        """The one signed call that says whether the credentials are good, and whose they are."""
        if self._known is None or anew:
            credentials, api = self.reach()
            self._known = credentials, api, who(api, region_of(self._around.environ))
        return self._known

    def once(self) -> Api:
        """An API that sends no call twice: for creates that would make a second thing."""
        return self._api(self.identity()[0], 1)

    def _is_stale(self, credentials: Credentials, now: datetime) -> bool:
        ended = credentials.expires is not None and credentials.expires <= now
        return bool(endings(credentials, now)) and (ended or now - self._since >= FRESH)

    def _api(self, credentials: Credentials, attempts: int) -> Api:
        return Api(credentials, self._around.environ, attempts, self._waits)
