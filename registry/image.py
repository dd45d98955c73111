"""Images: each is an environment under a name. The code is not part of it; it comes with the run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.image import default_base, environment

from .environment import Layer, image_names, layer_named
from .errors import UsageError

STRANGERS_HOME = "/tmp"
"""The home of a user whom an image does not know: every image has it, everybody may write there, and it goes with the container."""


@dataclass(frozen=True)
class Image:
    """The image of one docker folder."""

    name: str
    root: Path
    base: str | None = None
    """Its base image; by default BASE_IMAGE, or else the one that its Dockerfile names."""
    registry: str | None = None
    """HOST/NAMESPACE in the image registry that stores it; by default IMAGE_REGISTRY; empty for this machine's engine only."""

    @property
    def dockerfile(self) -> Path:
        return self.root / "docker" / self.name / "Dockerfile"

    @property
    def environment(self) -> str:
        """The tag, `env-..`, that is a hash of what the image is made from."""
        return environment(self.root, self.name, self.base_name)

    @property
    def base_name(self) -> str:
        return self.base or os.environ.get("BASE_IMAGE") or default_base(self.root, self.name)

    @property
    def has_other_base(self) -> bool:
        """Whether its base is not the one that its Dockerfile names."""
        return bool(self.base or os.environ.get("BASE_IMAGE"))

    @property
    def repository(self) -> str:
        """The name without its tag."""
        registry = os.environ.get("IMAGE_REGISTRY", "") if self.registry is None else self.registry
        return f"{registry.strip('/')}/{self.name}".lstrip("/").lower()

    @property
    def is_kept_remotely(self) -> bool:
        return "/" in self.repository

    def reference(self, tag: str | None = None) -> str:
        """The image name for a task's `--docker`. `tag` is a tag or a complete image name; by default, the environment's tag."""
        if tag and re.search("[/:@]", tag):
            return tag
        return f"{self.repository}:{tag or self.environment}"

    @property
    def layer(self) -> Layer:
        """The packages that are installed on its base."""
        return layer_named(self.name, self.root)

    @property
    def bare_environment(self) -> Path:
        """The folder in which a machine without Docker has the same packages."""
        return self.root / ".venvs" / self.name


def images_named(root: Path, names: tuple[str, ...], every: bool, base: str | None, registry: str | None) -> list[Image]:
    """The images that a command line names.

    Raises:
        UsageError: a name is unknown, no image is named, or the image registry's address is malformed.
    """
    from harness.settings import nearest  # the grammar's parser is slow to import

    known = image_names(root)
    problems = [f"there is no image {name!r}{nearest(name, known)}; available: {', '.join(known)}" for name in names if name not in known]
    if not names and not every:
        problems.append(f"name an image, or add --all; available: {', '.join(known)}")
    if names and every:
        problems.append("image names cannot be combined with --all")
    registry = os.environ.get("IMAGE_REGISTRY", "") if registry is None else registry
    if registry and not re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:]+\])(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?", registry):
        problems.append(
            f"--registry {registry!r} (IMAGE_REGISTRY): must be HOST or HOST/NAMESPACE, without https://, with the namespace in lower case"
        )
    if problems:
        raise UsageError(*problems)
    return [Image(name, root, base, registry) for name in (known if every else names)]


def service_name(name: str) -> str:
    """A compose service's name: snake_case (PaddleDetection -> paddle_detection, DAB-DETR -> dab_detr)."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+", "_", words).lower()
