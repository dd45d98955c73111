"""The SBOM of an image, attached to it in the image registry in the way of cosign.

https://github.com/sigstore/cosign/blob/main/specs/SBOM_SPEC.md: an OCI manifest with one layer; its tag contains the image's digest.
"""

from __future__ import annotations

import json
import re

from . import manifests
from .store import ImageStore

CONFIGURATION = "application/vnd.oci.image.config.v1+json"
DOCUMENT = "application/vnd.cyclonedx+json"
TAG = re.compile(r"sha256-[0-9a-f]{64}\.sbom")


def tag_of(digest: str) -> str:
    """The tag of an image's SBOM."""
    return f"{digest.replace(':', '-')}.sbom"


def attach(store: ImageStore, digest: str, text: str) -> None:
    """Attach an SBOM to an image."""
    content = text.encode()
    layer = {"mediaType": DOCUMENT, "size": len(content), "digest": store.upload(content)}
    empty = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    packed = json.dumps(empty).encode()
    configuration = {"mediaType": CONFIGURATION, "size": len(packed), "digest": store.upload(packed)}
    manifest = {"schemaVersion": 2, "mediaType": manifests.IMAGE, "config": configuration, "layers": [layer]}
    store.ask("PUT", f"manifests/{tag_of(digest)}", json.dumps(manifest).encode(), **{"Content-Type": manifests.IMAGE})


def attached(store: ImageStore, digest: str) -> str | None:
    """The SBOM that is attached to an image, or None."""
    manifest = store.ask("GET", f"manifests/{tag_of(digest)}", Accept=manifests.IMAGE)
    if manifest.status_code == 404:
        return None
    layers = [layer for layer in manifest.json()["layers"] if layer["mediaType"] == DOCUMENT]
    return store.ask("GET", f"blobs/{layers[0]['digest']}").text if layers else None


def remove(store: ImageStore, digest: str) -> None:
    """Delete an image and its SBOM."""
    if beside := store.digest(tag_of(digest)):
        store.delete(beside)
    store.delete(digest)
