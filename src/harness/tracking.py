"""This run's ClearML task: where its arguments come from, where its end is marked, where its checkpoints go."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .data import finished_task
from .errors import CheckpointError, ServerError
from .files import sha256
from .params import Arguments
from .workload import Command, Declaration

log = logging.getLogger(__name__)

EXAMPLE_PROJECT = "clearml-example-project"
SLOTS = 2
"""Uploaded checkpoints: two, written in turn, so that one of them is whole at any moment."""


def has_server(environment: Mapping[str, str]) -> bool:
    """Whether somebody has said where the ClearML server is."""
    stated = ("CLEARML_API_HOST", "CLEARML_CONFIG_FILE", "CLEARML_TASK_ID")
    return any(environment.get(key) for key in stated) or Path("~/clearml.conf").expanduser().exists()


def is_remote(environment: Mapping[str, str]) -> bool:
    """Whether an agent started this process for a task that exists already."""
    return bool(environment.get("CLEARML_TASK_ID"))


def sdk() -> Any:
    """The SDK's Task class, set to report from a thread: its reporting process waits up to 5 s at every flush and at the exit.

    The class attribute is where the SDK keeps `sdk.development.report_use_subprocess` of clearml.conf; no environment variable does.
    """
    from clearml import Task

    Task._report_subprocess_enabled = False
    return Task


def check_server() -> None:
    """Ask the configured server whether it is there: the SDK would try again for minutes.

    Raises:
        ServerError: when it does not answer.
    """
    import requests
    from clearml.backend_api import Session

    host = Session.get_api_server_host()
    try:
        requests.get(f"{host}/debug.ping", timeout=10)
    except requests.RequestException as error:
        raise ServerError(f"the ClearML server at {host} does not answer") from error


class Tracked:
    """The parent's side of the task."""

    def __init__(self, declaration: Declaration, command: Command | None, tags: Sequence[str] = ()) -> None:
        """Take the agent's task, or create one for a run by hand (`command` is known then)."""
        tasks = sdk()
        tasks.force_requirements_env_freeze(True, declaration.root / "docker" / declaration.image / "requirements.txt")
        self.task = tasks.init(
            project_name=EXAMPLE_PROJECT,
            task_name=f"{declaration.name} {command.name}" if command else declaration.name,
            task_type=command.type if command else None,
            tags=list(tags),
            reuse_last_task_id=False,
            output_uri=True,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=False,
        )
        if not self.task.output_uri:  # for an agent's task the SDK leaves the argument out
            self.task.output_uri = True
        self.id = str(self.task.id)

    def tokens(self) -> list[str]:
        """The arguments that the task was given, as `key=value`."""
        parameters = self.task.get_parameters() or {}
        return [
            f"{key.removeprefix('Args/')}={'' if value is None else value}" for key, value in parameters.items() if key.startswith("Args/")
        ]

    def record(self, tokens: Sequence[str], arguments: Arguments, datasets: Mapping[str, str]) -> None:
        """Write down everything the run depends on: arguments as typed, settings as resolved, datasets by ID."""
        typed = {f"Args/{key}": value for key, _, value in (token.partition("=") for token in tokens)}
        settings = {f"Settings/{key}": "" if value is None else str(value) for key, value in arguments.flat_settings().items()}
        settings["Settings/seed"] = str(arguments.reserved["seed"])
        self.task.update_parameters({**typed, **settings, **{f"Datasets/{key}": identity for key, identity in datasets.items()}})

    def fail(self, reason: str) -> None:
        self.task.mark_failed(ignore_errors=True, status_reason=reason, status_message=reason, force=True)

    def stop(self, reason: str) -> None:
        self.task.mark_stopped(force=True, status_message=reason)

    def close(self) -> None:
        self.task.flush(wait_for_uploads=True)


def attach() -> Any:
    """Rank 0's side of the parent's task, found through the environment that the parent left."""
    return sdk().init(
        auto_connect_arg_parser=False, auto_connect_frameworks=False, auto_connect_streams=False, auto_resource_monitoring=False
    )


class UploadedCheckpoints:
    """Takes each saved checkpoint to the task's output models, in the background."""

    def __init__(self, task: Any) -> None:
        from clearml import OutputModel

        self.models = [OutputModel(task=task, name=f"checkpoint-{slot}") for slot in range(SLOTS)]
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-upload")
        self.pending: list[Future[None]] = []
        self.count = 0

    def __call__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        kept = path.with_name(f".{path.name}.upload")  # a second name: the first may be pruned before its turn comes
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        self.pending = [job for job in self.pending if not job.done()]
        self.pending.append(self.pool.submit(self.upload, kept, dict(manifest), self.count % SLOTS))
        self.count += 1

    def upload(self, path: Path, manifest: Mapping[str, Any], slot: int) -> None:
        try:
            model = self.models[slot]
            model.update_weights(
                str(path),
                target_filename=f"checkpoint-{slot}.ckpt",
                iteration=manifest["step"],
                auto_delete_file=False,
                update_comment=False,
                async_enable=False,
            )
            model.update_design(config_dict=dict(manifest))
        except Exception as error:
            log.warning("checkpoint of step %s could not be uploaded: %s", manifest["step"], error)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        for job in self.pending:
            job.result()


def checkpoint_of(task_id: str, folder: Path) -> Path:
    """Fetch the newest whole checkpoint of a task into `folder`.

    Raises:
        CheckpointError: when the task has none.
    """
    from clearml import Task

    task = finished_task(Task, task_id.removeprefix("task:")) if task_id.startswith("task:") else existing_task(Task, task_id)
    models = sorted(task.models["output"], key=lambda model: (model.config_dict or {}).get("step", -1), reverse=True)
    for model in models:
        manifest = model.config_dict or {}
        fetched = model.get_weights(raise_on_error=False, force_download=True)
        if fetched and sha256(Path(fetched)) == manifest.get("sha256"):
            place = folder / f"resumed-{manifest['file']}"
            folder.mkdir(parents=True, exist_ok=True)
            Path(fetched).replace(place)
            return place
        log.warning("model %s of task %s is passed over: it differs from its manifest's SHA-256", model.name, task_id)
    raise CheckpointError(f"task {task_id} ({task.name!r}) has no whole checkpoint among its models")


def existing_task(tasks: Any, task_id: str) -> Any:
    try:
        return tasks.get_task(task_id=task_id)
    except ValueError as error:
        raise CheckpointError(f"{task_id}: neither a file nor a folder nor a task on the server") from error
