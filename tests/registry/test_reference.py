"""Names of images, parsed as the engine does: the rules are those of the module distribution/reference (normalize.go, regexp.go)."""

from __future__ import annotations

import pytest

from registry.environment import ROOT
from registry.image import images_named
from registry.images.reference import Reference, has_digest, read, split

DIGEST = "sha256:" + 64 * "a"


@pytest.mark.parametrize(
    ("name", "host", "path", "tag"),
    [
        ("python", "docker.io", "library/python", "latest"),
        ("python:3.11", "docker.io", "library/python", "3.11"),
        ("team/clip:v1", "docker.io", "team/clip", "v1"),
        ("docker.io/python", "docker.io", "library/python", "latest"),
        ("index.docker.io/team/clip", "docker.io", "team/clip", "latest"),
        ("Team/clip", "Team", "clip", "latest"),
        ("localhost/clip:v1", "localhost", "clip", "v1"),
        ("localhost:5000/clip", "localhost:5000", "clip", "latest"),
        ("registry.example.org/team/sub/clip:v1", "registry.example.org", "team/sub/clip", "v1"),
        (f"nvcr.io/nvidia/pytorch:26.02-py3@{DIGEST}", "nvcr.io", "nvidia/pytorch", DIGEST),
        (f"[::1]:5000/team/clip@{DIGEST}", "[::1]:5000", "team/clip", DIGEST),
        ("[fd00::1]/clip:v1", "[fd00::1]", "clip", "v1"),
    ],
)
def test_host_path_and_tag(name: str, host: str, path: str, tag: str) -> None:
    assert read(name) == Reference(host, path, tag)


def test_the_repository_is_returned_as_written() -> None:
    assert split("team/clip:v1") == ("team/clip", "v1")
    assert split("localhost:5000/clip") == ("localhost:5000/clip", "latest")


def test_only_a_digest_always_means_the_same_image() -> None:
    assert has_digest(f"python:3.11@{DIGEST}")
    assert not has_digest("python:3.11")


@pytest.mark.parametrize("registry", ["docker.io/team", "[::1]:5000/team", "[fd00::1]", "registry.example.org:5000"])
def test_valid_image_registries(registry: str) -> None:
    (image,) = images_named(ROOT, ("clip",), False, None, registry)
    assert image.repository == f"{registry}/clip"
