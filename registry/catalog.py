"""Datasets: by ID, by name, by alias; made from a folder or by the run that the catalog holds for an alias."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
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
    """One alias of catalog.yaml."""

    alias: str
    summary: str
    project: str
    workload: str
    arguments: tuple[str, ...]
    """`key=value` of the run that publishes the dataset."""

    @property
    def tag(self) -> str:
        """Marks the task that makes it, so that two who want the same dataset wait for one task."""
        return f"makes {self.alias}"


def entry_named(alias: str, entries: Mapping[str, CatalogEntry]) -> CatalogEntry:
    """The entry of an alias, or an error with the nearest right name."""
    if alias not in entries:
        from harness.settings import nearest

        raise UsageError(f"there is no alias {alias!r}{nearest(alias, entries)}; there are: {', '.join(entries)}")
    return entries[alias]


def being_made(server: Server, entry: CatalogEntry) -> str | None:
    """The task that is making an alias's dataset at the moment."""
    found = server.tasks(tags=[entry.tag], status=list(ACTIVE), only_fields=["id"])
    return str(found[0]["id"]) if found else None


def load(root: Path) -> dict[str, CatalogEntry]:
    """The catalog of the clone at `root`, or the one that came with this package."""
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
    """The datasets that match, newest first. ClearML keeps them as tasks in hidden projects."""
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
    """A dataset by ID, or the newest finished one of that name (an alias is a name); an unfinished one if there is no other."""
    if TASK_ID.fullmatch(reference):
        return next(iter(query(server, id=[reference])), None)
    found = query(server, name=exactly(reference))
    return next((dataset for dataset in found if dataset.is_finished), found[0] if found else None)


def problem_of(server: Server, reference: str, aliases: Mapping[str, CatalogEntry]) -> tuple[str, str | None]:
    """The ID that `reference` stands for, and what is wrong with it."""
    found = find(server, reference)
    if found is None:
        if reference in aliases:
            return "", f"dataset {reference!r} is not on the server yet; make it: registry dataset ensure {reference}"
        from harness.settings import nearest

        names = [*aliases, *(dataset.name for dataset in query(server))]
        return "", f"there is no dataset {reference!r}{nearest(reference, names)}; registry dataset list shows all"
    if not found.is_finished:
        return found.id, f"dataset {reference!r} ({found.id}) is not finished: its status is {found.status}"
    return found.id, None


def create(name: str, tree: Tree, project: str, tags: Sequence[str]) -> str:
    """Publish what a folder holds as a dataset and return its ID. What the SDK says goes to stderr.

    Raises:
        ServerError: the upload failed; the unfinished dataset has been deleted.
        DataError: it did not arrive, or was changed meanwhile; the same.
    """
    import clearml

    from harness.data import store

    with stdout_kept():
        dataset = clearml.Dataset.create(dataset_name=name, dataset_project=project, dataset_tags=list(tags))
        try:
            store(dataset, tree, show_progress=sys.stderr.isatty())
            if not dataset.finalize():
                raise ServerError(f"dataset {name}: the upload was not completed")
        except BaseException as error:
            with contextlib.suppress(Exception):
                clearml.Dataset.delete(dataset_id=dataset.id, force=True)
            if isinstance(error, Exception) and not isinstance(error, RegistryError | HarnessError):
                raise ServerError(f"dataset {name}: {error}") from error
            raise
    return str(dataset.id)


def local_copy(identifier: str) -> str:
    """Bring a dataset into the cache that runs share, and return its folder.

    Raises:
        DataError: it is damaged, or cannot be stored.
    """
    from harness.data import fetch_clearml

    with stdout_kept():
        return str(fetch_clearml(identifier).folder)


def check_new(name: str, folder: Path, project: str, *, leave_out: bool) -> Tree:
    """What a folder holds that is published.

    Raises:
        UsageError: with all that keeps it from being published.
    """
    problems = [problem for what, text in (("dataset", name), ("project", project)) if (problem := problem_of_name(what, text))]
    tree = survey(folder)
    unkept = tree.hollow | tree.lost
    if not folder.is_dir():
        problems.append(f"--folder {folder}: there is no such folder")
    elif unkept and not leave_out:
        problems.append(
            f"--folder {folder}: no dataset can hold {len(unkept)} of the things in it; mend them, or add --leave-out:{told(unkept)}"
        )
    elif not tree.files:
        problems.append(f"--folder {folder}: there is no file in it")
    if problems:
        raise UsageError(*problems)
    return tree


def remarks_on(tree: Tree) -> Iterator[str]:
    """How a dataset will differ from the folder that it is made from."""
    if unkept := tree.hollow | tree.lost:
        yield f"left out, because no dataset can hold them:{told(unkept)}"
    if tree.empty:
        yield f"left out, because a dataset holds files only: the empty folders {named(tree.empty)}"
    if tree.links:
        yield f"links to folders are followed, and what they lead to is stored under their names: {named(tree.links)}"
