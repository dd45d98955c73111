"""Datasets: found by ID, name or alias; made from a folder, or by the run that the catalogue declares for an alias."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.grammar import token
from harness.tree import Tree, named, survey, told
from harness.yaml_file import read_yaml

from .backends import TASK_ID, Server, exactly
from .console import stdout_kept
from .errors import RegistryError, ServerError, UsageError
from .run import DATASET_PROJECT, problem_of_name
from .statuses import ACTIVE, SUCCEEDED

FIELDS = ["id", "name", "project", "status", "tags", "created", "runtime"]


@dataclass(frozen=True)
class CatalogEntry:
    """An entry of catalog.yaml: an alias and the run that makes its dataset."""

    alias: str
    summary: str
    project: str
    workload: str
    arguments: tuple[str, ...]
    """`key=value` of the run that publishes the dataset."""

    @property
    def tag(self) -> str:
        """Marks the task that makes the dataset, so that two users who want the same one wait for the same task."""
        return f"makes {self.alias}"


def entry_named(alias: str, entries: Mapping[str, CatalogEntry]) -> CatalogEntry:
    """The entry of an alias; for an unknown alias, the error suggests the nearest one."""
    if alias not in entries:
        from harness.settings import nearest

        raise UsageError(f"there is no alias {alias!r}{nearest(alias, entries)}; available: {', '.join(entries)}")
    return entries[alias]


def being_made(server: Server, entry: CatalogEntry) -> str | None:
    """The ID of the task that is currently making the dataset of an entry."""
    found = server.tasks(tags=[entry.tag], status=list(ACTIVE), only_fields=["id"])
    return str(found[0]["id"]) if found else None


def load(root: Path) -> dict[str, CatalogEntry]:
    """The catalogue of the clone at `root`, or else the one in this package."""
    places = (root / "registry" / "catalog.yaml", Path(__file__).with_name("catalog.yaml"))
    path = next(place for place in places if place.exists())
    try:
        stated = read_yaml(path) or {}
    except ValueError as error:
        raise RegistryError(f"{path}: {error}") from error
    return {alias: entry(alias, said, path) for alias, said in stated.items()}


def entry(alias: str, stated: Mapping[str, Any], path: Path) -> CatalogEntry:
    try:
        build = dict(stated["build"])
        workload = build.pop("workload")
    except (TypeError, KeyError, ValueError) as error:
        raise RegistryError(f"{path}: {alias}: must have summary, project and build: {{workload: ..., command: ...}}") from error
    arguments = tuple(token(key, value) for key, value in build.items())
    return CatalogEntry(alias, stated.get("summary", ""), stated.get("project", DATASET_PROJECT), workload, arguments)


@dataclass(frozen=True)
class DatasetVersion:
    """One version of a dataset, as the server lists it."""

    id: str
    name: str
    project: str
    version: str
    status: str
    created: str
    tags: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        return self.status in SUCCEEDED


def query(server: Server, **filters: Any) -> list[DatasetVersion]:
    """The datasets that match, newest first. ClearML stores them as tasks in hidden projects."""
    tasks = server.tasks(
        type=["data_processing"], system_tags=["dataset"], search_hidden=True, order_by=["-created"], only_fields=FIELDS, **filters
    )
    ids = sorted({task["project"] for task in tasks if task.get("project")})
    names = {project: name.partition("/.datasets/")[0] for project, name in server.project_names(ids).items()}
    return [
        DatasetVersion(
            task["id"],
            task["name"],
            names.get(str(task.get("project")), ""),
            str((task.get("runtime") or {}).get("version", "")),
            task["status"],
            str(task.get("created", "")),
            tuple(task.get("tags") or ()),
        )
        for task in tasks
    ]


def find(server: Server, reference: str) -> DatasetVersion | None:
    """A dataset by ID or name (an alias is a name): the newest finished version, or else an unfinished one."""
    if TASK_ID.fullmatch(reference):
        return next(iter(query(server, id=[reference])), None)
    found = query(server, name=exactly(reference))
    return next((dataset for dataset in found if dataset.is_finished), found[0] if found else None)


def problem_of(server: Server, reference: str, aliases: Mapping[str, CatalogEntry]) -> tuple[str, str | None]:
    """The ID of the dataset that `reference` names, and what is wrong with it, if anything."""
    found = find(server, reference)
    if found is None:
        if reference in aliases:
            return "", f"dataset {reference!r} has not been made yet; run: registry dataset ensure {reference}"
        from harness.settings import nearest

        names = [*aliases, *(dataset.name for dataset in query(server))]
        return "", f"there is no dataset {reference!r}{nearest(reference, names)}; to list all: registry dataset list"
    if not found.is_finished:
        return found.id, f"dataset {reference!r} ({found.id}) is not finished: its status is {found.status}"
    return found.id, None


def create(name: str, tree: Tree, project: str, tags: Sequence[str]) -> str:
    """Publish the contents of a folder as a dataset, and return its ID. The SDK's output goes to stderr.

    Raises:
        ServerError: the upload failed; the unfinished dataset has been deleted.
        DataError: the files were damaged, or changed meanwhile; the unfinished dataset has been deleted.
    """
    import clearml

    from harness.data import store

    with stdout_kept():
        dataset = clearml.Dataset.create(dataset_name=name, dataset_project=project, dataset_tags=list(tags))
        try:
            store(dataset, tree, show_progress=sys.stderr.isatty())
            if not dataset.finalize():
                raise ServerError(f"dataset {name}: the upload is incomplete")
        except BaseException as error:
            with contextlib.suppress(Exception):
                clearml.Dataset.delete(dataset_id=dataset.id, force=True)
            if isinstance(error, Exception) and not isinstance(error, RegistryError | HarnessError):
                raise ServerError(f"dataset {name}: {error}") from error
            raise
    return str(dataset.id)


def local_copy(identifier: str) -> str:
    """Download a dataset into the cache that runs share, and return its folder.

    Raises:
        DataError: it is damaged, or cannot be stored.
    """
    from harness.data import fetch_clearml

    with stdout_kept():
        return str(fetch_clearml(identifier).folder)


def report_samples(identifier: str, samples: Iterable[tuple[str, str, Any]]) -> None:
    """Show pictures, given as (split, file, image), as debug samples of a dataset's task."""
    from harness.report import ClearMLReport
    from harness.sdk import task_class

    with stdout_kept():
        report = ClearMLReport(task_class().get_task(task_id=identifier))
        for split, file, image in samples:
            report.image(split, file, image, 0)
        report.flush()


def check_new(name: str, folder: Path, project: str, *, leave_out: bool) -> Tree:
    """The contents of a folder that will be published.

    Raises:
        UsageError: lists everything that prevents it from being published.
    """
    problems = [problem for what, text in (("dataset", name), ("project", project)) if (problem := problem_of_name(what, text))]
    tree = survey(folder)
    unkept = tree.hollow | tree.lost
    if not folder.is_dir():
        problems.append(f"--folder {folder}: there is no such folder")
    elif unkept and not leave_out:
        problems.append(
            f"--folder {folder}: a dataset cannot store {len(unkept)} of its entries; fix them, or add --leave-out:{told(unkept)}"
        )
    elif not tree.files:
        problems.append(f"--folder {folder}: it contains no files")
    if problems:
        raise UsageError(*problems)
    return tree


def remarks_on(tree: Tree) -> Iterator[str]:
    """How the dataset will differ from the folder that it is made from."""
    if unkept := tree.hollow | tree.lost:
        yield f"left out, because a dataset cannot store them:{told(unkept)}"
    if tree.empty:
        yield f"left out, because a dataset stores only files: the empty folders {named(tree.empty)}"
    if tree.links:
        yield f"links to folders are followed, and their contents are stored under the links' names: {named(tree.links)}"
