"""Which checkpoints an evaluation means, by the original's words."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.errors import CheckpointError
from harness.settings import nearest

from .config import EvalConfig
from .results import best_checkpoint

TYPES = ("val_missing", "test_best", "last", "best")
LAST = "last.ckpt"


def to_evaluate(settings: EvalConfig, folder: Path, results: Path, evaluated: Collection[str]) -> list[Path]:
    """The checkpoint files that `settings.checkpoint_type` means.

    Args:
        folder: of the checkpoints, or one file, which then is what is meant.
        results: folder of the validation's results.
        evaluated: names that have results already; they are left out unless `settings.update_results`.

    Raises:
        CheckpointError: when there is none, naming what there is.
    """
    if folder.is_file():
        chosen = [folder]
    else:
        files = sorted(path.name for path in folder.glob("*.ckpt"))
        there = [
            name for name in files if not name.startswith("step=")
        ] or files  # those are the state of training, whose last is last.ckpt
        if not there:
            raise CheckpointError(
                f"{folder}: there are no checkpoints (*.ckpt); is model_task, agent, train_demos or exp_folder another one? "
                "In a run on the queue say init_from=TASK"
            )
        chosen = [folder / name for name in named(settings, there, results, folder)]
    return [path for path in chosen if settings.update_results or path.name not in evaluated]


def named(settings: EvalConfig, there: list[str], results: Path, folder: Path) -> list[str]:
    """The names among `there` that are meant."""
    kind = settings.checkpoint_type
    if kind == "val_missing":
        found = [name for name in there if "steps=" in name]
    elif kind == "test_best":
        multi = settings.model_task.startswith("multi")
        best = best_checkpoint(results, settings.eval_task, settings.agent, multi) or LAST
        found = [best] if best in there else []
    elif kind in ("last", "best"):
        found = [name for name in there if name == f"{kind}.ckpt"]
    else:
        found = [name for name in there if kind in name][:1]
    if not found:
        steps = [name.split("steps=")[1].split("-")[0] for name in there if "steps=" in name]
        hint = nearest(kind, [*TYPES, *steps, *there]) if kind not in TYPES else ""
        raise CheckpointError(
            f"checkpoint_type={kind}: no such checkpoint in {folder}{hint}; valid are {', '.join(TYPES)} "
            f"and a part of a name among {', '.join(there)}"
        )
    return found
