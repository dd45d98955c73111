"""What an image holds, as an SBOM (software bill of materials): every package with its version, in CycloneDX's form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ..errors import EngineError
from ..image import Image
from .contents import contents_of
from .engine import Engine, LocalImage


def of_image(engine: Engine, image: Image, local: LocalImage, digest: str) -> str:
    """The SBOM of an image that the engine has: what a container of it finds.

    Raises:
        EngineError: the container did not tell.
    """
    try:
        contents = contents_of(engine.run, local.id)
    except ValueError as error:
        raise EngineError(f"what {image.reference()} holds cannot be told: {error}") from error
    return document(image.repository, digest, datetime.fromisoformat(local.created), contents)


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
