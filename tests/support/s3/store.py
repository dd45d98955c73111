"""A real S3 store for tests: OpenStack Swift, which checks the signature of every request."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import boto3

from registry.environment import build, layer_named


class Store:
    """A store on a free port of this machine, its objects in `folder`. It knows an owner, and a guest who may do nothing."""

    owner = ("team:owner", "the-owner-s-secret")
    guest = ("team:guest", "the-guest-s-secret")

    def __init__(self, folder: Path) -> None:
        python = build(layer_named("s3-store")).python
        folder.mkdir(parents=True)
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            command = [python, "-W", "ignore", Path(__file__).with_name("server.py"), folder]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([[*self.owner, ".admin"], [*self.guest]]))
        self.process.stdin.close()
        port = self.process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the store did not start:\n{self.log.read_text()}")
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self.client = boto3.client("s3", **self.arguments())

    def arguments(self) -> dict[str, Any]:
        """What boto3 needs for the owner."""
        key, secret = self.owner
        return {"endpoint_url": self.url, "aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}

    def environment(self, url: str | None = None, user: tuple[str, str] | None = None) -> dict[str, str]:
        """The variables that boto3 reads: by default the owner's, and the store itself."""
        key, secret = user or self.owner
        return {"AWS_ENDPOINT_URL": url or self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    def bucket(self, **objects: bytes) -> str:
        """A new bucket, and in it an object for each keyword."""
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        self.client.create_bucket(Bucket=name)
        for key, body in objects.items():
            self.put(f"s3://{name}/{key}", body)
        return name

    def put(self, uri: str, body: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=body)

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
