"""Agents that look at a height map and an instruction, and say where to pick and where to place.

`names()` are the original's; `build` makes one, `load` reads one from a checkpoint, ours or the original's. Importing the
package does not import PyTorch.
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
        weights: where the trunk's weights are; None tries open_clip's `openai`.
        seed: of its own weights.
        say: is told which weights the trunk has, in words.

    Raises:
        ParameterError: for an unknown name or weights that there are not.
    """
    from .agent import make

    return make(config, weights, seed, say)


def load(path: Path, config: AgentConfig | None = None, weights: Weights | None = None, *, say: Callable[[str], object] = print) -> Agent:
    """The agent in a checkpoint.

    Args:
        path: written by `cliport.train`, or published by the original.
        config: what the original's checkpoints do not say of themselves; ours say all.
        weights: where the trunk's weights are, when they are no longer where they were.
        say: is told of stand-ins and unmatched keys.

    Raises:
        CheckpointError: for a file that is not an agent's, saying what it holds.
    """
    from .checkpoint import load_agent

    return load_agent(path, config, weights, say)
