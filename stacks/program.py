"""The program: Intent, then machines. What it makes follows from its arguments alone."""

from __future__ import annotations

from typing import cast

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Driver, OutputSink, Program
from provisioner.model.ids import ClusterId, RunId


def build_program(driver: Driver, spec: object, accepted: Accepted, cid: ClusterId, run: RunId) -> Program:
    """The program that makes `accepted` real. Pulumi is imported when it runs, not when it is built.

    Exports `cid` and `hosts`, without any secret. The sink gets `keys` once and `host` per host, each only when known:
    in the preview of a new cluster neither.
    """

    def program(sink: OutputSink) -> None:
        import pulumi

        from pulumi_sealer import Intent

        intent = Intent("intent", cid=cid, request=accepted.to_json())
        pulumi.Output.all(loginPrivate=intent.login_private, loginPublic=intent.login_public, hmac=intent.hmac).apply(
            lambda keys: sink("keys", keys)
        )
        hosts = driver.declare(spec, cid, run, intent, sink)
        pulumi.export("cid", cid)
        pulumi.export("hosts", cast("list[pulumi.Output[object]]", hosts))

    return program
