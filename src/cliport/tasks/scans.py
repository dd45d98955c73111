"""The original's scanned objects: a folder as CLIPort publishes it, with meshes whose centre of mass is corrected, and textures.

<folder>/google/meshes_fixed/<name with _ for spaces>.obj and <folder>/google/textures/<name with _ for spaces>.png

Meshes are in meters, as large as the objects are in life, with their centre of mass at the origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from PIL import Image

from cliport.sim.shapes import Shape, textured

from ..errors import AssetError

MASS, FRICTION = 0.1, 1.0  # kilograms; as the original's template says


def scanned(name: str, folder: Path) -> Shape:
    """The object called `name`, as large as in life.

    Raises:
        AssetError: when its mesh cannot be read.
    """
    return read(name, *files(name, folder))


@lru_cache(maxsize=64)
def read(name: str, mesh: Path, texture: Path) -> Shape:
    return textured(name, mesh, texture, MASS, FRICTION)


def files(name: str, folder: Path) -> tuple[Path, Path]:
    """The mesh and the texture of an object."""
    stem = name.replace(" ", "_")
    return folder / "google" / "meshes_fixed" / f"{stem}.obj", folder / "google" / "textures" / f"{stem}.png"


def check(folder: Path, names: Iterable[str]) -> None:
    """Make sure that a folder has all of these objects, and that they can be read.

    Raises:
        AssetError: with everything that is missing or damaged.
    """
    wanted = list(names)
    problems = [problem for name in wanted for problem in problems_of(name, folder)]
    if wanted and not (folder / "google").is_dir():
        problems = [f"{folder / 'google'}: no such folder"]
    if problems:
        form = "google/meshes_fixed/<name>.obj and google/textures/<name>.png, with _ for spaces, for each object"
        raise AssetError(f"assets={folder}: it must have {form}:\n  " + "\n  ".join(problems))


def problems_of(name: str, folder: Path) -> Iterator[str]:
    """What is wrong with an object's files."""
    mesh, texture = files(name, folder)
    try:
        read(name, mesh, texture)
    except AssetError as error:
        yield str(error) if mesh.is_file() else f"{mesh}: no such file"
    try:
        with Image.open(texture) as opened:
            opened.verify()
    except FileNotFoundError:
        yield f"{texture}: no such file"
    except (OSError, SyntaxError, ValueError) as error:
        yield f"{texture} is not an image: {error}"
