"""Objects in S3 and S3-compatible stores, through boto3: they arrive complete, or one error says why not."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .cache import LocalDataset, once
from .errors import DataError, StoreError
from .files import sha256
from .manifest import inside

SCHEME = "s3://"
ATTEMPTS = 4
"""Attempts for each request, and for each part of a download."""
CONNECT, READ, READ_AT_ONCE = 5, 30, 10
"""Seconds to wait for a connection, for the next bytes, and for the response to a small request."""
DIGEST = "sha256"
"""Metadata of an uploaded object: the SHA-256 of its contents."""
KEYS = "in sdk.aws.s3 of clearml.conf, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidSecurity", "AuthFailure")
DENIED = ("AccessDenied", "403")
WORDS = {
    "NoSuchBucket": "there is no bucket {bucket!r} at {store}; create it, or name an existing one",
    **dict.fromkeys(("NoSuchKey", "404"), "there is no such object at {store}"),
    **dict.fromkeys(("PreconditionFailed", "412", "InvalidRange"), "it changed while it was being read"),
    **dict.fromkeys(REFUSED, f"{{store}} refuses the keys ({{code}}); set valid ones {KEYS}"),
    **dict.fromkeys(DENIED, f"{{store}} does not allow this with these keys ({{code}}); set others {KEYS}"),
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), f"there are no keys for {{store}}; set them {KEYS}"),
    "SSLError": "{store} does not support https; to use http, set AWS_ENDPOINT_URL to http://host:port, or secure: false in sdk.aws.s3",
    **dict.fromkeys(
        ("ConnectionError", "ReadTimeoutError"),
        "{store} does not answer ({code}); is it running, and is this its address? Set another in AWS_ENDPOINT_URL, or s3://host:port/bucket",
    ),
    **dict.fromkeys(("HTTPClientError", "IncompleteReadError"), "the connection to {store} broke repeatedly ({code})"),
}
"""Messages for the store's codes and boto3's exceptions; the first that matches is shown."""


@dataclass(frozen=True)
class Access:
    """How to reach a store; what is None, boto3 finds by itself."""

    endpoint: str | None = None
    key: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    region: str | None = None
    profile: str | None = None
    verify: bool | str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of botocore's Config."""
    stored: Mapping[str, Any] = field(default_factory=dict)
    """Extra arguments for every stored object, such as its encryption."""

    def client(self, read: float, attempts: int) -> Any:
        """A client that waits `read` seconds for the next bytes."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(self.key, self.secret, self.token, self.region, profile_name=self.profile)
        retries = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(connect_timeout=CONNECT, read_timeout=read, retries=retries, **self.config)
        return session.client("s3", endpoint_url=self.endpoint, verify=self.verify, config=config)


@dataclass(frozen=True)
class Location:
    """An object in a store, or a prefix of objects."""

    uri: str
    """The address as given."""
    bucket: str
    key: str
    access: Access

    @cached_property
    def client(self) -> Any:
        return self.access.client(READ, ATTEMPTS)

    def entry(self) -> Mapping[str, Any]:
        """Size, ETag and metadata of the object. By GET, since responses to HEAD do not tell a missing bucket from a missing object.

        Raises:
            StoreError: there is no such object, or the store refuses it.
        """
        with told(self):
            found: dict[str, Any] = self.client.get_object(Bucket=self.bucket, Key=self.key)
            found["Body"].close()
        return found

    def read(self, start: int, size: int, etag: str) -> bytes:
        """Read `size` bytes of the object from `start` on, with retries if the connection breaks.

        Raises:
            StoreError: they cannot be read, or the object no longer has this ETag.
        """
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        if size == 0:
            return b""
        wanted = {"Bucket": self.bucket, "Key": self.key, "Range": f"bytes={start}-{start + size - 1}", "IfMatch": etag}
        with told(self):
            for left in reversed(range(ATTEMPTS)):
                try:
                    content: bytes = self.client.get_object(**wanted)["Body"].read()
                    return content
                except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                    if not left:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def download(self, target: Path) -> None:
        """Fetch the object, with retries if the connection breaks; `target` appears complete or not at all.

        Raises:
            StoreError: it cannot be fetched, or arrives with another size or SHA-256 than it was stored with.
        """
        entry = self.entry()
        self.fetch(target, entry["ContentLength"])
        digest = {name.lower(): value for name, value in entry["Metadata"].items()}.get(DIGEST)
        if digest and sha256(target) != digest:
            target.unlink()
            raise StoreError(f"{self.uri}: what arrived does not match the SHA-256 that it was stored with")

    def fetch(self, target: Path, size: int) -> None:
        """Fetch the object, which is known to have `size` bytes."""
        from boto3.s3.transfer import TransferConfig

        try:
            with told(self):
                self.client.download_file(self.bucket, self.key, str(target), Config=TransferConfig(num_download_attempts=ATTEMPTS))
        except OSError as error:
            raise StoreError(f"{self.uri}: it cannot be written to {target}: {error}") from error
        if (arrived := target.stat().st_size) != size:
            target.unlink()
            raise StoreError(f"{self.uri}: {arrived} of {size} bytes arrived")

    def upload(self, path: Path, digest: str) -> None:
        """Store a file with its SHA-256; an existing object stays until the new one is complete.

        Raises:
            StoreError: the store does not accept it.
        """
        with told(self), path.open("rb") as handle:
            self.client.upload_fileobj(handle, self.bucket, self.key, ExtraArgs={**self.access.stored, "Metadata": {DIGEST: digest}})

    def check_writable(self) -> None:
        """Write and delete an empty object below this location.

        Raises:
            StoreError: the store does not answer, refuses the keys, lacks the bucket, or does not allow writing.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        key = f"{self.key.rstrip('/')}/.writable".lstrip("/")
        with told(self):
            client = self.access.client(READ_AT_ONCE, attempts=2)
            client.put_object(Bucket=self.bucket, Key=key, Body=b"", **self.access.stored)
        with contextlib.suppress(BotoCoreError, ClientError):  # keys that allow writing may not allow deleting
            client.delete_object(Bucket=self.bucket, Key=key)

    def objects(self) -> dict[str, dict[str, Any]]:
        """Name relative to this location, and entry, of each object below it; folder markers are left out.

        Raises:
            StoreError: they cannot be listed.
        """
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        with told(self):
            pages = list(self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix))
        entries = [entry for page in pages for entry in page.get("Contents", [])]
        return {entry["Key"].removeprefix(prefix): entry for entry in entries if not entry["Key"].endswith("/")}

    def below(self, name: str) -> Location:
        """The object `name` below this location, sharing its connections."""
        location = Location(f"{self.uri.rstrip('/')}/{name}", self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"), self.access)
        location.__dict__["client"] = self.client
        return location


@contextlib.contextmanager
def told(location: Location) -> Iterator[None]:
    """Turn boto3's errors into one that names the location, the problem and the remedy."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

    try:
        yield
    except ProfileNotFound as error:
        raise StoreError(f"{location.uri}: {error}; AWS_PROFILE must be one of those in ~/.aws/config") from error
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise StoreError(f"{location.uri}: {reason(error, location)}") from error


def reason(error: Any, location: Location) -> str:
    """The message for an error of boto3."""
    error = getattr(error, "last_exception", error)  # of a download with several attempts
    answer = getattr(error, "response", None) or {}
    code = answer.get("Error", {}).get("Code") or type(error).__name__
    names = [code, *(kind.__name__ for kind in type(error).__mro__)]
    words = next((WORDS[name] for name in names if name in WORDS), "{error}")
    return words.format(error=error, code=code, bucket=location.bucket, store=location.client.meta.endpoint_url)


def fetch_s3(location: Location, cache: Path) -> LocalDataset:
    """Fetch every object below a location as a dataset. If the objects change, they are another dataset.

    Raises:
        StoreError: the store does not answer, refuses, or breaks the connection repeatedly.
        DataError: nothing is stored there, it changes in the meantime, or names of objects lead out of the folder or to the same file.
    """
    objects = location.objects()
    if not objects:
        raise DataError(f"dataset_id={location.uri}: nothing is stored below it")
    paths = {inside(name, location.uri): name for name in objects}
    if len(paths) < len(objects):
        one, other = next((name, paths[path]) for name in objects if paths[path := inside(name, location.uri)] != name)
        raise DataError(f"dataset_id={location.uri}: the objects {one!r} and {other!r} would be the same file")
    digest = hashlib.sha256(f"{location.uri}\n{listing(objects)}".encode()).hexdigest()[:32]

    def download(beside: Path) -> Mapping[str, str | None]:
        for path, name in paths.items():
            target = beside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            location.below(name).fetch(target, objects[name]["Size"])
        if listing(location.objects()) != listing(objects):
            raise DataError(f"dataset_id={location.uri}: it changed while it was being fetched; start the run again once it is complete")
        return {str(path): None for path in paths}

    return LocalDataset(f"{location.uri}#{digest}", once(cache / f"s3-{digest}", download))


def listing(objects: Mapping[str, Mapping[str, Any]]) -> str:
    """The names, sizes and ETags of objects, by which a changed set of objects is recognised."""
    return "\n".join(f"{name} {entry['Size']} {entry['ETag']}" for name, entry in sorted(objects.items()))
