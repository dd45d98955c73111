"""The exceptions of the registry.

RegistryError           anything below: its message is meant for the person at the terminal
├── UsageError          something that was typed is wrong; `problems` lists all of it; exit code 2
├── ServerError         there is no ClearML server, or it does not answer
│   └── RefusedError    it answers, and refuses
│       └── MissingError    because it has nothing under that ID
├── NotACloneError      the folder is not a repository that an agent could clone
├── BrokenEnvironmentError  an environment could not be built or locked
├── ServiceError        a process that `registry up` starts did not come up
├── EngineError         there is no container engine, or a command of it failed
├── StoreError          an image registry does not answer, or refuses
├── ImageCheckError     an image that would not run a workload
└── RunFailedError      a task that was waited for did not complete
"""

from __future__ import annotations

from collections.abc import Sequence


class RegistryError(Exception):
    """A failure whose message tells what is wrong and what would be right."""

    exit_code = 1


class UsageError(RegistryError):
    """Something that was typed is wrong: all problems at once."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class ServerError(RegistryError):
    """There is no ClearML server, or it does not answer."""


class RefusedError(ServerError):
    """A ClearML server answers, and refuses."""


class MissingError(RefusedError):
    """A ClearML server has nothing under that ID."""


class NotACloneError(RegistryError):
    """The folder is not a repository that an agent could clone."""


class BrokenEnvironmentError(RegistryError):
    """An environment could not be built or locked; the message says which, why and what to type."""


class ServiceError(RegistryError):
    """A process that `registry up` starts did not come up."""


class EngineError(RegistryError):
    """There is no container engine, or a command of it failed."""


class StoreError(RegistryError):
    """An image registry does not answer, or refuses."""


class ImageCheckError(RegistryError):
    """An image that would not run a workload."""


class RunFailedError(RegistryError):
    """A task that was waited for did not complete."""
