"""Datasets on this machine: fetched once, verified, shared by all runs.

A dataset is named by a ClearML dataset ID, a ClearML dataset's name (its newest finished version), `task:<task id>` (the dataset that
this task published), `s3://bucket/prefix` (see `storage` for the forms of addresses), or a local folder, which is used in place.
What is fetched goes to the cache under an ID that identifies its contents, with a manifest of checksums that is written last.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import requeue
from .cache import LocalDataset, cache_folder, once
from .errors import DataError, StoreError
from .manifest import inside
from .s3 import SCHEME, fetch_s3
from .storage import locate, share
from .tree import Tree, named, staged, survey, told

log = logging.getLogger(__name__)

PUBLIC_PROJECT = "[ClearML] public-dataset"
PUBLISHED = "dataset_id"
"""The user property in which a task notes the dataset that it published."""
WAIT = 5.0
"""Seconds between two checks of a task that a run waits for."""


def materialise(source: str | None, path: str | None) -> LocalDataset:
    """Make a dataset available on this machine.

    Args:
        source: the value of `dataset_id`, or None.
        path: with a source, where to create a link to the data; alone, the folder that contains the data.

    Raises:
        HarnessError: the dataset is missing or damaged, or its store does not deliver it.
    """
    if source is None or Path(source).is_dir():
        found = local(Path(source or path or "."))
        return found if source is None else linked(found, path)
    if source.startswith(SCHEME):
        return linked(fetch_s3(locate(source), cache_folder() / "datasets"), path)
    return linked(fetch_clearml(clearml_id(source)), path)


def local(folder: Path) -> LocalDataset:
    if folder.is_file():
        raise DataError(f"dataset_path={folder}: is a file; name the folder that holds it: {folder.parent}")
    if not folder.is_dir():
        raise DataError(f"dataset_path={folder}: there is no such folder")
    if not any(folder.iterdir()):
        raise DataError(f"dataset_path={folder}: the folder is empty")
    return LocalDataset(str(folder.resolve()), folder.resolve())


def linked(dataset: LocalDataset, path: str | None) -> LocalDataset:
    """Link the data at `path`, if one is given."""
    if path is None or Path(path).resolve() == dataset.folder.resolve():
        return dataset
    place = Path(path)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        raise DataError(f"dataset_path={path}: it exists already; choose a new path, or leave dataset_id out to use what is there")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(dataset.folder)
    return LocalDataset(dataset.identity, place.absolute())


def clearml_id(source: str) -> str:
    """The ID of the dataset that an ID, a name or `task:<task id>` stands for."""
    if source.startswith("task:"):
        return published_by(source.removeprefix("task:"))
    if re.fullmatch(r"[0-9a-f]{32}", source):
        return source
    from clearml import Dataset as ClearMLDataset

    found = ClearMLDataset.list_datasets(partial_name=f"^{re.escape(source)}$", only_completed=True)
    if not found:
        raise DataError(f"dataset_id={source}: there is no finished dataset with this ID or name, and no such folder")
    return str(max(found, key=lambda entry: entry["created"])["id"])


def published_by(task_id: str) -> str:
    """The dataset that a task published; waits while the task is queued or running."""
    from clearml import Task

    task = finished_task(Task, task_id)
    found = task.get_user_properties(value_only=True).get(PUBLISHED)
    if not found:
        raise DataError(f"dataset_id=task:{task_id}: the task {task.name!r} published no dataset")
    return str(found)


def finished_task(tasks: Any, task_id: str) -> Any:
    """A task, once it has completed.

    Raises:
        DataError: there is no such task, or it failed or was stopped.
    """
    told, comeback = False, requeue.Comeback()
    while True:
        try:
            task = tasks.get_task(task_id=task_id)
        except ValueError as error:
            raise DataError(f"task:{task_id}: there is no such task on the server") from error
        status = str(task.get_status())
        if status in {"completed", "published", "closed"}:
            return task
        if status not in {"queued", "in_progress"} and not comeback.awaited(requeue.look(task, task_id)):
            raise DataError(f"task:{task_id}: the task {task.name!r} is {status}, so its result is missing")
        if not told:
            log.warning("waiting for task %s (%s), which is %s", task.name, task_id, status)
            told = True
        time.sleep(WAIT)


def fetch_clearml(dataset_id: str) -> LocalDataset:
    """Fetch a ClearML dataset into the cache, and verify each file by the hash in the dataset."""
    from clearml import Dataset as ClearMLDataset
    from clearml import Task

    what = f"dataset_id={dataset_id}"
    copies: list[Path] = []

    def download(beside: Path) -> Mapping[str, str | None]:
        try:
            task = Task.get_task(task_id=dataset_id)
            check_stored(task, what, task.artifacts)
            dataset = ClearMLDataset.get(dataset_id=dataset_id, only_completed=True, silence_alias_warnings=True)
        except ValueError as error:
            raise DataError(f"{what}: there is no finished dataset with this ID on the server") from error
        for name in (*dataset.file_entries_dict, *dataset.link_entries_dict):
            inside(name, dataset_id)
        check_stored(task, what, archives(dataset))
        log.warning("fetching dataset %s (%s)", dataset.name, dataset_id)
        share()
        for copy in copies:  # the last attempt was damaged, and the SDK checks nothing but file sizes in its own copy
            shutil.rmtree(copy, ignore_errors=True)
        try:
            copies.append(Path(dataset.get_local_copy()))
        except ValueError as error:
            raise DataError(f"{what}: its files could not be fetched from {task.output_uri}") from error
        shutil.copytree(copies[-1], beside, dirs_exist_ok=True)
        return {**dict.fromkeys(dataset.link_entries_dict), **{name: entry.hash for name, entry in dataset.file_entries_dict.items()}}

    return LocalDataset(dataset_id, once(cache_folder() / "datasets" / dataset_id, download))


def archives(dataset: Any) -> set[str]:
    """The artifacts that contain the dataset's own files; all other files belong to its parents."""
    return {entry.artifact_name for entry in dataset.file_entries_dict.values() if entry.parent_dataset_id == dataset.id}


def check_stored(task: Any, what: str, names: Iterable[str]) -> None:
    """Check that a dataset's task has these artifacts, and that those in S3 are there.

    The SDK finalizes a dataset even if its upload failed, and keeps trying an unresponsive or refusing store for minutes.

    Raises:
        DataError: an artifact is missing, incomplete, or refused by its store.
    """
    for name in names:
        artifact = task.artifacts.get(name)
        if artifact is None:
            raise DataError(f"{what}: its archive {name} was never stored at {task.output_uri}")
        if artifact.url.startswith(SCHEME):
            try:
                size = locate(artifact.url).entry()["ContentLength"]
            except StoreError as error:
                raise DataError(f"{what}: {error}") from error
            if size != artifact.size:
                raise DataError(f"{what}: {artifact.url} has {size} of {artifact.size} bytes")


def publish(folder: Path, name: str, project: str, tags: tuple[str, ...], task: Any) -> str:
    """Publish a folder as a finished ClearML dataset, record it in the task that made it, and return its ID.

    Its files are stored where the task's artifacts are.

    Raises:
        DataError: the folder is empty or contains what no dataset can store, or the upload failed (the dataset is then marked as failed).
    """
    from clearml import Dataset as ClearMLDataset
    from clearml import Task

    tree = survey(folder)
    if tree.lost or not tree.files:
        held = f"a dataset cannot store what is in {folder}:{told(tree.lost)}" if tree.lost else f"{folder} contains no file"
        raise DataError(f"dataset {name} could not be published: {held}")
    if hollow := tree.hollow | dict.fromkeys(tree.empty, "is empty"):
        log.warning("dataset %s is published without these entries of %s, which have no contents:%s", name, folder, told(hollow))
    dataset = ClearMLDataset.create(dataset_name=name, dataset_project=project, dataset_tags=list(tags))
    try:
        store(dataset, tree, show_progress=False, output_url=task.output_uri)
    except DataError as error:
        Task.get_task(task_id=dataset.id).mark_failed(status_reason=str(error), force=True)
        raise
    if not dataset.finalize():
        raise DataError(f"dataset {name} could not be finalized on the server")
    task.set_user_properties(**{PUBLISHED: dataset.id})
    return str(dataset.id)


def store(dataset: Any, tree: Tree, **options: Any) -> None:
    """Upload the files of a tree to a new dataset of the SDK.

    Raises:
        DataError: not all of them arrived, or some were changed during the upload, after their hashes were computed.
    """
    from clearml import Task

    what = f"dataset {dataset.name} could not be published"
    share()
    with staged(tree) as folder:
        try:
            dataset.add_files(str(folder))
            dataset.upload(**options)
        except ValueError as error:  # raised by the SDK when the store refuses
            raise DataError(f"{what}: {error}") from error
    if changed := tree.changes():
        raise DataError(f"{what}: files changed during the upload: {named(changed)}")
    if left_out := list(tree.files.keys() - dataset.file_entries_dict.keys()):
        raise DataError(f"{what}: the SDK left out {named(left_out)}")
    check_stored(Task.get_task(task_id=dataset.id), what, archives(dataset))
