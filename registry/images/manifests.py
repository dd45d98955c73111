"""Manifests of images: of one image, or an index of one for each platform.

After the OCI image specification 1.1 and Docker's schema 2, which differ in their media types alone.
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
    """The digest of the image that an index has for Linux on this machine's processor, else on another; None if there is none.

    What builders attach to an image (provenance, SBOM) is listed beside it as an image of the platform unknown/unknown. Entries of
    other media types are ignored, as the specification of indices demands.
    """
    images = [entry for entry in listed(index) if entry.get("mediaType") in IMAGES and stated(entry, "os") == "linux"]
    here = MACHINES.get(platform.machine(), platform.machine())
    images.sort(key=lambda entry: stated(entry, "architecture") != here)
    return images[0]["digest"] if images else None


def stated(entry: Mapping[str, Any], key: str) -> str:
    """A property of an entry's platform; one that states no platform is for any Linux machine."""
    return str((entry.get("platform") or {"os": "linux"}).get(key, ""))


def size_of(image: Manifest) -> int:
    """Bytes to fetch: an image's packed layers."""
    return sum(layer["size"] for layer in image.get("layers") or [])
