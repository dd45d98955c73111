"""The camera: its pose, and rendering what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pybullet
from PIL import Image, ImageFilter

from .clutter import Pattern

FIELD_OF_VIEW = 38.0  # degrees
TARGET = (0.0, 0.0, 0.02)  # meters
SHADOW_SIZE = 128  # pixels of the lamp's view; few, because shadows are soft anyway
USUAL = ((-12, 42, 0.74), (12, 54, 0.82))  # bounds of yaw and pitch in degrees, and of distance in meters
VARIED = ((-35, 32, 0.58), (35, 66, 0.98))
LAMP_ANGLE = 24.0  # degrees: field of view of the lamp that covers the objects of a square image


@dataclass(frozen=True)
class Photograph:
    """An image and its instance mask."""

    image: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) uint8: the number of the object at each pixel, 0 for the table


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at the table's center, and the lamp. Angles are in degrees, lengths in meters."""

    yaw: float
    pitch: float
    distance: float
    lamp: tuple[float, float, float]
    table: tuple[float, float, float]
    """Color of the table top, RGB in [0, 1]."""
    size: int
    """Height of the image in pixels."""
    supersampling: int
    aspect: float = 1.0
    """Width of the image divided by its height."""
    pattern: Pattern | None = None

    @classmethod
    def draw(
        cls, rng: np.random.Generator, size: int, supersampling: int, aspect: float = 1.0, varied: bool = False, patterned: bool = False
    ) -> Camera:
        """A random camera: near the usual pose, so that left stays left, or if `varied`, anywhere in front of the table."""
        yaw, pitch, distance = rng.uniform(*(VARIED if varied else USUAL))
        lamp = rng.uniform([-0.9, -0.7, 1.5], [0.9, 0.3, 1.9])
        table = np.array(TABLES[rng.integers(len(TABLES))]) + rng.uniform(-0.04, 0.04, 3)
        place = (float(yaw), -float(pitch), float(distance), tuple(lamp.tolist()), tuple(table.tolist()))
        return cls(*place, size, supersampling, aspect, Pattern.draw(rng, table.tolist()) if patterned else None)

    @property
    def width(self) -> int:
        return round(self.size * self.aspect)

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors on the table (x, y): to the right of the viewer, and away from the viewer."""
        turn = np.radians(self.yaw)
        return np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])

    @property
    def view(self) -> list[float]:
        """The view matrix (world to camera) in OpenGL's column-major order."""
        return list(pybullet.computeViewMatrixFromYawPitchRoll(TARGET, self.distance, self.yaw, self.pitch, 0, 2))

    @property
    def projection(self) -> list[float]:
        return list(pybullet.computeProjectionMatrixFOV(FIELD_OF_VIEW, self.width / self.size, 0.1, 4.0))

    def column(self, position: Sequence[float]) -> float:
        """Where a point in meters appears in the image: -1 at its left edge, 1 at its right one."""
        x, _, _, w = np.reshape(self.projection, (4, 4)).T @ np.reshape(self.view, (4, 4)).T @ [*position, 1]
        return float(x / w)

    def photograph(self, client: int, numbers: Mapping[int, int]) -> Photograph:
        """Render the bodies with PyBullet's software renderer, and the table top, an infinite plane, analytically.

        Args:
            client: PyBullet's client.
            numbers: each body's value in the mask, 0 if it belongs to no class. A body that is not named is invisible.
        """
        fine = (self.width * self.supersampling, self.size * self.supersampling)
        colour, bodies = render(client, self.view, self.projection, fine, self.lamp)
        label = np.zeros(bodies.shape, np.uint8)
        for body, number in numbers.items():
            label[bodies == body] = number
        # Antialiasing: each pixel mixes the objects and the table by how many of its fine pixels each covers.
        shown = np.isin(bodies, list(numbers))[..., None].astype(np.uint16)
        covered = block_sum(shown, self.supersampling) / self.supersampling**2
        things = block_sum(colour * shown, self.supersampling) / self.supersampling**2
        image = things + (1 - covered) * self.table_top(client) * 255
        return Photograph(np.rint(image.clip(0, 255)).astype(np.uint8), majority(label, self.supersampling, max(numbers.values())))

    def table_top(self, client: int) -> np.ndarray:
        """The colors (H, W, 3) of the empty table, with the lamp's falloff and the objects' shadows.

        A shadow is the lamp's own view of the objects, blurred. A homography maps a plane from one view to another, so it carries the
        shadow from the lamp's view to the camera's.
        """
        lamp_view = pybullet.computeViewMatrix(self.lamp, TARGET, (0, 1, 0))
        spread = max(1.0, self.aspect)
        side = round(SHADOW_SIZE * spread)
        lamp_projection = pybullet.computeProjectionMatrixFOV(LAMP_ANGLE * spread, 1.0, 0.1, 4.0)
        _, bodies = render(client, lamp_view, lamp_projection, (side, side), self.lamp)
        shadow = Image.fromarray(np.where(bodies >= 0, 255, 0).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.2))
        columns, rows = ((np.arange(length) + 0.5) / length * 2 - 1 for length in (self.width, self.size))
        pixels = np.stack(np.broadcast_arrays(columns, -rows[:, None], 1.0), axis=-1)  # normalised device coordinates
        ground = pixels @ np.linalg.inv(plane_to_view(self.view, self.projection)).T
        # Pixel of the camera -> point of the table -> pixel of the lamp.
        seen = ground @ plane_to_view(lamp_view, lamp_projection).T
        where = (seen[..., :2] / seen[..., 2:] * [1, -1] + 1) * side / 2
        x, y = np.clip(where.astype(int), 0, side - 1).transpose(2, 0, 1)
        light = 1 - 0.45 * np.asarray(shadow)[y, x] / 255
        points = ground[..., :2] / ground[..., 2:]
        light *= 1.12 / (1 + 0.9 * ((points - np.array(self.lamp[:2]) * 0.3) ** 2).sum(-1))
        if self.pattern is None:
            return np.asarray(light[..., None] * np.array(self.table))
        second = self.pattern.share(points)[..., None]
        return np.asarray(light[..., None] * ((1 - second) * np.array(self.table) + second * np.array(self.pattern.colour)))


TABLES = ((0.8, 0.68, 0.53), (0.66, 0.6, 0.57), (0.5, 0.53, 0.57), (0.33, 0.35, 0.4), (0.78, 0.78, 0.74))


def render(
    client: int, view: list[float], projection: list[float], size: tuple[int, int], lamp: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Colors (H, W, 3) uint8 and body numbers (H, W), -1 for none, of an image of `size` (W, H)."""
    width, height = size
    _, _, rgba, _, bodies = pybullet.getCameraImage(
        width,
        height,
        view,
        projection,
        lightDirection=lamp,
        lightColor=(1, 1, 1),
        lightAmbientCoeff=0.5,
        lightDiffuseCoeff=0.55,
        lightSpecularCoeff=0.2,
        shadow=0,  # the renderer's own shadows leave bands across the table
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )
    return np.asarray(rgba, np.uint8).reshape(height, width, 4)[..., :3], np.asarray(bodies).reshape(height, width)


def plane_to_view(view: list[float], projection: list[float]) -> np.ndarray:
    """The homography from points (x, y, 1) of the table's plane z = 0 to clip coordinates (x, y, w)."""
    matrix = np.reshape(projection, (4, 4)).T @ np.reshape(view, (4, 4)).T
    return np.asarray(matrix[np.ix_([0, 1, 3], [0, 1, 3])])


def block_sum(image: np.ndarray, block: int) -> np.ndarray:
    """Sums over square blocks of the first two axes."""
    rows = reduce(np.add, [image[start::block] for start in range(block)])
    return np.asarray(reduce(np.add, [rows[:, start::block] for start in range(block)]))


def majority(label: np.ndarray, block: int, largest: int) -> np.ndarray:
    """The most frequent label of each square block; if tied, the highest, so that an object wins over the table."""
    votes = np.stack([block_sum((label == number).astype(np.uint8), block) for number in range(largest, -1, -1)])
    return np.asarray(largest - votes.argmax(0), np.uint8)
