"""The exceptions of the harness.

HarnessError            any of the following; the message is meant for the person who started the run
├── WorkloadError       a workload.yaml that cannot be read
├── ParameterError      arguments or settings that are wrong; `problems` lists all of them
├── DataError           a dataset that is missing, unfinished or damaged
├── ServerError         a ClearML server that does not answer, or refuses
├── RepositoryError     another repository, or a commit of it, that cannot be had
├── StoreError          an S3 store that does not answer, refuses, or lacks the bucket or object
├── ImageError          an image whose environment is not the one that the run needs
├── CheckpointError     nothing to resume from, or a file that is damaged or of the wrong kind
│   └── NoCheckpointError   a task that has uploaded none, or none that is recent enough
├── NotFiniteError      training that diverged, or a model whose output is not finite
└── LaunchError         a rank that could not be started or that failed
"""

from __future__ import annotations

from collections.abc import Sequence


class HarnessError(Exception):
    """An error whose message says what is wrong and how to put it right."""


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
    """A ClearML server that does not answer, or refuses."""


class RepositoryError(HarnessError):
    """Another repository, or a commit of it, that cannot be had."""


class StoreError(HarnessError):
    """An S3 store that does not answer, refuses, or lacks the bucket or object."""


class ImageError(HarnessError):
    """An image whose environment is not the one that the run needs."""


class CheckpointError(HarnessError):
    """Nothing to resume from, or a file that is damaged or of the wrong kind."""


class NoCheckpointError(CheckpointError):
    """A task that has uploaded no checkpoint, or none that is recent enough."""


class NotFiniteError(HarnessError):
    """Training that diverged, or a model whose output is not finite."""


class LaunchError(HarnessError):
    """A rank that could not be started, or that failed; `code` is the exit code for the run."""

    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)
