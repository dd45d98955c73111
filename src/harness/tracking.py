"""This run's ClearML task: where its arguments come from, where its end is marked, where its checkpoints go."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path, PurePosixPath
from typing import Any

from . import gaps, notes, reasons, requeue
from .api import request
from .checkpoint import Checkpoints, step_of
from .data import finished_task
from .edits import ASKED, MADE, NOTE, USED, asked, note
from .errors import CheckpointError, ServerError, StoreError
from .files import sha256
from .grammar import text_on_task
from .metrics import PROPERTY, Metrics
from .params import Arguments
from .s3 import SCHEME
from .storage import place, share
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
    """The SDK's Task class, which looks for S3 stores where we do, and reports from a thread.

    Its reporting process waits up to 5 s at every flush and at the exit. The class attribute is where the SDK keeps
    `sdk.development.report_use_subprocess` of clearml.conf; no environment variable does.
    """
    from clearml import Task

    share()
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
            output_uri=False,
            auto_connect_arg_parser=False,
            auto_connect_frameworks=False,
        )
        self.id = str(self.task.id)
        self.requeued = requeue.count({"id": self.id, "runtime": self.task.data.runtime})

    def asked(self, declaration: Declaration) -> dict[str, str]:
        """The arguments that the task asks for, edits included.

        Raises:
            ParameterError: for edits that would not count.
        """
        sections: dict[str, dict[str, str]] = {}
        for name, value in (self.task.get_parameters(backwards_compatibility=False) or {}).items():
            section, _, key = name.partition("/")
            sections.setdefault(section, {})[key] = "" if value is None else value
        return asked(declaration, sections, {name: item.value or "" for name, item in (self.task.data.configuration or {}).items()})

    def settle_output(self) -> None:
        """Settle where models, artifacts, debug samples and published datasets go, and whether they can.

        That is where the task says, else its project, else CLEARML_DEFAULT_OUTPUT_URI or `sdk.development.default_output_uri` of
        clearml.conf, else the file server.

        Raises:
            StoreError: an S3 store that cannot be written to.
        """
        from clearml.backend_api import Session
        from clearml.config import DEV_DEFAULT_OUTPUT_URI, config

        project = self.task.get_project_object()
        uri = self.task.output_uri or (project and project.default_output_destination)
        uri = uri or DEV_DEFAULT_OUTPUT_URI.get() or config.get("development.default_output_uri", None)
        if uri and uri.startswith(SCHEME):
            try:
                place(uri).check_writable()
            except StoreError as error:
                raise StoreError(f"output_uri={error}") from error
        if not self.task.output_uri:
            self.task.storage_uri = uri or Session.get_files_server_host()  # to set output_uri would try the store for minutes

    def record(self, arguments: Arguments, datasets: Mapping[str, str]) -> None:
        """Write down everything the run depends on: arguments as given, settings as resolved, datasets by ID.

        In one request with the note by which a later run tells what a person has edited since.
        """
        made = {"seed": arguments.reserved["seed"], **arguments.flat_settings()}
        written = {ASKED: dict(arguments.texts), MADE: {key: text_on_task(value) for key, value in made.items()}, USED: dict(datasets)}
        with self.task._edit_lock:
            self.task.reload()
            sections = {name: items for name, items in (self.task.data.hyperparams or {}).items() if name not in written}
            for section, values in written.items():
                sections[section] = {key: parameter(section, key, value) for key, value in values.items()}
            told = {
                "name": NOTE,
                "type": "json",
                "value": note(written),
                "description": "What a run wrote; to change it, edit Args or Settings",
            }
            self.task._edit(hyperparams=sections, configuration={NOTE: told})
            self.task.reload()

    def note(self, metrics: Metrics) -> None:
        """Write down what the workload declares of its metrics. What a clone says of another run's values is forgotten."""
        if metrics != Metrics():
            notes.write(self.task, PROPERTY, metrics.stated())
        if not self.task.data.last_metrics and notes.read(self.task, gaps.PROPERTY) is not None:
            notes.write(self.task, gaps.PROPERTY, None)

    def own_checkpoint(self, output: Path) -> Path | None:
        """Where this very task goes on after it was requeued: its newest checkpoint, in its folder here or as uploaded from elsewhere.

        Raises:
            CheckpointError: there are newer ones than here, none of which can be had.
        """
        here = Checkpoints(output / "checkpoints").latest()
        try:
            return checkpoint_of(self.id, output / "resumed", beyond=-1 if here is None else step_of(here))
        except NoCheckpointError:
            return here

    def fail(self, reason: str) -> None:
        reasons.tell(self.task, self.id, reason)
        self.task.mark_failed(ignore_errors=True, status_reason=reason, status_message=reason, force=True)

    def stop(self, reason: str) -> None:
        reasons.tell(self.task, self.id, reason)
        self.task.mark_stopped(force=True, status_message=reason)

    def close(self) -> None:
        """Wait until all has arrived. A flush only asks the log's thread to send its last lines."""
        self.task.flush(wait_for_uploads=True)
        self.task.get_logger()._close_stdout_handler(wait=True)


def parameter(section: str, name: str, value: str) -> dict[str, str]:
    return {"section": section, "name": name, "value": value, "type": "str", "description": ""}


def attach() -> Any:
    """Rank 0's side of the parent's task, found through the environment that the parent left."""
    task = sdk().init(
        auto_connect_arg_parser=False, auto_connect_frameworks=False, auto_connect_streams=False, auto_resource_monitoring=False
    )
    if (task.output_uri or "").startswith(SCHEME):
        task.get_logger().set_default_upload_destination(task.output_uri)  # debug samples would go to the file server
    return task


def reported(task: Any) -> dict[tuple[str, str], int]:
    """The last step of each curve of a task, by title and series."""
    found = request(task, "events.scalar_metrics_iter_histogram", task=task.id, key="iter", samples=0)
    return {(title, series): max(curve["x"]) for title, curves in found.items() for series, curve in curves.items() if curve["x"]}


class UploadedCheckpoints:
    """Takes saved checkpoints to the task's output models, in the background: all of them, or the newest that a slow store can take."""

    def __init__(self, task: Any) -> None:
        """Upload for `task`. If it ran before, its newest checkpoint is the last to be overwritten."""
        from clearml import OutputModel

        self.task, names = task, [f"checkpoint-{slot}" for slot in range(SLOTS)]
        steps = {model.name: (manifest_of(model) or {}).get("step", -1) for model in task.models["output"] if model.name in names}
        self.models = [OutputModel(task=task, name=name) for name in names]
        folder = f"{task.output_uri}/{task._get_output_destination_suffix('models')}"  # as the SDK calls it, beside the artifacts
        self.place = place(folder) if folder.startswith(SCHEME) else None
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-upload")
        self.pending: list[tuple[Future[None], Path]] = []
        self.count = names.index(max(steps, key=lambda name: steps[name])) + 1 if steps else 0

    def __call__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        kept = path.with_name(f".{path.name}.upload")  # a second name: the first may be pruned before its turn comes
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        self.pending = [(job, waiting) for job, waiting in self.pending if not job.done()]
        self.pending.append((self.pool.submit(self.upload, kept, dict(manifest)), kept))
        for job, waiting in self.pending[:-SLOTS]:
            if job.cancel():  # it would be overwritten by those behind it
                waiting.unlink(missing_ok=True)

    def upload(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Store a checkpoint in the slot of the oldest. A manifest follows its file, so that one of the two models fits at any moment.

        What was reported up to its step arrives first: who goes on from it reports the steps after it alone.
        """
        slot = self.count % SLOTS
        try:
            self.task.flush(wait_for_uploads=True)
            self.store(self.models[slot], path, f"checkpoint-{slot}.ckpt", manifest)
            self.models[slot].update_design(config_dict=dict(manifest))
            self.count += 1
        except Exception as error:
            log.warning("checkpoint of step %s could not be uploaded: %s", manifest["step"], error)
        finally:
            path.unlink(missing_ok=True)

    def store(self, model: Any, path: Path, name: str, manifest: Mapping[str, Any]) -> None:
        stored: dict[str, Any] = {"weights_filename": str(path), "target_filename": name, "async_enable": False}
        if self.place is not None:  # not by the SDK, which waits long, says little, and stores no SHA-256
            target = self.place.below(name)
            target.upload(path, manifest["sha256"])
            stored = {"register_uri": target.uri}
        model.update_weights(**stored, iteration=manifest["step"], auto_delete_file=False, update_comment=False)

    def close(self) -> None:
        wait(job for job, _ in self.pending)


class NoCheckpointError(CheckpointError):
    """A task that has uploaded none, or none that is new enough."""


def checkpoint_of(task_id: str, folder: Path, beyond: int = -1) -> Path:
    """Fetch the newest whole checkpoint of a task, of those after step `beyond`, into `folder`.

    Raises:
        CheckpointError: when the task has none.
    """
    from clearml import Task

    task = finished_task(Task, task_id.removeprefix("task:")) if task_id.startswith("task:") else existing_task(Task, task_id)
    folder.mkdir(parents=True, exist_ok=True)
    manifests = [(model, manifest_of(model)) for model in task.models["output"]]
    problems = [f"model {model.id} was removed" for model, manifest in manifests if manifest is None]
    problems += [f"model {model.id} was never whole" for model, manifest in manifests if manifest == {}]
    there = [(manifest["step"], model) for model, manifest in manifests if manifest and manifest.get("step", -1) > beyond]
    for _, model in sorted(there, key=lambda entry: entry[0], reverse=True):
        try:
            return fetched(model, folder)
        except (CheckpointError, StoreError) as error:
            problems.append(f"{model.name}: {error}")
            log.warning("model %s of task %s is passed over: %s", model.name, task_id, error)
    kind = CheckpointError if there else NoCheckpointError
    raise kind("; ".join([f"task {task_id} ({task.name!r}) has no whole checkpoint among its models", *problems]))


def manifest_of(model: Any) -> dict[str, Any] | None:
    """The manifest of the checkpoint that a model holds; None if the model is gone, though its task still names it."""
    try:
        return model.config_dict or {}
    except AttributeError:  # the SDK's, for want of an answer
        return None


def fetched(model: Any, folder: Path) -> Path:
    """Fetch the checkpoint that a model holds.

    Raises:
        CheckpointError, StoreError: it cannot be had, or differs from its manifest.
    """
    manifest = model.config_dict or {}
    target = folder / f"resumed-{Path(manifest.get('file', 'checkpoint')).name}"
    if (model.url or "").startswith(SCHEME):
        place(model.url).download(target)
    elif copy := model.get_weights(raise_on_error=False, force_download=True):
        shutil.move(copy, target)
    else:
        raise CheckpointError(f"{model.url} could not be fetched")
    if sha256(target) != manifest.get("sha256"):
        target.unlink()
        raise CheckpointError("it differs from its manifest's SHA-256")
    return target


def stored_checkpoint(uri: str, folder: Path) -> Path:
    """Fetch the one file that an S3 address names into `folder`.

    Raises:
        StoreError: it cannot be had.
    """
    found = place(uri)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"resumed-{PurePosixPath(found.key).name}"
    found.download(target)
    return target


def existing_task(tasks: Any, task_id: str) -> Any:
    try:
        return tasks.get_task(task_id=task_id)
    except ValueError as error:
        raise CheckpointError(f"{task_id}: neither a file nor a folder nor a task on the server") from error
