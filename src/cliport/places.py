"""Where data and experiments are by the original's layout."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """CLIPORT_ROOT, by default the working folder."""
    return Path(os.environ.get("CLIPORT_ROOT") or ".")


def data_folder(stated: str = "") -> Path:
    """The folder of all demonstrations: `<task>-<mode>` is in it."""
    return Path(stated) if stated else root() / "data"


def experiment(task: str, agent: str, n_demos: int, exp_folder: str, model_dir: str) -> Path:
    """The folder of one training run; `checkpoints/` is in it. workload.yaml says the same of `train`."""
    return Path(model_dir) / exp_folder / f"{task}-{agent}-n{n_demos}-train"
