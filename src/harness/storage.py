"""Which S3 store an address means, and which keys it takes: one answer for the SDK's transfers and for ours.

`s3://bucket/prefix` is in AWS, or where AWS_ENDPOINT_URL leads; `s3://host:port/bucket/prefix` names a look-alike itself. Keys come from
`sdk.aws.s3` of clearml.conf (the entry of `credentials` for that bucket or host, else its `key` and `secret`), else from where boto3
looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the files in ~/.aws, the machine's role. With a host in the
address https is spoken, unless its entry says `secure: false` or AWS_ENDPOINT_URL is http:// and that host.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .errors import StoreError
from .s3 import SCHEME, Access, Location

CHECKSUMS = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")
"""boto3 wraps uploads in checksums by default. Many look-alikes refuse those, or store them as part of the object."""
FORMS = "write s3://bucket/prefix, or s3://host:port/bucket/prefix"


def locate(uri: str) -> Location:
    """The location in a store that an address means.

    Raises:
        StoreError: it is no such address.
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
        raise StoreError(f"{uri}: names no bucket; {FORMS}")
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
    """`sdk.aws.s3` of clearml.conf, as the SDK holds it."""
    from clearml.config import config

    found: dict[str, Any] = config.get("aws.s3", {})
    return found


def share() -> None:
    """Write what was completed into the SDK's own settings; it reads them before its first transfer."""
    section().update(completed(section(), os.environ))


def completed(settings: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """`sdk.aws.s3` with what the SDK does not look for: boto3's chain where no keys stand, and AWS_ENDPOINT_URL for its host."""
    settings = dict(settings)  # the SDK's own kind of mapping raises an error where a key is missing
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
    """The end point that boto3 is told to use in place of AWS, or nothing."""
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
