"""Evaluate an agent's checkpoints in the scenes of recorded demonstrations.

python -m cliport.eval eval_task=stack-block-pyramid agent=cliport mode=test n_demos=10 train_demos=100 checkpoint_type=test_best

Validate first (mode=val checkpoint_type=val_missing), then test what was best. Options (key=value):
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .config import EvalConfig
from .evaluate import Agent, evaluate
from .options import main, terminal


def loader(settings: EvalConfig, say: Callable[[str], object]) -> Callable[[Path], Agent]:
    """What makes agents of checkpoint files."""
    from . import agents

    return lambda path: agents.load(path, say=say)


def run(settings: EvalConfig) -> None:
    report = terminal()
    evaluate(settings, loader(settings, report.text), report)


if __name__ == "__main__":
    main(EvalConfig, run, __doc__)
