"""The program: Intent, then machines. What it makes follows from its arguments alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Driver, Marks, OutputSink, Program


@dataclass(frozen=True, slots=True)
class ClusterProgram:
    """The program that makes `accepted` real, as a value. Pulumi is imported when it runs, not when it is built."""

    driver: Driver
    spec: object
    accepted: Accepted
    marks: Marks
    adopt: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] | None = field(default=None, repr=False)

    def __call__(self, sink: OutputSink) -> Awaitable[None]:
        """Declare everything; give the sink `keys` once and `host` per host, each only when known.

        Exports `cid` and `hosts`, without any secret. In the preview of a new cluster the sink gets neither. What is
        returned is done when every registration has begun.
        """
        with _no_traces():
            self._declare(sink)
        return asyncio.ensure_future(_begun())

    def _declare(self, sink: OutputSink) -> None:
        import pulumi

        from pulumi_sealer import Intent

        intent = Intent("intent", cid=self.marks.cid, request=self.accepted.to_json(), keys=self.keys)
        pulumi.Output.all(loginPrivate=intent.login_private, loginPublic=intent.login_public, hmac=intent.hmac).apply(
            lambda keys: sink("keys", keys)
        )
        hosts = self.driver.declare(self.spec, self.marks, intent, sink, self.adopt)
        pulumi.export("cid", self.marks.cid)
        pulumi.export("hosts", cast("list[pulumi.Output[object]]", hosts))


@contextmanager
def _no_traces() -> Iterator[None]:
    """The SDK records the call stack of each resource in the state: paths of this machine, a third of its bytes.

    It has no setting for it (runtime/resource.py of v3.259), but the stacks that `traceback` gives it obey this limit.
    """
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        del sys.tracebacklimit
        if before is not None:
            sys.tracebacklimit = before


async def _begun() -> None:
    """Let every registration begin.

    The SDK waits for registrations that have begun one by one, and only then for outputs, looking at all of them again
    whenever one is known (runtime/stack.py of v3.259). Where none has begun it does the second for everything: with 50
    hosts that was a quarter of the CPU time of stage 1.
    """
    await asyncio.sleep(0)  # they were queued before this


def build_program(
    driver: Driver, spec: object, accepted: Accepted, marks: Marks, adopt: Mapping[str, str] | None = None
) -> Program:
    """The program of one cluster in one run; `adopt` as in `Driver.declare`."""
    return ClusterProgram(driver, spec, accepted, marks, adopt or {})


@dataclass(frozen=True, slots=True)
class Standing:
    """A cluster that stands and is taken over: `adopt` as in `Driver.declare`, and its keys, as Intent takes them."""

    adopt: Mapping[str, str]
    keys: Mapping[str, str] = field(repr=False)


def build_adoption(driver: Driver, spec: object, accepted: Accepted, marks: Marks, standing: Standing) -> Program:
    """The program that takes over what stands. What it makes anew touches no machine."""
    return ClusterProgram(driver, spec, accepted, marks, standing.adopt, standing.keys)
