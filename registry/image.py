"""Images: an environment under a name. The code is not part of it; it comes with the run."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """The image of one docker folder."""

    name: str
    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "docker" / self.name

    @property
    def key(self) -> str:
        """Hash of what the environment is made from, the base named in its Dockerfile included: 12 hexadecimal digits."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]

    @property
    def repository(self) -> str:
        """The name without its tag: below IMAGE_REGISTRY (HOST/NAMESPACE) where that is set."""
        place = os.environ.get("IMAGE_REGISTRY", "").strip("/")
        return f"{place}/{self.name}" if place else self.name

    def reference(self, tag: str | None = None) -> str:
        """What a task's `--docker` names: `tag` may be a tag or a whole reference; by default it is the environment's hash."""
        if tag and re.search("[/:@]", tag):
            return tag
        return f"{self.repository}:{tag or f'env-{self.key}'}"

    @property
    def environment(self) -> Path:
        """Where a machine without Docker has the same packages."""
        return self.root / ".venvs" / self.name


def service_name(name: str) -> str:
    """A compose service's name: snake_case (PaddleDetection -> paddle_detection, DAB-DETR -> dab_detr)."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W+", "_", words).lower()
