"""One run. Every entry script calls `main`, in the parent process and in each rank.

The parent decides what to do (arguments, datasets, checkpoint) and starts the ranks; a rank reads the plan and calls the command's
function with a `Job`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import reads, workload
from .checkpoint import CHECKPOINTS, Checkpoints
from .data import PUBLIC_PROJECT, publish
from .failure import write_failure
from .keys import settings_class
from .plan import PLAN, Plan
from .report import ClearMLReport, Report, Silent, TerminalReport
from .settings import merge
from .world import local_rank, rank, world_size


@dataclass(frozen=True)
class Job:
    """The argument of a command's function."""

    name: str
    settings: Any
    """An instance of the command's settings class."""
    datasets: Mapping[str, Path]
    """Folder of each dataset key."""
    output_dir: Path
    """The run's folder."""
    seed: int
    """The seed of all random numbers."""
    report: Report
    """Where results go."""
    checkpoints: Checkpoints
    """Saves and finds the complete training state."""
    resume: Path | None = None
    """A checkpoint to continue from as if the run had never stopped."""
    init_from: Path | None = None
    """A file with weights to start from."""
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    task: Any = None
    """The ClearML task at rank 0; None without a server and at other ranks."""

    @property
    def dataset(self) -> Path | None:
        return self.datasets.get("dataset_id")

    def publish(self, folder: Path, name: str, project: str = PUBLIC_PROJECT, tags: tuple[str, ...] = ()) -> str:
        """Publish a folder as a ClearML dataset under `name`, and return its ID; without a server, return the folder's path."""
        if self.task is None:
            self.report.text(f"{name} is in {folder}; to use it, give dataset_path={folder}")
            return str(folder)
        identity = publish(folder, name, project, tags, self.task)
        self.report.text(f"published {name}; to use it, give dataset_id={identity}")
        return identity


def main(script: str, **commands: Callable[[Job], None]) -> None:
    """Run the workload of the entry script `script`. Each command is a function that takes a `Job`."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    declaration = workload.load(Path(script).resolve().parent)
    if os.environ.get(PLAN):
        run_rank(declaration, commands)
    else:
        from . import entry

        entry.run(declaration, sys.argv[1:], Path(script))


def run_rank(declaration: workload.Declaration, commands: dict[str, Callable[[Job], None]]) -> None:
    """Call the planned command in this process. An error is written beside the plan, for the parent to report."""
    plan = Plan.read(Path(os.environ[PLAN]))
    number = rank()
    signal.signal(signal.SIGTERM, leave)
    try:
        job, uploads = make_job(declaration, plan, number)
        try:
            commands[plan.command](job)
        finally:  # also after SIGTERM: the last checkpoint is the one to resume from
            if uploads is not None:
                uploads.close()
            job.report.flush()
    except Exception as error:  # noqa: BLE001  a command may raise anything; the parent reports it
        traceback.print_exc()
        write_failure(Path(plan.output_dir), number, error)
        sys.stderr.flush()
        sys.exit(1)


def leave(number: int, _frame: object) -> None:
    """End after a SIGTERM. Further ones are ignored, so that they do not disturb the saving of a last checkpoint."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def make_job(declaration: workload.Declaration, plan: Plan, number: int) -> tuple[Job, Any]:
    """The job of a rank, and the object that uploads its checkpoints (None if nothing does)."""
    output, task, uploads = Path(plan.output_dir), None, None
    report: Report = Silent()
    if number == 0:
        if plan.task is None:
            report = TerminalReport(output)
        else:
            from .remote_checkpoints import UploadedCheckpoints
            from .tracking import attach, reported

            task = attach()
            report, uploads = ClearMLReport(task, reported(task) if plan.requeued else None), UploadedCheckpoints(task)
    job = Job(
        name=plan.name,
        settings=settings_of(declaration, plan),
        datasets={key: Path(folder) for key, folder in plan.datasets.items()},
        output_dir=output,
        seed=plan.seed,
        report=report,
        checkpoints=Checkpoints(output / CHECKPOINTS, uploaded=uploads, run=plan.run),
        resume=Path(plan.resume) if plan.resume else None,
        init_from=Path(plan.init_from) if plan.init_from else None,
        rank=number,
        local_rank=local_rank(),
        world_size=world_size(),
        task=task,
    )
    return job, uploads


def settings_of(declaration: workload.Declaration, plan: Plan) -> Any:
    """The planned command's typed settings; where HARNESS_READS asks for it, they note which of them are read."""
    settings = merge(settings_class(declaration.commands[plan.command]), None, plan.settings.items())
    folder = os.environ.get(reads.FOLDER)
    return reads.noted(settings, Path(folder, declaration.name, plan.command, plan.name)) if folder else settings
