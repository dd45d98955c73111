"""Recipes that cut a small set out of a large one, for `registry dataset create --subset`.

A recipe copies what it keeps from the folder that was given to the folder that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import UsageError

Recipe = Callable[[Path, Path], None]

RECIPES: Mapping[str, Recipe] = {}


def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UsageError: there is none; names those there are.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no subset recipe {name!r}; there are: {', '.join(sorted(RECIPES)) or 'none yet'}")
    return RECIPES[name]
