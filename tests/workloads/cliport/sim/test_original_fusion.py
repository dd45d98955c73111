"""Height maps as the original makes them: by its own numbers for a scene that a rule draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from original_scene import observation

from cliport.sim.cameras import CAMERAS
from cliport.sim.fusion import fuse
from cliport.sim.observation import HeightMap

STORED = np.load(Path(__file__).parents[1] / "fixtures" / "geometry.npz")
NUMBERS = {key.partition("/")[2]: STORED[key] for key in STORED if key.startswith("fusion/")}
STEP = 4
"""Of every map, the fixtures have one row and one column in so many."""


def differing(view: HeightMap, heights: np.ndarray, colours: np.ndarray) -> tuple[float, float]:
    """Shares of the cells with another height (by 0.1 mm) and with another colour than the original's."""
    height, colour = view.height[::STEP, ::STEP], view.color[::STEP, ::STEP]
    return float((np.abs(height - heights) > 1e-4).mean()), float((colour != colours).any(-1).mean())


def seen_by(views: list[int], geometry: str) -> HeightMap:
    chosen = observation(NUMBERS["rotations"][views], NUMBERS["positions"][views])
    return fuse(chosen, [CAMERAS[view] for view in views], geometry)


CASES = [
    ([0], NUMBERS["view_heights"][0], NUMBERS["view_colours"][0]),
    ([1], NUMBERS["view_heights"][1], NUMBERS["view_colours"][1]),
    ([2], NUMBERS["view_heights"][2], NUMBERS["view_colours"][2]),
    ([1, 2], NUMBERS["fused_height_views_1_2"], NUMBERS["fused_colour_views_1_2"]),
    ([0, 1, 2], NUMBERS["fused_height"], NUMBERS["fused_colour"]),
]


@pytest.mark.parametrize(("views", "heights", "colours"), CASES, ids=lambda value: str(value) if isinstance(value, list) else "")
def test_the_map_is_the_originals(views: list[int], heights: np.ndarray, colours: np.ndarray) -> None:
    """But for points on a cell's border and for equally high ones, which it sorts in no stated order: 2 % of the colours at most."""
    height, colour = differing(seen_by(views, "original"), heights, colours)
    assert height < 0.005
    assert colour < 0.025


def test_the_benchmark_compares_with_the_originals_map() -> None:
    """`original.fusion` says the original's way anew; here it gives its numbers."""
    from benchmarks.cliport.original import fusion

    whole = observation(NUMBERS["rotations"], NUMBERS["positions"])
    height, color = fusion.fuse(CAMERAS, whole.color, whole.depth)
    shares = differing(HeightMap(color, height, np.empty(0)), NUMBERS["fused_height"], NUMBERS["fused_colour"])
    assert shares[0] == 0
    assert shares[1] < 0.025


def test_the_exact_map_is_another_one() -> None:
    """By half a pixel of the cameras and half a cell."""
    height, colour = differing(seen_by([0, 1, 2], "exact"), NUMBERS["fused_height"], NUMBERS["fused_colour"])
    assert height > 0.5
    assert colour > 0.2


def test_the_cameras_are_the_originals() -> None:
    for camera, rotation, position in zip(CAMERAS, NUMBERS["rotations"], NUMBERS["positions"], strict=True):
        assert np.allclose(camera.rotation, rotation, atol=1e-12)
        assert np.allclose(camera.position, position)
        assert [[camera.focal, 0, 320], [0, camera.focal, 240], [0, 0, 1]] == NUMBERS["intrinsics"].tolist()


def test_what_lies_below_the_table_is_left_out_and_black_is_not_counted() -> None:
    """The original takes black for unseen; exactly, what is up to 5 mm below the table is the table."""
    shape, depth = CAMERAS[0].shape, np.full(CAMERAS[0].shape, 9.0, np.float32)
    down = CAMERAS[0].rays_through(0.0)[2].reshape(shape)
    depth[200:280, 280:360] = (-0.002 - 0.75) / down[200:280, 280:360]
    from cliport.sim.observation import Observation

    grey = Observation((np.full((*shape, 3), 100, np.uint8),), (depth,))
    assert (fuse(grey, CAMERAS[:1]).color == 100).any()
    assert not fuse(grey, CAMERAS[:1], "original").color.any()
