"""Manifests: of a single image, or an index with one image per platform.

They follow the OCI image specification 1.1 or Docker's schema 2, which differ only in their media types.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

IMAGE = "application/vnd.oci.image.manifest.v1+json"
IMAGES = (IMAGE, "application/vnd.docker.distribution.manifest.v2+json")
INDICES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
ACCEPTED = ", ".join([*IMAGES, *INDICES])
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

Manifest = Mapping[str, Any]


def is_index(manifest: Manifest) -> bool:
    return manifest.get("mediaType") in INDICES or "manifests" in manifest


def listed(index: Manifest) -> Sequence[Mapping[str, Any]]:
    """The entries of an index."""
    return index.get("manifests") or []


def for_this_machine(index: Manifest) -> str | None:
    """The digest of the image in an index for Linux on this machine's processor, or else on another one; None if there is none.

    Builders list what they attach to an image (provenance, SBOM) as an image for the platform unknown/unknown. Entries with other
    media types are ignored, as the specification demands.
    """
    images = [entry for entry in listed(index) if entry.get("mediaType") in IMAGES and stated(entry, "os") == "linux"]
    here = MACHINES.get(platform.machine(), platform.machine())
    images.sort(key=lambda entry: stated(entry, "architecture") != here)
    return images[0]["digest"] if images else None


def stated(entry: Mapping[str, Any], key: str) -> str:
    """A property of an entry's platform. An entry without a platform is for any Linux machine."""
    return str((entry.get("platform") or {"os": "linux"}).get(key, ""))


def size_of(image: Manifest) -> int:
    """The download size in bytes: an image's compressed layers."""
    return sum(layer["size"] for layer in image.get("layers") or [])
