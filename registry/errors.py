"""The exceptions of the registry.

RegistryError               base of all: the message is meant for the user at the terminal
├── UsageError              the command line is wrong; `problems` lists everything; exit code 2
├── ServerError             there is no ClearML server, or it does not answer
│   └── RefusedError        it answers, but refuses the request
│       └── MissingError    it has nothing with the requested ID
├── NotACloneError          the folder is not a repository that an agent could clone
├── BrokenEnvironmentError  an environment could not be built or locked
├── ServiceError            a process that `registry up` starts did not come up
├── EngineError             there is no container engine, or one of its commands failed
├── StoreError              an image registry does not answer, or refuses the request
├── ImageCheckError         an image could not run its workloads
└── RunFailedError          a task did not complete
"""

from __future__ import annotations

from collections.abc import Sequence


class RegistryError(Exception):
    """A failure. The message says what is wrong and what would be right."""

    exit_code = 1


class UsageError(RegistryError):
    """The command line is wrong: lists all problems at once."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class ServerError(RegistryError):
    """There is no ClearML server, or it does not answer."""


class RefusedError(ServerError):
    """A ClearML server answers, but refuses the request."""


class MissingError(RefusedError):
    """A ClearML server has nothing with the requested ID."""


class NotACloneError(RegistryError):
    """The folder is not a repository that an agent could clone."""


class BrokenEnvironmentError(RegistryError):
    """An environment could not be built or locked; the message says which one, why, and what to run."""


class ServiceError(RegistryError):
    """A process that `registry up` starts did not come up."""


class EngineError(RegistryError):
    """There is no container engine, or one of its commands failed."""


class StoreError(RegistryError):
    """An image registry does not answer, or refuses the request."""


class ImageCheckError(RegistryError):
    """An image could not run its workloads."""


class RunFailedError(RegistryError):
    """A task did not complete."""
