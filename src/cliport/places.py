"""Where data and experiments are, by the original's layout, for who names no folder."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """CLIPORT_ROOT, by default the working folder."""
    return Path(os.environ.get("CLIPORT_ROOT") or ".")


def data_folder(stated: str = "") -> Path:
    """The folder of all demonstrations: `<task>-<mode>` is in it."""
    return Path(stated) if stated else root() / "data"


def experiment(task: str, agent: str, n_demos: int, exp_folder: str = "exps", model_dir: str = "") -> Path:
    """The folder of one training run; `checkpoints/` is in it."""
    return Path(model_dir or root()) / exp_folder / f"{task}-{agent}-n{n_demos}-train"
