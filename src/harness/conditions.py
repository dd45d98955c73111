"""Under which other setting a setting has an effect: the text `when` of a field, the other's name alone (it must be set) or with values.

    fps: int = setting(20, "frames of a second", when="save_video")
    image_column: str = setting("filepath", "column of the image files", when="format=table,auto")

The other setting is one of the same group, or is named in full.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any


def in_full(when: str, key: str, keys: Container[str]) -> str:
    """A condition of the setting `key` with the full name of the setting that it is about."""
    group, dot, _ = key.rpartition(".")
    beside = f"{group}{dot}{when}"
    return beside if subject_of(beside) in keys else when


def subject_of(when: str) -> str:
    """The setting that a condition is about."""
    return when.partition("=")[0]


def holds(when: str, settings: Mapping[str, Any]) -> bool:
    """Whether a condition, in full, holds under a run's settings. One without text always does."""
    if not when:
        return True
    key, sign, allowed = when.partition("=")
    return str(settings[key]) in allowed.split(",") if sign else bool(settings[key])
