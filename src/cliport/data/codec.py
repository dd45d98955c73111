"""Encoding an episode as the bytes of one file, and decoding it.

The file is a NumPy `.npz` that `numpy.load` reads without pickle:

color    (S, H, W, 3) uint8      the difference from the step before, modulo 256
height   (S, H, W) uint16        multiples of HEIGHT_UNIT, the difference from the step before, modulo 65536
mask     (S, H, W) int16         body numbers, the difference from the step before
poses    (S, 2, 7) float64       pick and place: x y z in meters, quaternion x y z w; NaN without an action
rewards  (S,) float64
text     (N,) uint8              JSON in UTF-8: version, task, seed, and the info of each step

Little changes from one step to the next, so most differences are 0 and compress to almost nothing. Heights are rounded to HEIGHT_UNIT;
everything else is preserved, except that JSON turns tuples and arrays into lists, and keys into text.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import EpisodeError
from ..sim.action import Action
from ..sim.observation import HeightMap
from .episode import Episode, Step

VERSION = 1
HEIGHT_UNIT = 1e-5
"""Meters: a hundredth of a millimeter, finer than the cameras' depth; uint16 then reaches 65 cm."""


def encode(episode: Episode) -> bytes:
    """The bytes of an episode's file.

    Raises:
        EpisodeError: for an episode without views, or an info that JSON cannot represent.
    """
    views = [step.view for step in episode.steps if step.view is not None]
    if len(views) != len(episode.steps) or not views:
        raise EpisodeError(f"the episode of seed {episode.seed} has steps without a view and cannot be stored")
    infos = [plain(dict(step.info)) for step in episode.steps]
    # Infos vary from task to task: JSON for them, arrays for what is large.
    text = json.dumps({"version": VERSION, "task": episode.task, "seed": episode.seed, "info": infos})
    content = io.BytesIO()
    np.savez_compressed(
        content,
        color=changes(np.stack([view.color for view in views]).astype(np.uint8)),
        height=changes(quantised(np.stack([view.height for view in views]))),
        mask=changes(np.stack([view.mask for view in views]).astype(np.int16)),
        poses=np.stack([poses_of(step.action) for step in episode.steps]),
        rewards=np.array([step.reward for step in episode.steps], np.float64),
        text=np.frombuffer(text.encode(), np.uint8),
    )
    return content.getvalue()


def decode(content: bytes, images: bool = True) -> Episode:
    """The episode in a file's bytes; without `images` its steps have no views, and decoding is much faster.

    Raises:
        EpisodeError: when the bytes are not a complete episode of this version.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            text = json.loads(arrays["text"].tobytes())
            if text["version"] != VERSION:
                raise EpisodeError(f"has version {text['version']}, but this code reads version {VERSION}")
            infos, rewards = text["info"], arrays["rewards"]
            actions = [action_of(poses) for poses in arrays["poses"]]
            views = views_of(arrays) if images else [None] * len(infos)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise EpisodeError(f"is not a complete episode: {error}") from error
    steps = zip(views, actions, rewards.tolist(), infos, strict=True)
    return Episode(text["task"], int(text["seed"]), tuple(Step(*step) for step in steps))


def views_of(arrays: Mapping[str, np.ndarray]) -> list[HeightMap]:
    color, mask = restored(arrays["color"]), restored(arrays["mask"]).astype(np.int32)
    height = (restored(arrays["height"]) * HEIGHT_UNIT).astype(np.float32)
    return [HeightMap(*view) for view in zip(color, height, mask, strict=True)]


def changes(frames: np.ndarray) -> np.ndarray:
    """The first frame, and then each frame's difference from the one before.

    Differences wrap around: unsigned integers need no extra bit, and `restored` wraps back exactly.
    """
    return np.concatenate([frames[:1], frames[1:] - frames[:-1]])


def restored(differences: np.ndarray) -> np.ndarray:
    """The inverse of `changes`."""
    return np.cumsum(differences, axis=0, dtype=differences.dtype)  # without dtype the sum would be int64 and not wrap


def quantised(height: np.ndarray) -> np.ndarray:
    """Meters to multiples of HEIGHT_UNIT in uint16; heights below the table become 0."""
    return np.rint(height / HEIGHT_UNIT).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)


def poses_of(action: Action | None) -> np.ndarray:
    """(2, 7): pick and place, each with position and quaternion."""
    if action is None:
        return np.full((2, 7), np.nan)  # a row for every step keeps the array rectangular
    return np.array([np.concatenate([np.asarray(part, float).ravel() for part in pose]) for pose in (action.pick, action.place)])


def action_of(poses: np.ndarray) -> Action | None:
    """The inverse of `poses_of`."""
    if np.isnan(poses).any():
        return None
    return Action(*((pose[:3], pose[3:]) for pose in poses))


def plain(value: Any) -> Any:
    """A value in JSON types.

    Raises:
        EpisodeError: naming a type that JSON does not have.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise EpisodeError(f"an info contains {type(value).__name__}, which cannot be stored: {value!r}")
