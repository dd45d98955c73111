"""Images: an environment under a name. The code is not part of it; it comes with the run."""

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
    """The image that it stands on; by default BASE_IMAGE, else the one that its Dockerfile names."""
    place: str | None = None
    """HOST/NAMESPACE of the image registry it is kept at; by default IMAGE_REGISTRY; empty for this machine's engine alone."""

    @property
    def dockerfile(self) -> Path:
        return self.root / "docker" / self.name / "Dockerfile"

    @property
    def environment(self) -> str:
        """The tag that stands for what the image is made from."""
        return environment(self.root, self.name, self.base_name)

    @property
    def base_name(self) -> str:
        return self.base or os.environ.get("BASE_IMAGE") or default_base(self.root, self.name)

    @property
    def has_other_base(self) -> bool:
        """Whether it stands on something else than its Dockerfile says."""
        return bool(self.base or os.environ.get("BASE_IMAGE"))

    @property
    def repository(self) -> str:
        """The name without its tag."""
        place = os.environ.get("IMAGE_REGISTRY", "") if self.place is None else self.place
        return f"{place.strip('/')}/{self.name}".lstrip("/").lower()

    @property
    def is_kept_remotely(self) -> bool:
        return "/" in self.repository

    def reference(self, tag: str | None = None) -> str:
        """What a task's `--docker` names: `tag` may be a tag or a whole reference; by default it is the environment's."""
        if tag and re.search("[/:@]", tag):
            return tag
        return f"{self.repository}:{tag or self.environment}"

    @property
    def layer(self) -> Layer:
        """What is installed on its base."""
        return layer_named(self.name, self.root)

    @property
    def bare_environment(self) -> Path:
        """Where a machine without Docker has the same packages."""
        return self.root / ".venvs" / self.name


def images_named(root: Path, names: tuple[str, ...], every: bool, base: str | None, place: str | None) -> list[Image]:
    """The images that a command line names.

    Raises:
        UsageError: for names that no folder has, no name at all, or a place that no image can be kept at.
    """
    from harness.settings import nearest  # the grammar's parser is slow to import

    known = image_names(root)
    problems = [f"there is no image {name!r}{nearest(name, known)}; there are: {', '.join(known)}" for name in names if name not in known]
    if not names and not every:
        problems.append(f"name an image, or --all; there are: {', '.join(known)}")
    if names and every:
        problems.append("name images or take --all, not both")
    place = os.environ.get("IMAGE_REGISTRY", "") if place is None else place
    if place and not re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:]+\])(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?", place):
        problems.append(
            f"--registry {place!r} (IMAGE_REGISTRY): must be HOST or HOST/NAMESPACE, without https://, the namespace in lower case"
        )
    if problems:
        raise UsageError(*problems)
    return [Image(name, root, base, place) for name in (known if every else names)]


def service_name(name: str) -> str:
    """A compose service's name: snake_case (PaddleDetection -> paddle_detection, DAB-DETR -> dab_detr)."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+", "_", words).lower()
