"""The program: Intent, then machines. What it makes follows from its arguments alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Driver, OutputSink, Program
from provisioner.model.ids import ClusterId, RunId


@dataclass(frozen=True, slots=True)
class ClusterProgram:
    """The program that makes `accepted` real, as a value. Pulumi is imported when it runs, not when it is built."""

    driver: Driver
    spec: object
    accepted: Accepted
    cid: ClusterId
    run: RunId

    def __call__(self, sink: OutputSink) -> None:
        """Declare everything; give the sink `keys` once and `host` per host, each only when known.

        Exports `cid` and `hosts`, without any secret. In the preview of a new cluster the sink gets neither.
        """
        import pulumi

        from pulumi_sealer import Intent

        intent = Intent("intent", cid=self.cid, request=self.accepted.to_json())
        pulumi.Output.all(loginPrivate=intent.login_private, loginPublic=intent.login_public, hmac=intent.hmac).apply(
            lambda keys: sink("keys", keys)
        )
        hosts = self.driver.declare(self.spec, self.cid, self.run, intent, sink)
        pulumi.export("cid", self.cid)
        pulumi.export("hosts", cast("list[pulumi.Output[object]]", hosts))


def build_program(driver: Driver, spec: object, accepted: Accepted, cid: ClusterId, run: RunId) -> Program:
    """The program of one cluster in one run."""
    return ClusterProgram(driver, spec, accepted, cid, run)
