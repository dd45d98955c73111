"""A Lightning trainer for a rank: devices and ranks as the launcher set them, and results reported through the harness only."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, Strategy

from harness.world import local_world_size, world_size

from .config import PRECISIONS
from .saving import save


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint directly to its file, where Lightning's own first holds all of it in memory.

    The caller makes the file appear whole (`harness.checkpoint`).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))


def make_trainer(
    *, epochs: int, validate_every: int, precision: str, deterministic: bool, output: Path, callbacks: Sequence[Callback], **options: Any
) -> lightning.Trainer:
    """A trainer on this rank's GPU, or on the CPU if there is none.

    Args:
        epochs: passes over the data.
        validate_every: epochs between two validations.
        precision: a key of config.PRECISIONS; bf16 and fp16 are mixed precision.
        deterministic: use only algorithms that give the same bits each time; slower on a GPU.
        output: the run's folder.
        callbacks: in the order in which they are called.
        options: further ones of Lightning's Trainer.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*dataloader is not resumable.*")  # ours continues at the current step by itself
    warnings.filterwarnings("ignore", ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    torch.set_float32_matmul_precision("high")
    gpu = torch.cuda.is_available()
    local = local_world_size()
    strategy: str | Strategy = "auto"
    if world_size() > 1:
        strategy = DDPStrategy(process_group_backend="nccl" if gpu else "gloo", gradient_as_bucket_view=True)
    return lightning.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=local,
        num_nodes=world_size() // local,
        strategy=strategy,
        precision=PRECISIONS[precision],
        deterministic=deterministic,
        max_epochs=epochs,
        check_val_every_n_epoch=validate_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=output,
        plugins=[DirectCheckpointIO()],
        callbacks=list(callbacks),
        **options,
    )
