"""The environment of an image: the hash of what it is built from, and the check that a run is in the right one.

An image is only an environment; the code comes with the run. Images with the same hash therefore serve the same runs, and a run is
refused in an image whose hash differs from that of the run's commit.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import ImageError

BAKED = "WORKLOAD_IMAGE"
"""Environment variable set inside an image: the image's name. The files it was built from are below `BAKED_ROOT`."""
BASE = "WORKLOAD_BASE"
"""Environment variable set inside an image: its base image."""
BAKED_ROOT = Path("/workspace")
SHARED = ("harness", "setup")
"""Folders below docker/ that every image is built from, besides its own."""


def environment(root: Path, name: str, base: str | None = None) -> str:
    """The environment of an image as its tag: `env-` and 12 hexadecimal digits.

    Args:
        root: a clone, or the copy of it in an image.
        name: the image's name, which is that of its folder below docker/.
        base: the base image; by default the one named in the Dockerfile.
    """
    docker = root / "docker"
    digest = hashlib.sha256((base or default_base(root, name)).encode())
    for folder in sorted((name, *SHARED)):
        for path in files_of(docker / folder):
            digest.update(f"\0{path.relative_to(docker).as_posix()}\0".encode() + path.read_bytes())
    return f"env-{digest.hexdigest()[:12]}"


def default_base(root: Path, name: str) -> str:
    """The default base image in a Dockerfile; empty if there is no Dockerfile."""
    dockerfile = root / "docker" / name / "Dockerfile"
    found = re.search(r"^ARG BASE_IMAGE=(\S+)", dockerfile.read_text(), re.MULTILINE) if dockerfile.exists() else None
    return found[1] if found else ""


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder, sorted: those that git tracks, or all of them where git tracks none, as inside an image.

    Hidden files and caches are left out: they do not reach the image either.
    """
    for path in sorted(tracked(folder) or folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path


def tracked(folder: Path) -> list[Path]:
    """The files that git tracks below a folder, so that an editor's backup does not count; empty if git cannot tell."""
    try:
        done = subprocess.run(["git", "-C", str(folder), "ls-files", "-z"], capture_output=True)
    except FileNotFoundError:
        return []
    return [folder / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def check_image(root: Path, name: str, baked_root: Path = BAKED_ROOT, variables: Mapping[str, str] = os.environ) -> None:
    """Refuse to run the clone at `root` in an image with another environment. Outside this project's images there is nothing to check.

    Raises:
        ImageError: naming the image that the run needs and the one that it is in.
    """
    baked = variables.get(BAKED)
    if not baked:
        return
    base = variables.get(BASE)
    is_now = f"{baked}:{environment(baked_root, baked, base)}"
    needed = f"{name}:{environment(root, name, base)}"
    if is_now == needed:
        return
    raise ImageError(
        f"this run needs the environment {needed}, but its image is {is_now} (both on {base}): build and push the image "
        f"(registry image build {name}, registry image push {name}) or run the commit that this image was built for"
    )
