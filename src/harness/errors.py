"""The exceptions of the harness.

HarnessError            anything below: its message is meant for the person who started the run
├── WorkloadError       a workload.yaml that cannot be read
├── ParameterError      arguments or settings that are wrong; `problems` lists all of them
├── DataError           a dataset that is missing, unfinished or damaged
├── ServerError         a ClearML server that does not answer
├── StoreError          an S3 store that does not answer, refuses, or has no such object
├── ImageError          a run in the image of another environment
├── CheckpointError     nothing to resume from, or a file that is not what it claims to be
│   └── NoCheckpointError   a task that has uploaded none, or none that is recent enough
├── NotFiniteError      training that diverged, or a model whose answers are no numbers
└── LaunchError         a rank that could not be started or that failed
"""

from __future__ import annotations

from collections.abc import Sequence


class HarnessError(Exception):
    """A failure whose message tells what is wrong and what would be right."""


class WorkloadError(HarnessError):
    """A workload.yaml that cannot be read."""


class ParameterError(HarnessError):
    """Arguments or settings that are wrong: all problems at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class DataError(HarnessError):
    """A dataset that is missing, unfinished or damaged."""


class ServerError(HarnessError):
    """A ClearML server that does not answer."""


class StoreError(HarnessError):
    """An S3 store that does not answer, refuses, or has no such bucket or object."""


class ImageError(HarnessError):
    """A run in the image of another environment."""


class CheckpointError(HarnessError):
    """Nothing to resume from, or a file that is not what it claims to be."""


class NoCheckpointError(CheckpointError):
    """A task that has uploaded no checkpoint, or none that is recent enough."""


class NotFiniteError(HarnessError):
    """Training that diverged, or a model whose answers are no numbers."""


class LaunchError(HarnessError):
    """A rank that could not be started or that failed; `code` is the exit code to end with."""

    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)
