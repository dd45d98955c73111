"""The container engine of this machine, used through the command `docker`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ..errors import EngineError
from .context import Context
from .reference import read

LINES_IN_ERROR = 8


@dataclass(frozen=True)
class LocalImage:
    """An image in the engine."""

    id: str
    size: int
    """In bytes, uncompressed, including the base."""
    created: str
    digests: tuple[str, ...]
    """`repository@sha256:..` for each image registry that it was pushed to or pulled from."""
    labels: Mapping[str, str]

    def digest_at(self, name: str) -> str | None:
        """The digest of the image in a repository when it was last pushed there or pulled from there."""
        wanted = read(name)
        found = [read(digest) for digest in self.digests]
        return next((each.tag for each in found if (each.host, each.path) == (wanted.host, wanted.path)), None)


class Engine:
    """Commands of `docker`. DOCKER_HOST and the docker context decide which engine executes them."""

    def __init__(self) -> None:
        """Raises:
        EngineError: the command is missing, or no engine responds.
        """
        if shutil.which("docker") is None:
            raise EngineError(
                "the docker command is not installed: apt-get install docker.io, or see https://docs.docker.com/engine/install/"
            )
        done = docker("version", "--format", "{{json .}}")
        if is_podman(done.stdout):
            raise EngineError(
                "the docker command, or the engine behind it, is Podman, but clearml-agent needs Docker: "
                "apt-get install docker.io, or put Docker's command first on the path"
            )
        if done.returncode:
            where = os.environ.get("DOCKER_HOST", "its default socket")
            raise EngineError(f"the container engine at {where} does not respond: {last_line(done.stderr)}; start it, or set DOCKER_HOST")

    def find(self, reference: str) -> LocalImage | None:
        """The image with the given name, or None."""
        done = docker("image", "inspect", reference)
        if done.returncode:
            return None
        found: dict[str, Any] = json.loads(done.stdout)[0]
        labels = (found.get("Config") or {}).get("Labels") or {}
        return LocalImage(found["Id"], found["Size"], found["Created"], tuple(found.get("RepoDigests") or ()), labels)

    def build(
        self,
        context: Context,
        tags: Sequence[str],
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        network: str | None,
        say: Callable[[str], None],
    ) -> None:
        """Build an image with several tags, and report the progress.

        Raises:
            EngineError: the build failed; the message has the last lines of its output.
        """
        options = [f"--tag={tag}" for tag in tags] + [f"--build-arg={key}={value}" for key, value in arguments.items()]
        options += [f"--label={key}={value}" for key, value in labels.items()]
        options += [f"--network={network}"] if network else []
        options += ["--progress=plain"] if os.environ.get("DOCKER_BUILDKIT") == "1" else []
        with tempfile.TemporaryFile() as archive:
            context.write(archive)
            archive.seek(0)
            self.follow(["build", *options, f"--file={context.dockerfile.relative_to(context.root)}", "-"], say, archive)

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository in the engine."""
        done = docker("image", "ls", "--format", "{{.Tag}}", repository)
        return sorted(tag for tag in done.stdout.split() if tag != "<none>")

    def remove(self, reference: str) -> None:
        """Remove a name of an image. The image is deleted with its last name.

        Raises:
            EngineError: a container uses the image.
        """
        done = docker("image", "rm", reference)
        if done.returncode:
            raise EngineError(f"{reference} cannot be removed: {last_line(done.stderr)}")

    def push(self, reference: str, say: Callable[[str], None]) -> None:
        self.follow(["push", reference], say)

    def pull(self, reference: str, say: Callable[[str], None]) -> None:
        self.follow(["pull", reference], say)

    def follow(self, arguments: Sequence[str], say: Callable[[str], None], given: IO[bytes] | None = None) -> None:
        """Run a long command and pass on its output line by line. `given` is its standard input."""
        lines = []
        with subprocess.Popen(
            ["docker", *arguments], stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                say(line.rstrip())
                lines.append(line.rstrip())
        if process.returncode:
            told = "\n".join(f"    {line}" for line in lines[-LINES_IN_ERROR:] if line)
            raise EngineError(f"docker {arguments[0]} failed{hint(lines)}:\n{told}")

    def run(self, reference: str, command: Sequence[str], options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command in a container that is removed afterwards."""
        return docker("run", "--rm", *options, reference, *command)


def is_podman(version: str) -> bool:
    """Whether the output of `docker version` comes from Podman: as the command, or as the engine behind Docker's command."""
    try:
        told = json.loads(version)
    except ValueError:
        return False
    parts = [part.get("Name", "") for part in (told.get("Server") or {}).get("Components") or []]
    return "APIVersion" in told.get("Client", {}) or any(name.startswith("Podman") for name in parts)  # Docker's says ApiVersion


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, errors="replace", check=False)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def hint(lines: Sequence[str]) -> str:
    """Advice on a failure, if the engine's messages are known. The cause may be in any of the lines."""
    told = "\n".join(lines).lower()
    return next((f" ({advice})" for words, advice in HINTS.items() if words in told), "")


HINTS = {
    "no space left on device": "the disk is full: docker system df shows what uses it, docker system prune frees space",
    "connection refused": "the image registry does not answer: check its address, and that it is running",
    "no basic auth credentials": "run docker login first",
    "unauthorized": "run docker login first",
    "denied:": "run docker login first, or use a namespace that you may write to",
    "x509:": "the registry's certificate is not trusted: put its CA into /etc/docker/certs.d/HOST:PORT/ca.crt",
    "server gave http response to https client": "the image registry has no TLS: add it to the engine's insecure-registries",
}
