"""A bucket that runners share, on loopback: a real S3 API, with a key service beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

NAME = "sealer-state"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIASHARED", "AWS_SECRET_ACCESS_KEY": "CANARYshared"}
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "CANARYpassphrase"}


@dataclass(frozen=True)
class Bucket:
    """A bucket by the URL of its service."""

    url: str

    @property
    def environ(self) -> dict[str, str]:
        """What a runner's environment needs to share the state, but for what opens its secrets."""
        where = f"s3://{NAME}/team?endpoint={self.url}&use_path_style=true&region=us-east-1"
        return {**KEYS, "PULUMI_BACKEND_URL": where}

    def listing(self) -> list[str]:
        """The keys of every object."""
        return [o["Key"] for o in self.client("s3").list_objects_v2(Bucket=NAME).get("Contents", [])]

    def objects(self) -> dict[str, bytes]:
        """Every object, while nobody writes."""
        s3 = self.client("s3")
        return {key: s3.get_object(Bucket=NAME, Key=key)["Body"].read() for key in self.listing()}

    def client(self, service: str) -> Any:
        """A client of the tests' own."""
        import boto3

        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip


@contextmanager
def shared_bucket() -> Iterator[Bucket]:
    """An empty bucket, gone afterwards."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bucket = Bucket(f"http://{host}:{port}")
    bucket.client("s3").create_bucket(Bucket=NAME)
    try:
        yield bucket
    finally:
        server.stop()
