"""The S3 store that an address refers to, and its keys: the same for the SDK's transfers and for this package's.

`s3://bucket/prefix` is in AWS, or at AWS_ENDPOINT_URL; `s3://host:port/bucket/prefix` names an S3-compatible store in the address. Keys
come from `sdk.aws.s3` of clearml.conf (the entry of `credentials` for that bucket or host, else its `key` and `secret`), else from the
places that boto3 searches: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the files in ~/.aws, the machine's role. With a host
in the address https is used, unless the host's entry says `secure: false`, or AWS_ENDPOINT_URL is http:// with the same host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .errors import StoreError
from .s3 import SCHEME, Access, Location

CHECKSUMS = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
"""boto3 wraps uploads in checksums by default. Many S3-compatible stores refuse those, or store them as part of the object."""
FORMS = "write s3://bucket/prefix, or s3://host:port/bucket/prefix"


def locate(uri: str) -> Location:
    """The location that an address refers to.

    Raises:
        StoreError: it is not a valid address.
    """
    from clearml.backend_config.bucket_config import S3BucketConfigurations
    from clearml.config import config

    try:
        found = S3BucketConfigurations.from_config(completed(section(), os.environ)).get_config_by_uri(uri)
    except ValueError as error:
        raise StoreError(f"{uri}: {error}; {FORMS}") from error
    path = uri.removeprefix(SCHEME)
    bucket, _, key = (path[len(found.host) :].removeprefix("/") if found.host else path).partition("/")
    if not bucket:
        raise StoreError(f"{uri}: the bucket is missing; {FORMS}")
    endpoint = f"{'https' if found.secure else 'http'}://{found.host}" if found.host else None
    if endpoint or own_endpoint(os.environ):
        os.environ.update({name: "when_required" for name in CHECKSUMS if name not in os.environ})  # for the SDK and the ranks too
    chain = found.use_credentials_chain
    return Location(
        uri,
        bucket,
        key,
        Access(
            endpoint=endpoint,
            key=None if chain else found.key,
            secret=None if chain else found.secret,
            token=None if chain else found.token or None,
            region=found.region or None,
            profile=found.profile or None,
            verify=None if found.verify is True else found.verify,
            config={"signature_version": config.get("aws.boto3.signature_version", None), "s3": config.get("aws.boto3.s3", None)},
            stored=found.extra_args or {},
        ),
    )


def section() -> dict[str, Any]:
    """`sdk.aws.s3` of clearml.conf, as read by the SDK."""
    from clearml.config import config

    found: dict[str, Any] = config.get("aws.s3", {})
    return found


def share() -> None:
    """Write the completed settings back to the SDK, which reads them before its first transfer."""
    section().update(completed(section(), os.environ))


def completed(settings: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """`sdk.aws.s3` with what the SDK does not consider: boto3's search for keys where none are set, and AWS_ENDPOINT_URL for its host."""
    settings = dict(settings)  # the SDK's own mapping type raises an error for a missing key
    stated = {
        "key": settings.get("key") or environment.get("AWS_ACCESS_KEY_ID"),
        "secret": settings.get("secret") or environment.get("AWS_SECRET_ACCESS_KEY"),
        "token": settings.get("token") or environment.get("AWS_SESSION_TOKEN"),
    }
    keys = stated if stated["key"] and stated["secret"] else {"use_credentials_chain": True}
    entries = [dict(entry) for entry in settings.get("credentials") or []]
    endpoint = urlsplit(own_endpoint(environment))
    if endpoint.netloc:
        entries.append({"host": endpoint.netloc, "secure": endpoint.scheme == "https", "region": settings.get("region")})
    entries = [entry if entry.get("key") or entry.get("use_credentials_chain") else {**entry, **keys} for entry in entries]
    return {**settings, **keys, "credentials": entries}


def own_endpoint(environment: Mapping[str, str]) -> str:
    """The endpoint that boto3 is told to use instead of AWS, or an empty string."""
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
