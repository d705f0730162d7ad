"""Requests, and a transport that answers from a list: for tests of the alicloud driver without a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from drivers.alicloud import wire
from drivers.alicloud.api import Api, Endpoints, Waits
from drivers.alicloud.choose import TypeFact
from drivers.alicloud.driver import AlicloudDriver
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool
from provisioner.model.driver import Surroundings
from provisioner.model.secret import Secret

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIcanary", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "canary-secret"}
ZONES = ("r-a", "r-b")
TYPES = (
    TypeFact("ecs.g6.large", 2, 8),
    TypeFact("ecs.g7.large", 2, 8),
    TypeFact("ecs.c7.large", 2, 4),
    TypeFact("ecs.t6-c1m2.large", 2, 4),
    TypeFact("ecs.g7.xlarge", 4, 16),
    TypeFact("ecs.gn6i-c4g1.xlarge", 4, 15),
    TypeFact("ecs.g8y.large", 2, 8, "arm64"),
)


def accepted(**more: object) -> Accepted:
    fields: dict[str, object] = {
        "cluster": "demo",
        "provider": "alicloud",
        "image": AcceptedImage(reference="a:v1", repository="a", digest=f"sha256:{'0' * 64}"),
        "pools": (AcceptedPool(name="master", roles=("master",), count=2, data_disks=(100,)),),
        "hosts": tuple(AcceptedHost(name=f"m{n + 1}", pool="master", roles=("master",), slot=n) for n in range(2)),
        "data_root": "/data",
        "region": "r",
        **more,
    }
    return Accepted(**fields)


def placement(**more: object) -> dict[str, object]:
    entry = {"zone": "r-a", "type": "ecs.g7.large", "systemDisk": "cloud_essd", "dataDisk": "cloud_essd"}
    made = {"region": "r", "zones": ["r-a"], "imageId": "img", "hosts": {"m1": entry, "m2": entry}}
    return {**made, "network": {"cidr": "10.0.0.0/16", "subnets": {"r-a": {"cidr": "10.0.0.0/24"}}}, **more}


class Answers:
    """A transport that answers from a list and keeps what was asked."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.answers, self.asked, self.time = list(answers), [], 0.0

    def send(self, host: str, query: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append((host, query, body.decode()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer[0], json.dumps(answer[1]).encode()

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def waits(self) -> Waits:
        return Waits(lambda: self.time, self.sleep, lambda: 1.0, lambda: NOW)

    def api(self) -> Api:
        keys = wire.Keys("LTAIcanary", Secret("canary-secret"), Secret("canary-token"), "test")
        return Api(lambda: keys, Endpoints(), self.send, self.waits())

    def driver(self, tmp_path: Path, **environ: str) -> AlicloudDriver:
        return AlicloudDriver(Surroundings({**KEYS, **environ}, tmp_path, lambda: NOW), self.send, self.waits())
