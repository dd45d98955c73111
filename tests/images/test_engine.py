"""The docker command, including when Podman answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import EngineError
from registry.images.engine import Engine, LocalImage

PODMAN = (  # what Debian's podman 4.3.1 answers to `version --format '{{json .}}'`: package podman-docker names it docker
    '{"Client":{"APIVersion":"4.3.1","Version":"4.3.1","GoVersion":"go1.19.8","GitCommit":"","BuiltTime":"Thu Jan  1 00:00:00 1970",'
    '"Built":0,"OsArch":"linux/amd64","Os":"linux"}}'
)
DOCKER = '{"Client":{"Version":"28.2.2","ApiVersion":"1.50","Context":"default"},"Server":%s}'  # shortened answers of Docker's command
ITSELF = '{"Version":"28.2.2","Components":[{"Name":"Engine","Version":"28.2.2"},{"Name":"containerd","Version":"1.7"}]}'
PODMANS_SERVICE = '{"Version":"4.3.1","Components":[{"Name":"Podman Engine","Version":"4.3.1"},{"Name":"Conmon","Version":"2.1"}]}'
"""Podman's service names itself in its answer to /version: `Podman Engine` (pkg/api/handlers/compat/version.go)."""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker command that answers with the file `answer`."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\ngrep -q '\"Server\":null' {tmp_path}/answer && exit 1 || exit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return tmp_path / "answer"


@pytest.mark.parametrize("answer", [PODMAN, DOCKER % PODMANS_SERVICE], ids=["its command", "its service"])
def test_podman_is_refused_by_name(docker: Path, answer: str) -> None:
    docker.write_text(answer)
    with pytest.raises(EngineError, match=r"is Podman, but clearml-agent needs Docker: apt-get install docker\.io"):
        Engine()


def test_docker_is_accepted(docker: Path) -> None:
    docker.write_text(DOCKER % ITSELF)
    Engine()
    docker.write_text(DOCKER % "null")
    with pytest.raises(EngineError, match="does not respond"):
        Engine()


def test_the_digest_of_an_image_depends_on_the_repository() -> None:
    """`RepoDigests` of `docker image inspect` names Docker Hub's images without their host."""
    digests = ("python@sha256:a", "registry.example.org:5000/team/clip@sha256:b")
    image = LocalImage("sha256:c", 1, "", digests, {})
    assert image.digest_at("registry.example.org:5000/team/clip:latest") == "sha256:b"
    assert image.digest_at("python:3.11") == image.digest_at("docker.io/library/python") == "sha256:a"
    assert image.digest_at("team/clip") is None
