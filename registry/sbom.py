"""What an image holds, as an SBOM (software bill of materials): every package with its version, in CycloneDX's form.

It is kept beside the image, as cosign keeps it (https://github.com/sigstore/cosign/blob/main/specs/SBOM_SPEC.md): an OCI manifest
with one layer, tagged `sha256-<the image's digest>.sbom`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from .store import ImageStore

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIGURATION = "application/vnd.oci.image.config.v1+json"
DOCUMENT = "application/vnd.cyclonedx+json"
TAG = re.compile(r"sha256-[0-9a-f]{64}\.sbom")


def tag_of(digest: str) -> str:
    """The tag of the SBOM of an image."""
    return f"{digest.replace(':', '-')}.sbom"


def document(repository: str, digest: str, created: datetime, contents: Mapping[str, Any]) -> str:
    """The SBOM of an image, the same for the same image.

    Args:
        repository: the image's name without its tag.
        digest: the image's, `sha256:..`.
        created: when the image was made.
        contents: what `contents.contents` has found in it.
    """
    at, _, name = repository.rpartition("/")
    url = PackageURL("oci", name=name, version=digest, qualifiers={"repository_url": f"{at}/{name}"} if at else None)
    whole = Component(name=repository, version=digest, type=ComponentType.CONTAINER, purl=url, bom_ref=repository)
    parts = [component(package, contents["system"]) for package in contents["packages"]]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{repository}@{digest}"),
        metadata=BomMetaData(component=whole, timestamp=created),
        components=parts,
    )
    bom.register_dependency(whole, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def component(package: Mapping[str, str], system: Mapping[str, str]) -> Component:
    """A package as the SBOM names it; a package URL says which one of the world's it is."""
    name, version = package["name"], package["version"]
    if package["kind"] == "deb":
        qualifiers = {"arch": package["arch"], "distro": f"{system.get('ID', 'debian')}-{system.get('VERSION_ID', '')}".rstrip("-")}
        if package["upstream"] != f"{name}@{version}":
            qualifiers["upstream"] = package["upstream"]
        url = PackageURL("deb", system.get("ID", "debian"), name, version, qualifiers)
    else:
        url = PackageURL("pypi", None, name, version)
    licences = [LicenseExpression(package["licence"])] if package.get("licence") else []
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string(), licenses=licences)


def attach(store: ImageStore, digest: str, text: str) -> None:
    """Keep an SBOM beside its image."""
    content = text.encode()
    layer = {"mediaType": DOCUMENT, "size": len(content), "digest": store.upload(content)}
    empty = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    packed = json.dumps(empty).encode()
    configuration = {"mediaType": CONFIGURATION, "size": len(packed), "digest": store.upload(packed)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration, "layers": [layer]}
    store.ask("PUT", f"manifests/{tag_of(digest)}", json.dumps(manifest).encode(), **{"Content-Type": MANIFEST})


def attached(store: ImageStore, digest: str) -> str | None:
    """The SBOM that is kept beside an image, or None."""
    manifest = store.ask("GET", f"manifests/{tag_of(digest)}", Accept=MANIFEST)
    if manifest.status_code == 404:
        return None
    layers = [layer for layer in manifest.json()["layers"] if layer["mediaType"] == DOCUMENT]
    return store.ask("GET", f"blobs/{layers[0]['digest']}").text if layers else None
