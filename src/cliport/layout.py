"""Names of folders and files in the original's layout.

<data_dir>/<task>-<mode>/                                             demonstrations
<model_dir>/<exp_folder>/<task>-<agent>-n<demos>-train/checkpoints/   one training run
"""

from __future__ import annotations

import os
import re
from pathlib import Path

CHECKPOINTS = "checkpoints"
"""Folder of a training run's checkpoints."""


def root() -> Path:
    """$CLIPORT_ROOT, by default the working directory."""
    return Path(os.environ.get("CLIPORT_ROOT") or ".")


def data_folder(stated: str = "") -> Path:
    """The folder that contains all demonstrations."""
    return Path(stated) if stated else root() / "data"


def demonstrations(data_dir: Path, task: str, mode: str) -> Path:
    """The folder of one task's demonstrations of one mode."""
    return data_dir / f"{task}-{mode}"


def experiment(folder: Path, task: str, agent: str, n_demos: int | str) -> Path:
    """The folder of one training run. workload.yaml has the same name under `here`, for `train` and `finetune`."""
    return folder / f"{task}-{agent}-n{n_demos}-train"


def experiments(folder: Path, task: str, agent: str) -> dict[int, Path]:
    """All training runs of an agent on a task in `folder`, by their number of demonstrations."""
    head, tail = experiment(folder, task, agent, "@").name.split("@")
    pattern = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    return {int(match[1]): path for path in folder.glob(f"*{tail}") if (match := pattern.fullmatch(path.name))}
