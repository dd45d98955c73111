"""Checkpoints that are not on this machine: uploaded to a task's output models while it runs, and fetched from a task or from S3."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path, PurePosixPath
from typing import Any

from .data import finished_task
from .errors import CheckpointError, NoCheckpointError, StoreError
from .files import sha256
from .s3 import SCHEME
from .sdk import models_folder
from .storage import locate

log = logging.getLogger(__name__)

SLOTS = 2
"""The number of uploaded checkpoints: two, overwritten in turn, so that one of them is complete at any time."""


class UploadedCheckpoints:
    """Uploads saved checkpoints to the task's output models, in the background; if the store is slow, it skips all but the newest."""

    def __init__(self, task: Any) -> None:
        """Upload for `task`. If it has run before, its newest checkpoint is overwritten last."""
        from clearml import OutputModel

        self.task, names = task, [f"checkpoint-{slot}" for slot in range(SLOTS)]
        steps = {model.name: (manifest_of(model) or {}).get("step", -1) for model in task.models["output"] if model.name in names}
        self.models = [OutputModel(task=task, name=name) for name in names]
        folder = models_folder(task)
        self.location = locate(folder) if folder.startswith(SCHEME) else None
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-upload")
        self.pending: list[tuple[Future[None], Path]] = []
        self.count = names.index(max(steps, key=lambda name: steps[name])) + 1 if steps else 0

    def __call__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        kept = path.with_name(f".{path.name}.upload")  # a second name, as the first may be removed before the upload starts
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        self.pending = [(job, waiting) for job, waiting in self.pending if not job.done()]
        self.pending.append((self.pool.submit(self.upload, kept, dict(manifest)), kept))
        for job, waiting in self.pending[:-SLOTS]:
            if job.cancel():  # the uploads behind it would overwrite it
                waiting.unlink(missing_ok=True)

    def upload(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Store a checkpoint in place of the oldest. File first, then manifest: one of the two models is consistent at any time.

        Everything reported up to its step has to arrive first, since a run that resumes from it reports only the steps after it.
        """
        slot = self.count % SLOTS
        try:
            self.task.flush(wait_for_uploads=True)
            self.store(self.models[slot], path, f"checkpoint-{slot}.ckpt", manifest)
            self.models[slot].update_design(config_dict=dict(manifest))
            self.count += 1
        except Exception as error:  # noqa: BLE001  of the SDK or the store: training goes on, and the next checkpoint is tried
            log.warning("checkpoint of step %s could not be uploaded: %s", manifest["step"], error)
        finally:
            path.unlink(missing_ok=True)

    def store(self, model: Any, path: Path, name: str, manifest: Mapping[str, Any]) -> None:
        stored: dict[str, Any] = {"weights_filename": str(path), "target_filename": name, "async_enable": False}
        if self.location is not None:  # not through the SDK, which retries for minutes, hides the reason, and stores no SHA-256
            target = self.location.below(name)
            target.upload(path, manifest["sha256"])
            stored = {"register_uri": target.uri}
        model.update_weights(**stored, iteration=manifest["step"], auto_delete_file=False, update_comment=False)

    def close(self) -> None:
        wait(job for job, _ in self.pending)


def checkpoint_of(task_id: str, folder: Path, beyond: int = -1) -> Path:
    """Fetch the newest complete checkpoint of a task, among those after step `beyond`, into `folder`.

    Raises:
        CheckpointError: the task has none.
    """
    from clearml import Task

    task = finished_task(Task, task_id.removeprefix("task:")) if task_id.startswith("task:") else existing_task(Task, task_id)
    folder.mkdir(parents=True, exist_ok=True)
    manifests = [(model, manifest_of(model)) for model in task.models["output"]]
    problems = [f"model {model.id} was removed" for model, manifest in manifests if manifest is None]
    problems += [f"model {model.id} is incomplete" for model, manifest in manifests if manifest == {}]
    there = [(manifest["step"], model) for model, manifest in manifests if manifest and manifest.get("step", -1) > beyond]
    for _, model in sorted(there, key=lambda entry: entry[0], reverse=True):
        try:
            return fetched(model, folder)
        except (CheckpointError, StoreError) as error:
            problems.append(f"{model.name}: {error}")
            log.warning("skipping model %s of task %s: %s", model.name, task_id, error)
    kind = CheckpointError if there else NoCheckpointError
    raise kind("; ".join([f"task {task_id} ({task.name!r}) has no complete checkpoint among its models", *problems]))


def manifest_of(model: Any) -> dict[str, Any] | None:
    """The manifest of the checkpoint in a model; None if the model was deleted although its task still lists it."""
    try:
        return model.config_dict or {}
    except AttributeError:  # raised by the SDK, which does not check for a missing model
        return None


def fetched(model: Any, folder: Path) -> Path:
    """Fetch the checkpoint in a model.

    Raises:
        CheckpointError, StoreError: it cannot be fetched, or does not match its manifest.
    """
    manifest = model.config_dict or {}
    target = folder / f"resumed-{Path(manifest.get('file', 'checkpoint')).name}"
    if (model.url or "").startswith(SCHEME):
        locate(model.url).download(target)
    elif copy := model.get_weights(raise_on_error=False, force_download=True):
        shutil.move(copy, target)
    else:
        raise CheckpointError(f"{model.url} could not be fetched")
    if sha256(target) != manifest.get("sha256"):
        target.unlink()
        raise CheckpointError("it does not match the SHA-256 in its manifest")
    return target


def stored_checkpoint(uri: str, folder: Path) -> Path:
    """Fetch the file at an S3 address into `folder`.

    Raises:
        StoreError: it cannot be fetched.
    """
    found = locate(uri)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"resumed-{PurePosixPath(found.key).name}"
    found.download(target)
    return target


def existing_task(tasks: Any, task_id: str) -> Any:
    try:
        return tasks.get_task(task_id=task_id)
    except ValueError as error:
        raise CheckpointError(f"{task_id}: there is no such file, folder or task on the server") from error
