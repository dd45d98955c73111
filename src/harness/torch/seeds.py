"""Random numbers as a function of the place in a run, so that a resumed run draws the same ones as an uninterrupted run."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int, *place: int) -> None:
    """Seed Python's, NumPy's and torch's global generators from `seed` and a place in the run, such as (step, rank)."""
    state = np.random.SeedSequence([seed, *place]).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.manual_seed(int(state[2]))
