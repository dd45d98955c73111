"""Objects in S3 and its look-alikes, through boto3: they arrive whole, or one error says why not."""

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
"""How often a request or a part of a download is tried."""
CONNECT, READ, READ_AT_ONCE = 5, 30, 10
"""Seconds to wait for a connection, for the next bytes, and for the answer to a mere question."""
DIGEST = "sha256"
"""Metadata of an uploaded object: the SHA-256 of what it holds."""
KEYS = "in sdk.aws.s3 of clearml.conf, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidSecurity", "AuthFailure")
DENIED = ("AccessDenied", "403")
WORDS = {
    "NoSuchBucket": "there is no bucket {bucket!r} at {store}; make it, or name one that is there",
    **dict.fromkeys(("NoSuchKey", "404"), "there is no such object at {store}"),
    **dict.fromkeys(("PreconditionFailed", "412", "InvalidRange"), "it was changed while it was being read"),
    **dict.fromkeys(REFUSED, f"{{store}} refuses the keys ({{code}}); right ones belong {KEYS}"),
    **dict.fromkeys(DENIED, f"{{store}} does not allow this with these keys ({{code}}); others belong {KEYS}"),
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), f"there are no keys for {{store}}; they belong {KEYS}"),
    "SSLError": "{store} does not speak https; for http set AWS_ENDPOINT_URL to http://host:port, or secure: false in sdk.aws.s3",
    **dict.fromkeys(
        ("ConnectionError", "ReadTimeoutError"),
        "{store} does not answer ({code}); is it running, and is that its address? Others go into AWS_ENDPOINT_URL, or s3://host:port/bucket",
    ),
    **dict.fromkeys(("HTTPClientError", "IncompleteReadError"), "the connection to {store} broke, also when tried again ({code})"),
}
"""What the store's codes and boto3's exceptions mean for a person, who reads about the first that fits."""


@dataclass(frozen=True)
class Access:
    """How a store is reached; what is left out, boto3 looks for."""

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
    """What every stored object is given, its encryption for one."""

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
    """An object, or the beginning of the names of objects, in a store."""

    uri: str
    """As somebody named it."""
    bucket: str
    key: str
    access: Access

    @cached_property
    def client(self) -> Any:
        return self.access.client(READ, ATTEMPTS)

    def entry(self) -> Mapping[str, Any]:
        """Size, ETag and metadata of the object. By GET, since the answers to HEAD do not tell a missing bucket from a missing object.

        Raises:
            StoreError: there is no such object, or the store does not give it.
        """
        with told(self):
            found: dict[str, Any] = self.client.get_object(Bucket=self.bucket, Key=self.key)
            found["Body"].close()
        return found

    def read(self, start: int, size: int, etag: str) -> bytes:
        """`size` bytes of the object from `start` on, tried again when the connection breaks off.

        Raises:
            StoreError: they cannot be had, or the object is not the one that had this ETag.
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
        """Fetch the object; parts of it are tried again when the connection breaks, and `target` appears whole or not at all.

        Raises:
            StoreError: it cannot be had, or arrives with another size or SHA-256 than it was stored with.
        """
        entry = self.entry()
        self.fetch(target, entry["ContentLength"])
        digest = {name.lower(): value for name, value in entry["Metadata"].items()}.get(DIGEST)
        if digest and sha256(target) != digest:
            target.unlink()
            raise StoreError(f"{self.uri}: what arrived differs from the SHA-256 that it was stored with")

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
        """Store a file with its SHA-256; what was there stays until the new object is whole.

        Raises:
            StoreError: the store does not take it.
        """
        with told(self), path.open("rb") as handle:
            self.client.upload_fileobj(handle, self.bucket, self.key, ExtraArgs={**self.access.stored, "Metadata": {DIGEST: digest}})

    def check_writable(self) -> None:
        """Write and delete an empty object below this location.

        Raises:
            StoreError: the store does not answer, refuses the keys, has no such bucket, or may not be written to.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        key = f"{self.key.rstrip('/')}/.writable".lstrip("/")
        with told(self):
            client = self.access.client(READ_AT_ONCE, attempts=2)
            client.put_object(Bucket=self.bucket, Key=key, Body=b"", **self.access.stored)
        with contextlib.suppress(BotoCoreError, ClientError):  # whoever may write need not be allowed to delete
            client.delete_object(Bucket=self.bucket, Key=key)

    def objects(self) -> dict[str, dict[str, Any]]:
        """Name below this location and entry of each object; folder markers are left out.

        Raises:
            StoreError: they cannot be listed.
        """
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        with told(self):
            pages = list(self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix))
        entries = [entry for page in pages for entry in page.get("Contents", [])]
        return {entry["Key"].removeprefix(prefix): entry for entry in entries if not entry["Key"].endswith("/")}

    def below(self, name: str) -> Location:
        """The object `name` below this location, through the same connections."""
        location = Location(f"{self.uri.rstrip('/')}/{name}", self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"), self.access)
        location.__dict__["client"] = self.client
        return location


@contextlib.contextmanager
def told(location: Location) -> Iterator[None]:
    """Turn boto3's errors into one that names the location, what is wrong and what would be right."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

    try:
        yield
    except ProfileNotFound as error:
        raise StoreError(f"{location.uri}: {error}; AWS_PROFILE must be one of ~/.aws/config") from error
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise StoreError(f"{location.uri}: {reason(error, location)}") from error


def reason(error: Any, location: Location) -> str:
    """What an error of boto3's means for the person who named the location."""
    error = getattr(error, "last_exception", error)  # of a download that was tried several times
    answer = getattr(error, "response", None) or {}
    code = answer.get("Error", {}).get("Code") or type(error).__name__
    names = [code, *(kind.__name__ for kind in type(error).__mro__)]
    words = next((WORDS[name] for name in names if name in WORDS), "{error}")
    return words.format(error=error, code=code, bucket=location.bucket, store=location.client.meta.endpoint_url)


def fetch_s3(location: Location, cache: Path) -> LocalDataset:
    """Fetch every object below a location; objects that change make another dataset.

    Raises:
        StoreError: the store does not answer, refuses, or breaks off again and again.
        DataError: nothing is stored there, it changes meanwhile, or the names of objects lead out of the folder or to one file.
    """
    objects = location.objects()
    if not objects:
        raise DataError(f"dataset_id={location.uri}: nothing is stored below it")
    paths = {inside(name, location.uri): name for name in objects}
    if len(paths) < len(objects):
        one, other = next((name, paths[path]) for name in objects if paths[path := inside(name, location.uri)] != name)
        raise DataError(f"dataset_id={location.uri}: the objects {one!r} and {other!r} would be one file")
    digest = hashlib.sha256(f"{location.uri}\n{listing(objects)}".encode()).hexdigest()[:32]

    def download(beside: Path) -> Mapping[str, str | None]:
        for path, name in paths.items():
            target = beside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            location.below(name).fetch(target, objects[name]["Size"])
        if listing(location.objects()) != listing(objects):
            raise DataError(f"dataset_id={location.uri}: it was changed while it was being fetched; start again when that is done")
        return {str(path): None for path in paths}

    return LocalDataset(f"{location.uri}#{digest}", once(cache / f"s3-{digest}", download))


def listing(objects: Mapping[str, Mapping[str, Any]]) -> str:
    """What makes objects the same ones: names, sizes and ETags."""
    return "\n".join(f"{name} {entry['Size']} {entry['ETag']}" for name, entry in sorted(objects.items()))
