"""An image that holds nothing: what its containers run is this machine's, mounted into them. No build, no download."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

IMAGE = "nothing:latest"
PROGRAMS = ("/usr", "/bin", "/lib", "/lib64", "/etc/alternatives", "/etc/ssl")  # not /sbin: the engine puts its own first process there


def make(folder: Path, environment: Mapping[str, str]) -> None:
    """Give the engine at DOCKER_HOST the image; `folder` is for its few files."""
    root = folder / "rootfs"
    for name in ("tmp", "var", "etc"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/home:/bin/bash\n")
    archive = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
    subprocess.run(["docker", "import", "-", IMAGE], input=archive, env=environment, check=True, capture_output=True)


def mounts(*folders: Path) -> list[str]:
    """Arguments of `docker run` that let containers see this machine's programs, and folders beside."""
    every = dict.fromkeys(map(str, [*PROGRAMS, sys.base_prefix, Path(sys.prefix).resolve(), *folders]))
    return [f"--volume={folder}:{folder}:ro" for folder in every if Path(folder).exists()]
