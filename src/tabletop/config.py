"""Settings of the commands, importable without PyBullet."""

from __future__ import annotations

from dataclasses import dataclass

from harness.params import setting


@dataclass
class RenderConfig:
    """Settings of `command=render`."""

    n: int = setting(600, "scenes to render, the held-out ones included", unit="scenes", ge=1, le=1_000_000)
    heldout: float = setting(1 / 6, "share of the scenes in the held-out part", ge=0, lt=1)
    image_size: int = setting(224, "side of the square images", unit="pixels", ge=16, le=2048)
    supersampling: int = setting(2, "rays per pixel along each axis, averaged", ge=1, le=4)
    min_objects: int = setting(2, "fewest objects in a scene", ge=1, le=8)
    max_objects: int = setting(4, "most objects in a scene", ge=1, le=8)
    captions: int = setting(4, "different captions per scene", ge=1, le=8)
    workers: int = setting(0, "processes; 0 is one per core. The result does not depend on it", ge=0, le=256)
    debug_images: int = setting(12, "scenes shown with their captions beside the run", ge=0, le=100)
