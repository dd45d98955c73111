"""An earlier task, taken up again (`--resume`) or run once more with a change (`--like`): what a new run has of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.edits import asked
from harness.workload import Declaration

from ..backends import Server, hyperparameters
from ..errors import UsageError
from ..tasks.lookup import find_task
from .request import Request

OF_AN_ENVIRONMENT = ":env-"
"""In an image's reference: its tag stands for the environment of one commit."""


def task_of(server: Server, option: str, reference: str, workload: Declaration) -> dict[str, Any]:
    """The whole task that an option names.

    Raises:
        UsageError: there is no such task, or it ran another workload.
    """
    task: dict[str, Any] = server.call("tasks.get_by_id", task=find_task(server, reference)["id"])["task"]
    script = (task.get("script") or {}).get("entry_point") or ""
    if script != workload.script:
        raise UsageError(f"{option} {reference}: that task ran {script or 'no script'}, not {workload.script}")
    return task


def arguments_of(task: Mapping[str, Any], workload: Declaration) -> dict[str, str]:
    """What a task asks for, edits included, by key.

    Raises:
        ParameterError: it was edited where that does not count.
    """
    sections = {section: hyperparameters(task, section) for section in task.get("hyperparams") or {}}
    configuration = {name: str(item.get("value") or "") for name, item in (task.get("configuration") or {}).items()}
    return asked(workload, sections, configuration)


def inherited(request: Request, workload: Declaration, server: Server | None) -> dict[str, str]:
    """The arguments that a run has of the task it takes up again, or is like."""
    if server and request.resume:
        task = task_of(server, "--resume", request.resume, workload)
        return {**arguments_of(task, workload), "resume": task["id"]}
    if server and request.like:
        return arguments_of(task_of(server, "--like", request.like, workload), workload)
    return {}


def completed(request: Request, workload: Declaration, server: Server) -> Request:
    """A request with what it leaves open as the task that it is like has it: commit, image, queue, project, output URI.

    Tags are not taken over, they were given to that one run. An image that stands for the environment of the task's commit goes
    with that commit, and code of another one has its own.

    Raises:
        UsageError: there is no such task, or it does not say what is needed.
    """
    assert request.like is not None
    task = task_of(server, "--like", request.like, workload)
    same_code = request.branch is None and not request.head
    commit = (task.get("script") or {}).get("version_num") or ""
    image = (task.get("container") or {}).get("image") or None
    queue = (task.get("execution") or {}).get("queue")
    queues = {known.id: name for name, known in server.queues().items()}
    problems = []
    if same_code and not commit:
        problems.append(f"--like {request.like}: that task names no commit; --head runs what is checked out, --branch a branch")
    if same_code and (task.get("script") or {}).get("diff"):
        problems.append(f"--like {request.like}: that task ran changes that were not committed; --head runs what is checked out")
    if request.queue is None and queue and queue not in queues:
        problems.append(f"--like {request.like}: the queue of that task is gone; name one by --queue: {', '.join(sorted(queues.values()))}")
    if problems:
        raise UsageError(*problems)
    return replace(
        request,
        commit=commit if same_code else None,
        image=request.image or (image if image and (same_code or OF_AN_ENVIRONMENT not in image) else None),
        queue=request.queue or queues.get(queue or ""),
        project=project_of(task, server) if request.project is None else request.project,
        output_uri=store_of(task) if request.output_uri is None else request.output_uri,
    )


def project_of(task: Mapping[str, Any], server: Server) -> str | None:
    names = server.project_names([task["project"]]) if task.get("project") else {}
    return names.get(task.get("project", ""))


def store_of(task: Mapping[str, Any]) -> str | None:
    """The store that a task's results went to; a file server, which a run notes as soon as it starts, is the default anyway."""
    stated = (task.get("output") or {}).get("destination") or ""
    return stated if stated and not stated.startswith(("http://", "https://")) else None
