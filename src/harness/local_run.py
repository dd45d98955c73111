"""A run by hand, which no agent starts: the places that its workload declares for it, and whether what it names is there.

A command's `here` in workload.yaml gives keys that hold where nothing else is said, each a path in the workload's `home`: the folder
that an environment variable names, else the working folder. Its `folder` names the run's own folder below output_dir by settings, so
that the same line, typed again, goes on there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoints
from .s3 import SCHEME
from .workload import FOLDER, Command, Declaration

ANEW = "anew"
"""The value of `resume` with which a run does not go on where its folder has a checkpoint."""
IN_PATTERN = re.compile(r"\{([\w.]+)\}")


def home(declaration: Declaration, environment: Mapping[str, str]) -> Path:
    """The folder that the declared places are in."""
    return Path((declaration.home and environment.get(declaration.home)) or ".").absolute()


def places(command: Command, home: Path) -> dict[str, str]:
    """The keys that hold for a run by hand, as far as nothing else is said."""
    return {key: str(home / place) for key, place in command.here.items() if key != FOLDER}


def names_in(command: Command) -> list[str]:
    """The settings by which a command's own folder is named."""
    return IN_PATTERN.findall(command.here.get(FOLDER, ""))


def folder_of(command: Command, output_dir: str, settings: Mapping[str, Any], home: Path) -> Path | None:
    """The folder that a run by hand always has; None where each run has one of its own."""
    pattern = command.here.get(FOLDER)
    return home / output_dir / IN_PATTERN.sub(lambda match: str(settings[match[1]]), pattern) if pattern else None


def last_checkpoint(folder: Path, resume: str | None) -> Path | None:
    """Make a run's folder ready for it, and return where the run goes on of itself."""
    for failure in folder.glob("failure-*.txt"):  # of a run before
        failure.unlink()
    checkpoints = Checkpoints(folder / "checkpoints")
    if resume == ANEW:
        for path in checkpoints.newest_first():
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
    found = None if resume else checkpoints.latest()
    if found:
        print(f"going on from {found}; resume={ANEW} begins anew", flush=True)
    return found


def problems_of_inputs(reserved: Mapping[str, Any], datasets: Mapping[str, str], *, has_server: bool) -> Iterator[str]:
    """What the arguments name that is not there. `datasets` are the keys of folders of data, each with that of the dataset beside it."""
    for path, key in datasets.items():
        if reserved.get(path) and not reserved.get(key) and not Path(reserved[path]).exists():
            yield f"{path}={reserved[path]}: there is no such folder"
    for key in ("resume", "init_from"):
        named = str(reserved[key] or "")
        a_path = named and named != ANEW and not named.startswith((SCHEME, "task:")) and ("/" in named or not has_server)
        if a_path and not Path(named).exists():
            yield f"{key}={named} does not exist; name a checkpoint file, a run's folder or a task ID"
