"""An S3-compatible bucket by URL, as Pulumi names it: `s3://NAME/PREFIX?endpoint=…&region=…&use_path_style=true`.

boto3 is imported when the first bucket is opened. Its errors end here; no text of ours holds a key or a signature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from provisioner.errors import AccessError, PreconditionError, ProviderError, SealerError, pip_install

_DENIED = frozenset(
    # The S3 API's error list ("Error responses"), as far as it means "who are you" or "you may not".
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401"}
)
_TRIES = 4
_SECONDS = 10.0
_ON = frozenset({"true", "1"})


class TakenError(Exception):
    """Another writer was first: the object is there already, or is not the one that we saw."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An object's bytes and the tag that names exactly this version of it."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """What the URL of a bucket says; `endpoint` empty for AWS itself. `prefix` ends in a slash, or is empty."""

    name: str
    prefix: str
    endpoint: str
    region: str
    path_style: bool


def parse_bucket_url(url: str) -> BucketUrl:
    """Read an `s3://` URL. Raises PreconditionError where it names no bucket."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.hostname:
        raise PreconditionError(
            f"{parts.scheme}://{parts.hostname or ''} names no bucket", hint="write s3://BUCKET/FOLDER?region=…"
        )
    query = {key: found[-1] for key, found in parse_qs(parts.query).items()}
    endpoint = query.get("endpoint", "")
    if endpoint and "://" not in endpoint:
        endpoint = (
            f"{'http' if query.get('disableSSL', query.get('disable_https', '')) in _ON else 'https'}://{endpoint}"
        )
    folder = parts.path.strip("/")
    style = query.get("s3ForcePathStyle", query.get("use_path_style", ""))
    return BucketUrl(parts.hostname, f"{folder}/" if folder else "", endpoint, query.get("region", ""), style in _ON)


class Bucket:
    """Objects below the URL's prefix. Calls block, are repeated by the client, and end within about a minute.

    Raises AccessError (5), ProviderError (6); PreconditionError (12) where boto3 is missing.
    """

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._url = parse_bucket_url(url)
        self._environ = environ
        self._made: Any = None

    def get(self, key: str) -> Blob | None:
        """An object, or None."""
        found = self._call("get_object", Key=self._key(key))
        if not found:
            return None
        try:
            return Blob(found["Body"].read(), found["ETag"])
        except Exception as error:  # botocore's, urllib3's: the answer was cut
            raise self._error(type(error).__name__) from error

    def put(self, key: str, data: bytes, *, only_over: str | None = None, only_new: bool = False) -> str:
        """Write an object whole; its new tag. Raises TakenError where it is not as the condition says."""
        condition = {"IfMatch": only_over} if only_over else ({"IfNoneMatch": "*"} if only_new else {})
        made = self._call("put_object", Key=self._key(key), Body=data, **condition)
        if made is None:  # an object that was to be replaced is gone
            raise TakenError(key)
        return str(made["ETag"])

    def delete(self, key: str) -> None:
        """Remove an object; absent is fine."""
        self._call("delete_object", Key=self._key(key))

    def keys(self, folder: str) -> Iterator[str]:
        """All keys below a folder, without the URL's prefix; every page is read."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._key(folder), **token) or {}
            yield from (str(o["Key"]).removeprefix(self._url.prefix) for o in page.get("Contents", ()))
            if not page.get("NextContinuationToken"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _key(self, key: str) -> str:
        return self._url.prefix + key

    def _call(self, method: str, **words: object) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client(), method)(Bucket=self._url.name, **words)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "?"))
            if code in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}:
                raise TakenError(code) from error
            if code in {"NoSuchKey", "404"}:
                return None
            raise self._error(code) from error
        except BotoCoreError as error:
            raise self._error(type(error).__name__) from error

    def _error(self, code: str) -> SealerError:
        where = f"the bucket {self._url.name}"
        if code in _DENIED or code in {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}:
            return AccessError(
                f"{where} refused us ({code})", hint="check AWS_ACCESS_KEY_ID or AWS_PROFILE, and the policy"
            )
        if code == "NotImplemented":
            return PreconditionError(
                f"{where} cannot write on condition, so runs could not be kept apart",
                hint="use a store that knows `If-None-Match`: docs/shared-state.md names some",
            )
        return ProviderError(f"{where} does not answer as it should ({code})", hint="check PULUMI_BACKEND_URL")

    def _client(self) -> Any:
        if self._made is None:
            self._made = _client(self._url, self._environ)
        return self._made


def _client(url: BucketUrl, environ: Mapping[str, str]) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise PreconditionError("state in a bucket needs boto3", hint=pip_install("s3")) from error
    config = Config(
        connect_timeout=_SECONDS,
        read_timeout=_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        s3={"addressing_style": "path" if url.path_style else "auto"},
    )
    session = boto3.session.Session(
        aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environ.get("AWS_SESSION_TOKEN"),
        profile_name=None if environ.get("AWS_ACCESS_KEY_ID") else environ.get("AWS_PROFILE"),
        region_name=url.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    )
    return session.client(
        "s3",
        endpoint_url=url.endpoint or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL"),
        config=config,
    )
