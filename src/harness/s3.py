"""Datasets on S3 and its look-alikes, through boto3. Keys and end point come from where boto3 looks for them (AWS_*)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from .cache import Dataset, once
from .errors import DataError


def fetch_s3(source: str, cache: Path) -> Dataset:
    """Fetch every object below `s3://bucket/prefix`; objects that change make another dataset.

    Raises:
        DataError: for a bucket or prefix that is missing or empty, keys that are refused, or a store that does not answer.
    """
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    try:
        client = boto3.client("s3")
        objects = list_objects(client, bucket, prefix)
        if not objects:
            raise DataError(f"dataset_id={source}: nothing is stored below it")
        listing = "\n".join(f"{name} {entry['Size']} {entry['ETag']}" for name, entry in sorted(objects.items()))
        digest = hashlib.sha256(f"{source}\n{listing}".encode()).hexdigest()[:32]

        def download(beside: Path) -> Mapping[str, str]:
            for name, entry in objects.items():
                target = beside / inside(name, source)
                target.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, entry["Key"], str(target))
                if target.stat().st_size != entry["Size"]:
                    raise DataError(f"dataset_id={source}: {name} arrived with {target.stat().st_size} of {entry['Size']} bytes")
            return {}

        return Dataset(f"{source}#{digest}", once(cache / f"s3-{digest}", download))
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise DataError(f"dataset_id={source}: {error}") from error


def list_objects(client: Any, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
    """Name below the prefix and entry of each object; folder markers are left out."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    entries = [entry for page in pages for entry in page.get("Contents", [])]
    return {entry["Key"].removeprefix(prefix): entry for entry in entries if not entry["Key"].endswith("/")}


def inside(name: str, source: str) -> PurePosixPath:
    """An object's name as a relative path that stays below its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"dataset_id={source}: the object {name!r} would leave its folder")
    return path
