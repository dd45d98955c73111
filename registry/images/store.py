"""Queries to an image registry: what it has, without pulling it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from ..errors import StoreError
from . import manifests
from .connection import Connection
from .manifests import Manifest
from .reference import read

PAGE = 1000  # tags per request


@dataclass(frozen=True)
class Stored:
    """An image in the image registry."""

    digest: str
    """The digest of the tag: of an image's manifest, or of an index of several."""
    size: int
    """The download size in bytes: the compressed layers of the image for this machine."""
    configuration: str
    """The digest of that image's configuration."""
    members: tuple[str, ...] = ()
    """The digests that an index lists."""

    @property
    def identities(self) -> frozenset[str]:
        """The IDs that the image may have in an engine: its configuration's digest, or its manifest's or index's."""
        return frozenset({self.digest, self.configuration, *self.members})


class ImageStore:
    """A repository in an image registry (HOST/NAMESPACE/NAME).

    The requests follow the OCI distribution specification, version 1.1.
    """

    def __init__(self, repository: str) -> None:
        self.repository = repository
        named = read(repository)
        self.host, self.name = named.host, named.path
        self.connection = Connection(self.host)

    def find(self, tag: str) -> Stored | None:
        """The image with the given tag or digest, or None.

        Raises:
            StoreError: the registry does not answer, or refuses the request.
        """
        answer = self.manifest(tag)
        if answer is None:
            return None
        top = self.document(answer)
        image = self.image_of(top)
        members = tuple(entry["digest"] for entry in manifests.listed(top))
        return Stored(digest_of(answer), manifests.size_of(image), image["config"]["digest"], members)

    def digest(self, tag: str) -> str | None:
        """The current digest of a tag, or None."""
        answer = self.manifest(tag)
        return None if answer is None else digest_of(answer)

    def labels(self, tag: str) -> dict[str, str] | None:
        """The labels of the image with the given tag or digest, or None."""
        answer = self.manifest(tag)
        if answer is None:
            return None
        image = self.image_of(self.document(answer))
        configuration = self.document(self.ask("GET", f"blobs/{image['config']['digest']}"))
        return (configuration.get("config") or {}).get("Labels") or {}

    def tags(self) -> list[str]:
        """Every tag of the repository, sorted; none if it does not exist yet."""
        found: list[str] = []
        page = f"tags/list?n={PAGE}"
        while page:
            answer = self.ask("GET", page)
            if answer.status_code == 404:
                return []
            found += self.document(answer).get("tags") or []
            following = answer.links.get("next", {}).get("url", "")
            page = f"tags/list?{following.partition('?')[2]}" if following else ""
        return sorted(found)

    def add_tags(self, tag: str, others: Sequence[str]) -> None:
        """Give other tags to the image that `tag` names."""
        answer = self.manifest(tag)
        assert answer is not None
        for other in others:
            self.ask("PUT", f"manifests/{other}", answer.content, **{"Content-Type": answer.headers["Content-Type"]})

    def upload(self, content: bytes) -> str:
        """Upload a blob, for a manifest to refer to, and return its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self.ask("POST", "blobs/uploads/").headers["Location"]
        path = begun.partition(f"/v2/{self.name}/")[2]
        self.ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", content, **{"Content-Type": "application/octet-stream"})
        return digest

    def delete(self, digest: str) -> None:
        """Delete a digest with all of its tags: registries can delete only by digest."""
        self.ask("DELETE", f"manifests/{digest}")

    def manifest(self, tag: str) -> requests.Response | None:
        """The manifest or index with the given tag or digest, as it is stored."""
        answer = self.ask("GET", f"manifests/{tag}", Accept=manifests.ACCEPTED)
        return None if answer.status_code == 404 else answer

    def image_of(self, manifest: Manifest) -> Manifest:
        """The manifest of a single image: the given one, or the one that an index lists for this machine."""
        while manifests.is_index(manifest):
            digest = manifests.for_this_machine(manifest)
            answer = self.manifest(digest) if digest else None
            if answer is None:
                raise StoreError(f"{self.repository} has an index without an image for Linux")
            manifest = self.document(answer)
        if "config" not in manifest:
            raise StoreError(
                f"{self.repository} has a manifest that is not of an image: {manifest.get('mediaType', 'without a media type')}"
            )
        return manifest

    def document(self, answer: requests.Response) -> dict[str, Any]:
        """The JSON object in an answer."""
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            kind = answer.headers.get("Content-Type", "something else")
            raise StoreError(f"{self.host} is not an image registry: it answers with {kind} instead of JSON")
        return found

    def ask(self, method: str, path: str, data: bytes | None = None, **headers: str) -> requests.Response:
        """The answer, whose status may be 404 (not found)."""
        answer = self.connection.ask(method, f"{self.name}/{path}", data, headers)
        if answer.ok or (method in {"GET", "DELETE"} and answer.status_code == 404):
            return answer
        if method == "DELETE" and answer.status_code == 405:
            raise StoreError(
                f"the image registry at {self.host} does not allow deletion (HTTP 405); "
                "enable it, in a docker-registry by REGISTRY_STORAGE_DELETE_ENABLED=true"
            )
        raise StoreError(
            f"the image registry at {self.host} refuses {method} of {self.name}/{path}: HTTP {answer.status_code} {answer.reason}"
            + (f"; {self.connection.advice}" if answer.status_code == 403 else "")
        )


def digest_of(answer: requests.Response) -> str:
    """The digest of a manifest, computed if the registry does not send it."""
    return answer.headers.get("Docker-Content-Digest") or f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
