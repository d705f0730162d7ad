"""The program: Intent, then machines. What it makes follows from its arguments alone."""

from __future__ import annotations

from collections.abc import Mapping
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

    def __call__(self, sink: OutputSink) -> None:
        """Declare everything; give the sink `keys` once and `host` per host, each only when known.

        Exports `cid` and `hosts`, without any secret. In the preview of a new cluster the sink gets neither.
        """
        import pulumi

        from pulumi_sealer import Intent

        intent = Intent("intent", cid=self.marks.cid, request=self.accepted.to_json(), keys=self.keys)
        pulumi.Output.all(loginPrivate=intent.login_private, loginPublic=intent.login_public, hmac=intent.hmac).apply(
            lambda keys: sink("keys", keys)
        )
        hosts = self.driver.declare(self.spec, self.marks, intent, sink, self.adopt)
        pulumi.export("cid", self.marks.cid)
        pulumi.export("hosts", cast("list[pulumi.Output[object]]", hosts))


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
