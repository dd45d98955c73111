"""The SBOM of an image: collected in the image, in CycloneDX format, and attached to it in the way of cosign."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.engine import free_port, image_registry

from registry.images.attachments import attach, attached, remove, tag_of
from registry.images.contents import contents_of
from registry.images.sbom import document
from registry.images.store import ImageStore

DIGEST = f"sha256:{'0' * 64}"
MADE = datetime(2026, 1, 2, tzinfo=UTC)
CONTENTS: dict[str, Any] = {
    "system": {"ID": "debian", "VERSION_ID": "12"},
    "packages": [
        {"kind": "deb", "name": "libc6", "version": "2.36-9+deb12u10", "arch": "amd64", "upstream": "glibc@2.36-9+deb12u10"},
        {"kind": "deb", "name": "git", "version": "1:2.39.5-0", "arch": "amd64", "upstream": "git@1:2.39.5-0"},
        {"kind": "pypi", "name": "PyYAML", "version": "6.0.4", "licence": ""},
        {"kind": "pypi", "name": "attrs", "version": "26.1.0", "licence": "MIT"},
    ],
}


def here(reference: str, command: list[str], options: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs on this machine, also Debian, what would run in a container."""
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def text() -> str:
    return document("h:5000/team/clip", DIGEST, MADE, CONTENTS)


def test_every_package_of_debian_and_python_is_found() -> None:
    found = contents_of(here, "this machine")
    versions = {(each["kind"], each["name"]): each["version"] for each in found["packages"]}
    told = subprocess.run(["dpkg-query", "--show", "--showformat", "${Version}", "bash"], capture_output=True, text=True, check=True)
    assert versions["deb", "bash"] == told.stdout
    pip = subprocess.run(["python3", "-c", "import importlib.metadata as m; print(m.version('pip'))"], capture_output=True, text=True)
    assert versions["pypi", "pip"] == pip.stdout.strip()
    assert found["system"]["ID"] == "debian"


def test_a_failed_container_is_an_error() -> None:
    def fails(*_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 127, "", "bash: not found")

    with pytest.raises(ValueError, match="exit code 127: bash: not found"):
        contents_of(fails, "an image")


def test_it_is_valid_cyclonedx_and_reproducible(text: str) -> None:
    """Validated with the schema in the format's own library."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"version": "6.0.4"', '"version": 6')) is not None
    assert document("h:5000/team/clip", DIGEST, MADE, CONTENTS) == text


def test_each_package_has_a_package_url(text: str) -> None:
    """As the types deb, pypi and oci of https://github.com/package-url/purl-spec have it."""
    stated = json.loads(text)
    urls = {each["name"]: each["purl"] for each in stated["components"]}
    assert urls == {
        "libc6": "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12&upstream=glibc%402.36-9%2Bdeb12u10",
        "git": "pkg:deb/debian/git@1:2.39.5-0?arch=amd64&distro=debian-12",
        "PyYAML": "pkg:pypi/pyyaml@6.0.4",
        "attrs": "pkg:pypi/attrs@26.1.0",
    }
    assert [each.get("licenses") for each in stated["components"] if each["name"] == "attrs"] == [[{"expression": "MIT"}]]
    whole = stated["metadata"]["component"]
    assert (whole["type"], whole["version"]) == ("container", DIGEST)
    assert whole["purl"] == f"pkg:oci/clip@sha256:{'0' * 64}?repository_url=h:5000/team/clip"
    (depends,) = (each["dependsOn"] for each in stated["dependencies"] if each["ref"] == whole["bom-ref"])
    assert len(depends) == len(urls)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageStore]:
    """A repository of Debian's docker-registry, with deletion enabled."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    with image_registry(folder / "data", port, folder, storage={"delete": {"enabled": True}}):
        yield ImageStore(f"127.0.0.1:{port}/team/clip")


def test_an_attached_sbom_can_be_read_and_is_deleted_with_its_image(store: ImageStore, text: str) -> None:
    assert attached(store, DIGEST) is None
    attach(store, DIGEST, text)
    attach(store, DIGEST, text)
    assert attached(store, DIGEST) == text
    assert store.tags() == [tag_of(DIGEST)]
    remove(store, DIGEST)
    assert attached(store, DIGEST) is None


def test_it_is_attached_in_the_way_of_cosign(store: ImageStore, text: str) -> None:
    """specs/SBOM_SPEC.md and `cosign attach sbom` of https://github.com/sigstore/cosign, checked by plain requests."""
    attach(store, DIGEST, text)
    url = f"http://{store.host}/v2/team/clip"
    kind = "application/vnd.oci.image.manifest.v1+json"
    answer = requests.get(f"{url}/manifests/sha256-{'0' * 64}.sbom", headers={"Accept": kind}, timeout=10)
    assert answer.headers["Content-Type"] == kind
    (layer,) = answer.json()["layers"]
    assert layer["mediaType"] == "application/vnd.cyclonedx+json"
    content = requests.get(f"{url}/blobs/{layer['digest']}", timeout=10).content
    assert content == text.encode()
    assert (layer["size"], layer["digest"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
