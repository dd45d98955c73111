"""Recipes that select a subset of a dataset, for `registry dataset create --subset`.

A recipe copies what it selects from the given folder to the folder that is published.
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
        UsageError: there is no such recipe; the message lists the available ones.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no subset recipe {name!r}; available: {', '.join(sorted(RECIPES)) or 'none yet'}")
    return RECIPES[name]
