"""What a new run takes over from an earlier task that it continues (`--resume`) or repeats with changes (`--like`)."""

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
"""Part of an image name whose tag is the environment of one commit."""


def task_of(server: Server, option: str, reference: str, workload: Declaration) -> dict[str, Any]:
    """The task that an option names, with all its fields.

    Raises:
        UsageError: there is no such task, or it ran another workload.
    """
    task: dict[str, Any] = server.call("tasks.get_by_id", task=find_task(server, reference)["id"])["task"]
    script = (task.get("script") or {}).get("entry_point") or ""
    if script != workload.script:
        raise UsageError(f"{option} {reference}: that task ran {script or 'no script'}, not {workload.script}")
    return task


def arguments_of(task: Mapping[str, Any], workload: Declaration) -> dict[str, str]:
    """A task's arguments by key, including edits.

    Raises:
        ParameterError: it was edited in a place that has no effect.
    """
    sections = {section: hyperparameters(task, section) for section in task.get("hyperparams") or {}}
    configuration = {name: str(item.get("value") or "") for name, item in (task.get("configuration") or {}).items()}
    return asked(workload, sections, configuration)


def inherited(request: Request, workload: Declaration, server: Server | None) -> dict[str, str]:
    """The arguments that a run takes over from the task that it continues or repeats."""
    if server and request.resume:
        task = task_of(server, "--resume", request.resume, workload)
        return {**arguments_of(task, workload), "resume": task["id"]}
    if server and request.like:
        return arguments_of(task_of(server, "--like", request.like, workload), workload)
    return {}


def completed(request: Request, workload: Declaration, server: Server) -> Request:
    """A request whose unset options are taken from the task that it repeats: commit, image, queue, project, output URI.

    Tags are not taken over, because they belong to that one run. If the image is the environment of the task's commit, it is taken
    over only with that commit: another commit may need another environment.

    Raises:
        UsageError: there is no such task, or it lacks what is needed.
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
        problems.append(f"--like {request.like}: that task names no commit; add --head for the commit that is checked out, or --branch")
    if same_code and (task.get("script") or {}).get("diff"):
        problems.append(f"--like {request.like}: that task ran uncommitted changes; add --head to run the commit that is checked out")
    if request.queue is None and queue and queue not in queues:
        problems.append(
            f"--like {request.like}: the queue of that task no longer exists; add --queue with one of: {', '.join(sorted(queues.values()))}"
        )
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
    """The store of a task's results; None for a file server, which is the default and which every run records when it starts."""
    stated = (task.get("output") or {}).get("destination") or ""
    return stated if stated and not stated.startswith(("http://", "https://")) else None
