"""One training run, as everything that trains is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checkpoint import Checkpoints
from harness.report import Report

if TYPE_CHECKING:
    from harness import Job


@dataclass(frozen=True)
class Run:
    """What a run is told beside its settings and its data."""

    seed: int
    """Where all random numbers come from."""
    output: Path
    """The run's folder."""
    report: Report
    """Where results go."""
    checkpoints: Checkpoints
    """Where the whole state is saved."""
    resume: Path | None = None
    """A checkpoint to continue from, as if the run had never stopped."""
    init_from: Path | None = None
    """A file to take weights from."""

    @classmethod
    def of(cls, job: Job) -> Run:
        return cls(job.seed, job.output_dir, job.report, job.checkpoints, job.resume, job.init_from)
