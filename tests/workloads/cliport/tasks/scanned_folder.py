"""A small folder of scanned objects in the layout that CLIPort publishes.

The layout is that of cliport/cliport at 2be5c47, cliport/tasks/packing_google_objects.py: google/meshes_fixed and google/textures below
assets_root, names with _ for spaces. The form of the files is that of hammer.obj and frypan.obj in vimalabs/VIMABench: `mtllib`, `v` in
meters, `vt`, `vn`, triangles `f v/vt/vn`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (0.2, 0.1, 0.06)  # meters: a hammer's size
OFF = (0.02, 0.0, 0.01)  # meters: from the centre of mass to the middle of the extents
QUARTERS = {"upper left": (255, 0, 0), "upper right": (0, 255, 0), "lower left": (0, 0, 255), "lower right": (255, 255, 0)}


def write(folder: Path, names: Iterable[str]) -> Path:
    """A folder with a box for each name; the image is on its top, its left side at -x and its lower side at -y."""
    meshes, textures = folder / "google" / "meshes_fixed", folder / "google" / "textures"
    for part in (meshes, textures):
        part.mkdir(parents=True, exist_ok=True)
    for name in names:
        stem = name.replace(" ", "_")
        (meshes / f"{stem}.obj").write_text(box())
        Image.fromarray(quarters()).save(textures / f"{stem}.png")
    return folder


def box() -> str:
    corners = [
        np.array(OFF) + np.array(SIZE) * (x, y, z) for z in (-0.5, 0.5) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    ]
    lines = ["# Vertices: 8", "mtllib model.mtl", *(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in corners)]
    lines += [f"vt {u} {v}" for u, v in ((0, 0), (1, 0), (1, 1), (0, 1))]
    lines += ["vn 0 0 1", "o box", "usemtl material_0", "f 5/1/1 6/2/1 7/3/1", "f 5/1/1 7/3/1 8/4/1", "f 4/1/1 3/1/1 2/1/1 1/1/1"]
    lines += [f"f {a}/1/1 {b}/1/1 {b + 4}/1/1 {a + 4}/1/1" for a, b in ((1, 2), (2, 3), (3, 4), (4, 1))]
    return "\n".join(lines) + "\n"


def quarters() -> np.ndarray:
    picture = np.zeros((64, 64, 3), np.uint8)
    for place, color in QUARTERS.items():
        rows = slice(0, 32) if "upper" in place else slice(32, 64)
        columns = slice(0, 32) if "left" in place else slice(32, 64)
        picture[rows, columns] = color
    return picture
