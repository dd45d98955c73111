"""The contents of an image as an SBOM (software bill of materials): every package and its version, in CycloneDX format."""

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
    """The SBOM of an image in the engine, from a container that lists its packages.

    Raises:
        EngineError: the container failed.
    """
    try:
        contents = contents_of(engine.run, local.id)
    except ValueError as error:
        raise EngineError(f"cannot list the contents of {image.reference()}: {error}") from error
    return document(image.repository, digest, datetime.fromisoformat(local.created), contents)


def document(repository: str, digest: str, created: datetime, contents: Mapping[str, Any]) -> str:
    """The SBOM of an image. The same image always has the same SBOM.

    Args:
        repository: the image's name without its tag.
        digest: the image's digest, `sha256:..`.
        created: when the image was built.
        contents: the result of `contents.contents` in the image.
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
    """A package as a component of the SBOM, identified by its package URL."""
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
