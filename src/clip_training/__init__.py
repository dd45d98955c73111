"""Contrastive language-image pre-training (Radford et al. 2021) of any open_clip model on image-text pairs."""

import harness.torch  # noqa: F401  before torch
