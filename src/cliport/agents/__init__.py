"""Agents that decide from a height map and an instruction where to pick and where to place.

`names()` lists the original's names; `build` makes an agent, `load` reads one from a checkpoint, ours or the original's. Importing
the package does not import PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .catalog import FUSIONS, STREAM_FUSIONS, design, names
from .config import SIZES, AgentConfig

if TYPE_CHECKING:
    from .agent import Agent
    from .frozen import Weights

__all__ = ["FUSIONS", "SIZES", "STREAM_FUSIONS", "AgentConfig", "build", "design", "load", "names"]


def build(config: AgentConfig, weights: Weights | None = None, *, seed: int = 0, say: Callable[[str], object] = print) -> Agent:
    """An agent with random weights around its frozen trunk.

    Args:
        config: its form.
        weights: origin of the trunk's weights; None tries open_clip's `openai`.
        seed: for the agent's own weights.
        say: receives a line that says which weights the trunk has.

    Raises:
        ParameterError: for an unknown name or weights that do not exist.
    """
    from .agent import make

    return make(config, weights, seed, say)


def load(path: Path, config: AgentConfig | None = None, weights: Weights | None = None, *, say: Callable[[str], object] = print) -> Agent:
    """The agent stored in a checkpoint.

    Args:
        path: written by `cliport.train`, or published by the original; then the agent has the original's geometry and the frozen encoders
            of the file.
        config: the agent's form, which the original's checkpoints do not state; ours do.
        weights: origin of the trunk's weights, if they have moved since the training; for DistilBERT of the original, its vocabulary.
        say: receives lines about random weights and unmatched keys.

    Raises:
        CheckpointError: for a file that contains no agent, saying what it contains.
    """
    from .checkpoint import load_agent

    return load_agent(path, config, weights, say)
