"""Checks of single settings beyond types and limits, importable without torch."""

from __future__ import annotations

import re


def problem_of_share(value: float) -> str | None:
    """What is wrong with a number of batches (an int) or a share of them (a float), as Lightning's Trainer takes it; or None."""
    if isinstance(value, float) and not 0 < value <= 1:
        return "must be a whole number of batches, or a share above 0.0 and up to 1.0 (which is all)"
    return "0 batches are none; 1.0 is all" if value == 0 else None


def problem_of_validated_share(value: float) -> str | None:
    """The same where 0 means none."""
    return None if value == 0 else problem_of_share(value)


def problem_of_randaugment(text: str) -> str | None:
    """What is wrong with timm's description of RandAugment, or None."""
    known = re.fullmatch(r"rand(-(m\d+|n\d+|p[01]?\.?\d+|mstd\d+(\.\d+)?|mmax\d+|inc[01]))*", text)
    return None if known or not text else (
        "must be timm's form, such as rand-m9-n2-mstd0.5: rand, then any of mN (magnitude), nN (operations an image), pX (probability), "
        "mstdX (spread of the magnitude), mmaxN, inc1, joined by -"
    )  # fmt: skip


def problem_of_jitter(factors: list[float]) -> str | None:
    """What is wrong with the factors of torchvision's ColorJitter, or None."""
    if len(factors) not in (0, 3, 4):
        return "must be three or four numbers: brightness, contrast, saturation, and hue"
    return "hue must be at most 0.5" if len(factors) == 4 and factors[3] > 0.5 else None
