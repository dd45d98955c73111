"""Images pushed by plain requests, as the OCI distribution specification 1.1 has them: no engine is needed, and any form can be made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

Json = dict[str, Any]


@dataclass(frozen=True)
class Repository:
    """HOST/PATH at a registry, and how to speak to it (`auth`, `verify`, `cert` of requests)."""

    name: str
    scheme: str = "http"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        host, _, path = self.name.partition("/")
        return f"{self.scheme}://{host}/v2/{path}/"

    def blob(self, content: bytes, kind: str) -> Json:
        """Push a blob; gives its descriptor."""
        place = urljoin(self.url, requests.post(f"{self.url}blobs/uploads/", timeout=10, **self.options).headers["Location"])
        sent = requests.put(place, params={"digest": digest(content)}, data=content, timeout=10, **self.options)
        assert sent.status_code == 201, sent.text
        return {"mediaType": kind, "size": len(content), "digest": digest(content)}

    def manifest(self, document: Json, tag: str | None = None) -> Json:
        """Push a manifest or an index under a tag, else under its digest; gives its descriptor."""
        content = json.dumps(document).encode()
        headers = {"Content-Type": document["mediaType"]}
        sent = requests.put(f"{self.url}manifests/{tag or digest(content)}", data=content, headers=headers, timeout=10, **self.options)
        assert sent.status_code == 201, sent.text
        return {"mediaType": document["mediaType"], "size": len(content), "digest": digest(content)}

    def find(self, tag: str) -> Json:
        """The descriptor of what a tag names."""
        accepted = {"Accept": ", ".join((DOCKER, DOCKER_LIST, OCI, OCI_INDEX))}
        answer = requests.get(f"{self.url}manifests/{tag}", headers=accepted, timeout=10, **self.options)
        assert answer.status_code == 200, answer.text
        return {"mediaType": answer.headers["Content-Type"], "size": len(answer.content), "digest": digest(answer.content)}

    def image(self, tag: str | None, labels: Mapping[str, str], *, kind: str = DOCKER, layer: bytes = b"layer" * 100) -> Json:
        """Push an image of one layer; gives its descriptor."""
        packed = "application/vnd.oci.image.layer.v1.tar+gzip" if kind == OCI else "application/vnd.docker.image.rootfs.diff.tar.gzip"
        stated = "application/vnd.oci.image.config.v1+json" if kind == OCI else "application/vnd.docker.container.image.v1+json"
        configuration = self.blob(json.dumps({"config": {"Labels": dict(labels)}}).encode(), stated)
        document = {"schemaVersion": 2, "mediaType": kind, "config": configuration, "layers": [self.blob(layer, packed)]}
        return self.manifest(document, tag)

    def attestation(self, image: Json) -> Json:
        """Push what BuildKit attaches to an image, and give its entry in an index.

        After docs/attestations/attestation-storage.md of moby/buildkit: an image manifest whose layers are in-toto statements.
        """
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2", "predicate": {}}
        layer = self.blob(json.dumps(statement).encode(), "application/vnd.in-toto+json")
        layer["annotations"] = {"in-toto.io/predicate-type": statement["predicateType"]}
        configuration = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        stated = self.blob(json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json")
        pushed = self.manifest({"schemaVersion": 2, "mediaType": OCI, "config": stated, "layers": [layer]})
        return {
            **pushed,
            "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]},
            "platform": {"architecture": "unknown", "os": "unknown"},
        }

    def index(self, tag: str, entries: Sequence[Json], kind: str = OCI_INDEX) -> str:
        """Push an index (image-index.md of the OCI image specification); gives its digest."""
        return str(self.manifest({"schemaVersion": 2, "mediaType": kind, "manifests": list(entries)}, tag)["digest"])


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def for_platform(descriptor: Json, architecture: str) -> Json:
    """An image's entry in an index."""
    return {**descriptor, "platform": {"architecture": architecture, "os": "linux"}}
