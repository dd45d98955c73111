"""A local run, started by hand without an agent: the default paths that its workload declares, and whether its inputs exist.

A command's `here` in workload.yaml gives default values for keys that are not given, each a path below the workload's `home`: the folder
named by an environment variable, or else the working folder. Its `folder` entry derives the name of the run's own folder below output_dir
from settings, so that typing the same command line again continues the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .checkpoint import ANEW, CHECKPOINTS, Checkpoints
from .failure import forget_failures
from .s3 import SCHEME
from .workload import FOLDER, Command, Declaration

IN_PATTERN = re.compile(r"\{([\w.]+)\}")


def home(declaration: Declaration, environment: Mapping[str, str]) -> Path:
    """The folder that the declared paths are relative to."""
    return Path((declaration.home and environment.get(declaration.home)) or ".").absolute()


def places(command: Command, home: Path) -> dict[str, str]:
    """The default values of keys in a local run."""
    return {key: str(home / place) for key, place in command.here.items() if key != FOLDER}


def names_in(command: Command) -> list[str]:
    """The settings that the name of a command's folder is made of."""
    return IN_PATTERN.findall(command.here.get(FOLDER, ""))


def folder_of(command: Command, output_dir: str, settings: Mapping[str, Any], home: Path) -> Path | None:
    """The folder that a local run shares with equal ones; None if every run has its own."""
    pattern = command.here.get(FOLDER)
    return home / output_dir / IN_PATTERN.sub(lambda match: str(settings[match[1]]), pattern) if pattern else None


def last_checkpoint(folder: Path, resume: str | None) -> Path | None:
    """Prepare a folder that equal runs share, and return the checkpoint from which the run continues by default."""
    forget_failures(folder)
    found = None if resume else Checkpoints(folder / CHECKPOINTS).latest()
    if found:
        print(f"continuing from {found}; to start over, add resume={ANEW}", flush=True)
    return found


def problems_of_inputs(reserved: Mapping[str, Any], datasets: Mapping[str, str], *, has_server: bool) -> Iterator[str]:
    """Inputs that do not exist. `datasets` maps the key of each data folder to that of the dataset it can replace."""
    for path, key in datasets.items():
        if reserved.get(path) and not reserved.get(key) and not Path(reserved[path]).exists():
            yield f"{path}={reserved[path]}: there is no such folder"
    for key in ("resume", "init_from"):
        named = str(reserved[key] or "")
        a_path = named and named != ANEW and not named.startswith((SCHEME, "task:")) and ("/" in named or not has_server)
        if a_path and not Path(named).exists():
            yield f"{key}={named} does not exist; name a checkpoint file, a run's folder or a task ID"
