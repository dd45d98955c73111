"""A run: workload x image x dataset x queue x overrides, as a frozen value."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

PROJECT = "clearml-example-project"  # of tasks, by default
DATASET_PROJECT = "[ClearML] public-dataset"  # of datasets, by default
SHORTEST_NAME = 3  # a ClearML server refuses shorter names
STORES = ("s3", "gs", "azure", "https", "http", "file")
DOCKER_ARGUMENTS = "-e CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL=1"  # what `--skip-python-env-install` writes on the task


@dataclass(frozen=True)
class Run:
    """A task before it is created."""

    project: str
    name: str
    type: str
    repository: str
    commit: str
    script: str
    image: str
    queue: str
    arguments: tuple[str, ...] = ()
    """`key=value`, the command first, with the values as the task records them."""
    tags: tuple[str, ...] = ()
    output_uri: str | None = None
    """Destination of models and artifacts; by default, what the project or the agent's clearml.conf names, or else the file server."""

    def argv(self) -> list[str]:
        """The `clearml-task` command line that creates the same task on the server.

        The image contains the packages, and the entry script calls Task.init; hence the three flags.
        """
        return [
            "clearml-task",
            *option("--project", self.project),
            *option("--name", self.name),
            *option("--task-type", self.type),
            *option("--repo", self.repository),
            *option("--commit", self.commit),
            *option("--script", self.script),
            *option("--docker", self.image),
            "--skip-task-init",
            "--force-no-requirements",
            "--skip-python-env-install",
            *option("--queue", self.queue),
            *(option("--output-uri", self.output_uri) if self.output_uri else []),
            *(["--tags", *self.tags] if self.tags else []),
            *(["--args", *self.arguments] if self.arguments else []),
        ]

    def command_line(self, steps: Collection[str] = ()) -> str:
        """`argv()` as a shell command; `task:<step>` refers to the shell variable `<step>_task`."""
        return " ".join(quoted(word, steps) for word in self.argv())

    @property
    def parameters(self) -> dict[str, str]:
        """Key and value of each argument, as in the task's section Args."""
        return dict(split(argument) for argument in self.arguments)

    def problems(self) -> list[str]:
        """The values that a server or `clearml-task` would refuse."""
        named = (("project", self.project), ("task", self.name))
        found = [problem for what, name in named if (problem := problem_of_name(what, name))]
        found += [] if self.output_uri is None else problems_of_uri(self.output_uri)
        return found + [f"tag {tag!r}: must not be empty or begin with -" for tag in self.tags if not tag.strip() or tag.startswith("-")]


def problem_of_name(what: str, name: str) -> str | None:
    """Why a server would refuse the name of a task, queue, dataset or project. In a project's name, `a/b` is a subproject of `a`."""
    parts = name.split("/") if what == "project" else [name]
    if len(parts) > 1 and not all(part.strip() for part in parts):
        return f"the {what} name {name!r} has an empty part; write a/b"
    if len(parts[-1].strip()) < SHORTEST_NAME:
        return f"the {what} name {name!r} {'ends in a part that is' if len(parts) > 1 else 'is'} shorter than {SHORTEST_NAME} characters"
    return None


def problem_of_queue(name: str) -> str | None:
    """Why a server, or the agent's command line, would refuse the name of a queue."""
    return f"queue {name!r}: must not begin with -" if name.startswith("-") else problem_of_name("queue", name)


def problems_of_uri(uri: str) -> list[str]:
    """Why an output URI is not the address of a store. Whether the store is writable is known only on the agent's machine."""
    scheme, _, rest = uri.partition("://")
    host, _, path = rest.partition("/")
    if scheme in STORES and rest.strip("/") and (scheme != "s3" or ":" not in host or path.strip("/")):
        return []
    others = ", ".join(f"{name}://" for name in STORES[1:])
    return [f"--output-uri {uri}: must be s3://bucket/prefix or s3://host:port/bucket/prefix, or begin with one of {others}"]


def option(name: str, value: str) -> Sequence[str]:
    """An option and its value, joined by `=` if the value looks like an option."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def quoted(word: str, steps: Collection[str]) -> str:
    key, value = split(word)
    step = value.removeprefix("task:")
    return f'"{key}=task:${step}_task"' if value.startswith("task:") and step in steps else shlex.quote(word)


def referenced_steps(run: Run, commands: Collection[str]) -> list[str]:
    """The earlier steps that a run's arguments refer to."""
    values = [value.removeprefix("task:") for value in run.parameters.values() if value.startswith("task:")]
    return [value for value in values if value in commands]


def split(argument: str) -> tuple[str, str]:
    key, _, value = argument.partition("=")
    return key, value
