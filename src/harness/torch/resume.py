"""Whether a run may be resumed from a checkpoint: compares the settings stored in it with the current ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import Job
from harness.checkpoint import owner
from harness.errors import CheckpointError
from harness.report import Report
from harness.settings import flat, leaves_of
from harness.world import world_size

from .config import Resumable
from .weights import LIGHTNING, check_numbers, read_file

SETTINGS = "settings"
"""The key under which a checkpoint stores the settings."""
TOGETHER = "train.batch_size over all processes"


def stated(job: Job) -> dict[str, Any]:
    """A run's settings as its checkpoints store them: every setting, the seed, and the file of its initial weights.

    The batch size is stored as the sum over all processes, so that their number may change.
    """
    asked = flat(job.settings)
    together = asked.pop("train.batch_size") * world_size()
    return {**asked, TOGETHER: together, "seed": job.seed, "init_from": job.init_from.name if job.init_from else ""}


def check(job: Job, resumable: Resumable, describe: Callable[[Path], str]) -> None:
    """Check that the run may be resumed from its `resume`, and log the permitted differences; or that it may start anew in its folder.

    Reads only that file.

    Args:
        job: the run; its settings have `train.batch_size`.
        resumable: which settings may differ.
        describe: describes a file from which no run can be resumed.

    Raises:
        CheckpointError: for another kind of file, or naming every setting whose change makes this another run; or for a run that starts
            anew in a folder with checkpoints.
    """
    if job.resume is None:
        owner(job.output_dir, job.name, None)  # again, as a job made in Python has not passed the command line's check
        return
    defaults = {key: leaf.default for key, leaf in leaves_of(type(job.settings)).items()}
    before, now = {**defaults, **settings_in(job.resume, describe)}, stated(job)  # a setting that came later did what its default does
    changed = {key: f"{key} was {before.get(key)}, is now {value}" for key, value in now.items() if differ(value, before.get(key))}
    if not now["init_from"]:
        changed.pop("init_from", None)  # the checkpoint holds the weights
    longer = {key for key in resumable.limits if key in changed and (now[key] or math.inf) > (before[key] or math.inf)}
    if resumable.length in changed and now[resumable.length] > before[resumable.length]:
        longer.add(resumable.length)
    refuse([text for key, text in changed.items() if key not in resumable.free | longer])
    if longer:
        told = "; ".join(changed.pop(key) for key in sorted(longer))
        job.report.text(f"resume: {told}: from here on the learning rate follows the schedule of the longer run")
    if changed:
        job.report.text(f"resume: {'; '.join(changed.values())}: this does not affect what is learned, except for rounding")


def differ(one: Any, other: Any) -> bool:
    """Whether two values of a setting mean different things: of a number of batches, 1 is one batch, and 1.0 is all."""
    return one != other or type(one) is not type(other)


def settings_in(path: Path, describe: Callable[[Path], str]) -> Mapping[str, Any]:
    try:
        loaded = read_file(path, LIGHTNING)
    except CheckpointError:
        loaded = None  # `describe` reads more kinds of files, and explains what is wrong with others
    if not isinstance(loaded, Mapping) or not {"state_dict", "optimizer_states", SETTINGS} <= loaded.keys():
        raise CheckpointError(f"resume={path}: {describe(path)}; it cannot be resumed, but init_from={path} starts from its weights")
    check_numbers(loaded["state_dict"], path)
    found: Mapping[str, Any] = loaded[SETTINGS]
    return found


def check_identity(before: Mapping[str, Any], now: Mapping[str, Any], report: Report) -> None:
    """Check that data and weights are those of the checkpoint's run; unlike settings, they can be compared only after loading them.

    What a checkpoint of an older version does not state is assumed to be the same, which is logged.

    Raises:
        CheckpointError: naming the differences.
    """
    refuse([f"{key} was {before[key]}, is now {value}" for key, value in now.items() if before.get(key, value) != value])
    if unstated := sorted(now.keys() - before.keys()):
        report.text(f"resume: the checkpoint does not state its {' and its '.join(unstated)}: assumed to be the same as now")


def refuse(differing: list[str]) -> None:
    if differing:
        raise CheckpointError(
            f"resume: this run differs from the checkpoint's: {'; '.join(differing)}; to start a new run from its weights, use init_from"
        )
