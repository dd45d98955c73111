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
"""Uploaded checkpoints: two, written in turn, so that one of them is whole at any moment."""


class UploadedCheckpoints:
    """Takes saved checkpoints to the task's output models, in the background: all of them, or the newest that a slow store can take."""

    def __init__(self, task: Any) -> None:
        """Upload for `task`. If it ran before, its newest checkpoint is the last to be overwritten."""
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
        if self.location is not None:  # not by the SDK, which waits long, says little, and stores no SHA-256
            target = self.location.below(name)
            target.upload(path, manifest["sha256"])
            stored = {"register_uri": target.uri}
        model.update_weights(**stored, iteration=manifest["step"], auto_delete_file=False, update_comment=False)

    def close(self) -> None:
        wait(job for job, _ in self.pending)


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
        locate(model.url).download(target)
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
    found = locate(uri)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"resumed-{PurePosixPath(found.key).name}"
    found.download(target)
    return target


def existing_task(tasks: Any, task_id: str) -> Any:
    try:
        return tasks.get_task(task_id=task_id)
    except ValueError as error:
        raise CheckpointError(f"{task_id}: neither a file nor a folder nor a task on the server") from error
