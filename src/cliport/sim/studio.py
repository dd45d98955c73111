"""The studio, where images are rendered: a second PyBullet client that contains only what is visible.

PyBullet's EGL plugin renders for one client per process. A studio shared by all environments of a process removes that limit, and keeps
the physics independent of the renderer. It holds the scene of one environment at a time and rebuilds it when another one renders.

OpenGL belongs to the thread that started it, so all environments of a process have to render in one thread.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import itertools
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path

import numpy as np
import pybullet
from PIL import Image

from .cameras import FRONT, Camera
from .poses import Pose
from .rendering import RENDERERS, load_egl, muted
from .shapes import Mesh

LIGHT = {
    "lightDirection": (0.6, 0.4, 1.6),
    "lightColor": (1, 1, 1),
    "lightAmbientCoeff": 0.6,
    "lightDiffuseCoeff": 0.45,
    "lightSpecularCoeff": 0.0,
    "shadow": 0,  # TinyRenderer's shadows leave bands on the table; EGL always draws soft ones
}

WARM_UP = 4  # images
TEXTURE = 512  # pixels

versions = itertools.count(1)


@dataclass(frozen=True)
class Look:
    """A mesh of one color or with a texture, attached to a link of a body."""

    body: int
    link: int
    """-1 is the body itself."""
    file: str
    color: tuple[float, float, float]
    scale: float = 1.0
    texture: Path | None = None


@dataclass
class Scene:
    """The visible part of an environment. The version changes if anything but an addition happens."""

    looks: list[Look] = field(default_factory=list)
    version: int = field(default_factory=lambda: next(versions))

    def replaced(self, looks: Sequence[Look]) -> None:
        self.looks, self.version = list(looks), next(versions)


class Studio:
    """A client that renders with "egl" or "tiny"."""

    def __init__(self, renderer: str) -> None:
        self.renderer = RENDERERS[renderer]
        self.client = pybullet.connect(pybullet.DIRECT)
        if renderer == "egl":
            load_egl(self.client)
            self.warm_up()
        self.version = 0
        self.bodies: list[int] = []
        self.textures: dict[Path, int] = {}
        self.poses: list[Pose | None] = []
        self.names = np.array([-1], np.int32)  # the environment's body number for each of the studio's; the last entry is for -1

    def warm_up(self) -> None:
        """Render a few images: EGL's first two lack shadows and print lines."""
        with muted():
            for _ in range(WARM_UP):
                pybullet.getCameraImage(16, 16, FRONT.view, FRONT.projection, renderer=self.renderer, physicsClientId=self.client)

    def arrange(self, scene: Scene, poses: Sequence[Pose]) -> None:
        """Move the scene's meshes to these poses."""
        if scene.version != self.version:
            self.clear()
            self.version, self.bodies, self.poses = scene.version, [], []
        for look in scene.looks[len(self.bodies) :]:
            self.bodies.append(self.built(look))
            self.poses.append(None)
        self.names = np.full(max(self.bodies, default=-1) + 2, -1, np.int32)
        self.names[self.bodies] = [look.body for look in scene.looks]
        for number, (body, place) in enumerate(zip(self.bodies, poses, strict=True)):
            known = self.poses[number]  # most bodies rest, and moving one costs more than comparing it
            if known is None or (known[0] != place[0]).any() or (known[1] != place[1]).any():
                pybullet.resetBasePositionAndOrientation(body, place[0].tolist(), place[1].tolist(), physicsClientId=self.client)
                self.poses[number] = place

    def clear(self) -> None:
        """Remove all bodies."""
        if not self.textures:
            with muted():
                pybullet.resetSimulation(physicsClientId=self.client)
        for body in self.bodies if self.textures else ():  # a reset would forget the textures, and EGL would keep their memory
            pybullet.removeBody(body, physicsClientId=self.client)

    def built(self, look: Look) -> int:
        seen = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            fileName=look.file,
            meshScale=[look.scale] * 3,
            rgbaColor=[*look.color, 1],
            specularColor=[0, 0, 0],
            physicsClientId=self.client,
        )
        body = int(pybullet.createMultiBody(0, -1, seen, physicsClientId=self.client))
        if look.texture:
            pybullet.changeVisualShape(body, -1, textureUniqueId=self.texture(look.texture), physicsClientId=self.client)
        return body

    def texture(self, file: Path) -> int:
        """The number of a texture, which is loaded once."""
        if file not in self.textures:
            self.textures[file] = pybullet.loadTexture(small_image(file), physicsClientId=self.client)
        return self.textures[file]

    def photograph(self, camera: Camera, masked: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Color uint8 (H, W, 3), depth float32 (H, W) in meters, and body numbers int32 (H, W), -1 for none."""
        rows, columns = camera.shape
        _, _, color, depth, bodies = pybullet.getCameraImage(
            columns,
            rows,
            camera.view,
            camera.projection,
            renderer=self.renderer,
            flags=0 if masked else pybullet.ER_NO_SEGMENTATION_MASK,
            physicsClientId=self.client,
            **LIGHT,
        )
        rgb = np.ascontiguousarray(np.reshape(color, (rows, columns, 4))[..., :3], np.uint8)
        names = self.names[np.reshape(bodies, (rows, columns))] if masked else np.full(camera.shape, -1, np.int32)
        return rgb, camera.depth(np.reshape(depth, (rows, columns))), names

    def close(self) -> None:
        with muted():
            pybullet.disconnect(physicsClientId=self.client)


def studio(renderer: str) -> Studio:
    """This process's studio; a forked child gets its own."""
    return opened(renderer, os.getpid())


@functools.cache
def opened(renderer: str, process: int) -> Studio:
    made = Studio(renderer)
    atexit.register(lambda: made.close() if os.getpid() == process else None)
    return made


def mesh_file(mesh: Mesh) -> str:
    """A Wavefront file of a mesh, the only format that every renderer reads; written once per process and deleted with it."""
    face = "{0}/{0}/{0}" if mesh.texture else "{0}//{0}"
    content = "".join(
        [
            *(f"v {x:.7g} {y:.7g} {z:.7g}\n" for x, y, z in mesh.vertices),
            *(f"vn {x:.5g} {y:.5g} {z:.5g}\n" for x, y, z in mesh.normals),
            *(f"vt {u:.6g} {v:.6g}\n" for u, v in (mesh.texture.places if mesh.texture else ())),
            *(f"f {face.format(a)} {face.format(b)} {face.format(c)}\n" for a, b, c in mesh.triangles + 1),
        ]
    )
    return written(content, ".obj")


def small_image(file: Path) -> str:
    """A PNG file of an image with at most TEXTURE pixels a side, written once per process and deleted with it.

    Renderers keep textures in memory as long as the process lives, and an object is a hundred pixels wide in a camera's image.
    """
    name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:24] + ".png"
    path = Path(scratch(os.getpid()).name) / name
    if not path.exists():
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((TEXTURE, TEXTURE))
        image.save(path)
    return str(path)


def written(content: str, suffix: str) -> str:
    """A file with this content in the process's scratch folder."""
    path = Path(scratch(os.getpid()).name) / (hashlib.sha256(content.encode()).hexdigest()[:24] + suffix)
    if not path.exists():
        path.write_text(content)
    return str(path)


@functools.cache
def scratch(process: int) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder that is removed when the process ends, even in multiprocessing's workers, which do not run `atexit`."""
    folder = tempfile.TemporaryDirectory(prefix="cliport-")
    Finalize(folder, folder.cleanup, exitpriority=1)
    return folder
