"""The checkpoint files of a training run: their names, which are the original's, and which of them an evaluation means.

steps=05000-val_loss=0.00012345.ckpt   parameters after one of `train.save_steps`
best.ckpt                              parameters with the lowest validation loss so far
last.ckpt                              the newest full state of training
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.errors import CheckpointError
from harness.settings import nearest

from .config import EvalConfig
from .results import best_checkpoint

TYPES = ("val_missing", "test_best", "last", "best")
"""What `checkpoint_type` may be, besides part of a file name."""
LAST, BEST = "last.ckpt", "best.ckpt"
STEPS = "steps="


def kept_at(step: int, loss: float) -> str:
    """The name of the file that keeps the parameters after a step with this validation loss."""
    return f"{STEPS}{step:05d}-val_loss={loss:0.8f}.ckpt"


def to_evaluate(settings: EvalConfig, folder: Path, results: Path, evaluated: Collection[str]) -> list[Path]:
    """The checkpoint files that `settings.checkpoint_type` selects.

    Args:
        folder: contains the checkpoints; a file selects itself.
        results: folder of the validation results.
        evaluated: names that already have results; they are left out unless `settings.update_results`.

    Raises:
        CheckpointError: when there is none, naming the ones that exist.
    """
    if folder.is_file():
        chosen = [folder]
    else:
        files = sorted(path.name for path in folder.glob("*.ckpt"))
        # step=*.ckpt are full states of training, and last.ckpt is the newest of them; in a folder with nothing else they will do.
        available = [name for name in files if not name.startswith("step=")] or files
        if not available:
            raise CheckpointError(
                f"{folder}: there are no checkpoints (*.ckpt). Check model_task, agent, train_demos and exp_folder; "
                "in a run on the queue use init_from=TASK"
            )
        chosen = [folder / name for name in selected(settings, available, results, folder)]
    return [path for path in chosen if settings.update_results or path.name not in evaluated]


def selected(settings: EvalConfig, available: list[str], results: Path, folder: Path) -> list[str]:
    """The names among `available` that `settings.checkpoint_type` selects."""
    kind = settings.checkpoint_type
    if kind == "val_missing":
        found = [name for name in available if STEPS in name]
    elif kind == "test_best":
        multi = settings.model_task.startswith("multi")
        best = best_checkpoint(results, settings.eval_task, settings.agent, multi) or LAST
        found = [best] if best in available else []
    elif kind in ("last", "best"):
        found = [name for name in available if name == {"last": LAST, "best": BEST}[kind]]
    else:
        found = [name for name in available if kind in name][:1]
    if not found:
        steps = [name.split(STEPS)[1].split("-")[0] for name in available if STEPS in name]
        hint = nearest(kind, [*TYPES, *steps, *available]) if kind not in TYPES else ""
        raise CheckpointError(
            f"checkpoint_type={kind}: no such checkpoint in {folder}{hint}; valid are {', '.join(TYPES)} "
            f"and part of a name among {', '.join(available)}"
        )
    return found
