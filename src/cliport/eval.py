"""Evaluate an agent's checkpoints in the scenes of recorded demonstrations.

python -m cliport.eval eval_task=stack-block-pyramid agent=cliport mode=test n_demos=10 train_demos=100 checkpoint_type=test_best

Validate first (mode=val checkpoint_type=val_missing), then test what was best. Options (key=value):
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import ParameterError
from harness.settings import read_config

from .agents import AgentConfig, load
from .config import EvalConfig
from .evaluate import Agent, evaluate
from .options import main, terminal

SAID_BY_TRAINING = ("attn_stream_fusion_type", "trans_stream_fusion_type", "lang_fusion_type", "n_rotations", "batchnorm")


def loader(settings: EvalConfig, say: Callable[[str], Any]) -> Callable[[Path], Agent]:
    """What makes agents of checkpoint files, ours or the original's, on the GPU where there is one."""
    import torch

    from .agents.frozen import Weights

    stated = Weights(settings.model.clip_weights, settings.model.bert, settings.model.resnet_weights)
    weights = stated if stated != Weights("", "", "") else None
    device = torch.device("cuda", settings.gpu[0]) if torch.cuda.is_available() and settings.gpu else torch.device("cpu")
    return lambda path: load(path, original_config(settings, path), weights, say=say).to(device).eval()


def original_config(settings: EvalConfig, checkpoint: Path) -> AgentConfig:
    """The form of an agent in a checkpoint of the original: its name, and what the run's Hydra settings say.

    Raises:
        ParameterError: when the settings are no mapping, or `train_config` names no file.
    """
    file = Path(settings.train_config or checkpoint.parent.parent / ".hydra" / "config.yaml")
    if settings.train_config and not file.is_file():
        raise ParameterError([f"train_config={file}: there is no such file"])
    train = read_config(file).get("train") or {} if file.is_file() else {}
    return AgentConfig(agent=settings.agent, **{key: train[key] for key in SAID_BY_TRAINING if key in train})


def run(settings: EvalConfig) -> None:
    report = terminal()
    evaluate(settings, loader(settings, report.text), report)


if __name__ == "__main__":
    main(EvalConfig, run, __doc__)
