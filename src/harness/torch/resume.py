"""Whether a run can go on from a checkpoint: what it was asked for when that was written, and what it is asked for now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import Job
from harness.errors import CheckpointError
from harness.report import Report
from harness.settings import flat
from harness.world import world_size

from .config import Resumable
from .weights import LIGHTNING, check_numbers, read_file

SETTINGS = "settings"
"""Under which a checkpoint keeps them."""
TOGETHER = "train.batch_size over all processes"


def stated(job: Job) -> dict[str, Any]:
    """What a run is asked for, as its checkpoints keep it: every setting, the seed, and the file that it started from.

    Of the batch size the sum over all processes counts, however many there are.
    """
    asked = flat(job.settings)
    together = asked.pop("train.batch_size") * world_size()
    return {**asked, TOGETHER: together, "seed": job.seed, "init_from": job.init_from.name if job.init_from else ""}


def check(job: Job, resumable: Resumable, describe: Callable[[Path], str]) -> None:
    """Whether the run may go on from its `resume`, if it has one; what differs and may is said in the log. Reads nothing but that file.

    Args:
        job: says where it goes on from; its settings have `train.batch_size`.
        resumable: which settings may differ.
        describe: says of a file what it is, where no run can go on from it.

    Raises:
        CheckpointError: for another kind of file, and naming every setting that makes it another run, as it was and as it is now.
    """
    if job.resume is None:
        return
    before, now = settings_in(job.resume, describe), stated(job)
    changed = {key: f"{key} was {before.get(key)}, is now {value}" for key, value in now.items() if value != before.get(key)}
    if not now["init_from"]:
        changed.pop("init_from", None)  # its weights are in the checkpoint
    longer = resumable.length in changed and now[resumable.length] > before.get(resumable.length, 0)
    allowed = resumable.free | ({resumable.length} if longer else set())
    refuse([text for key, text in changed.items() if key not in allowed])
    if longer:
        job.report.text(f"resume: {changed.pop(resumable.length)}: from here on the learning rate follows the schedule of the longer run")
    if changed:
        job.report.text(f"resume: {'; '.join(changed.values())}: what is learned does not depend on it, but for rounding")


def settings_in(path: Path, describe: Callable[[Path], str]) -> Mapping[str, Any]:
    try:
        loaded = read_file(path, LIGHTNING)
    except CheckpointError:
        loaded = None  # `describe` reads more kinds of files, and says what is wrong with others
    if not isinstance(loaded, Mapping) or not {"state_dict", "optimizer_states", SETTINGS} <= loaded.keys():
        raise CheckpointError(f"resume={path}: {describe(path)}; no run can go on from it, but init_from={path} starts with its weights")
    check_numbers(loaded["state_dict"], path)
    found: Mapping[str, Any] = loaded[SETTINGS]
    return found


def check_identity(before: Mapping[str, Any], now: Mapping[str, Any], report: Report) -> None:
    """Whether data and weights are those of the checkpoint's run, as far as they are known only when they were loaded.

    What a checkpoint of an older version does not state is taken for the same, which is said.

    Raises:
        CheckpointError: naming what differs.
    """
    refuse([f"{key} was {before[key]}, is now {value}" for key, value in now.items() if before.get(key, value) != value])
    if unstated := sorted(now.keys() - before.keys()):
        report.text(f"resume: the checkpoint does not state its {' and its '.join(unstated)}: taken for the same as now")


def refuse(differing: list[str]) -> None:
    if differing:
        raise CheckpointError(
            f"resume: this is another run than the checkpoint's: {'; '.join(differing)}; init_from starts a new run with its weights only"
        )
