"""The workloads of a clone: every folder below clearml_tasks/ that contains a workload.yaml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import WorkloadError
from harness.workload import Command, Declaration, load

from .environment import ROOT
from .errors import RegistryError, UsageError

if TYPE_CHECKING:
    from harness.settings import Setting


def clone_root() -> Path:
    """The clone to work on: the one that contains `--root`, or else the current folder, or else this file.

    Its src/ is put first on the import path, so that the settings come from the code that will run.
    """
    context = click.get_current_context(silent=True)
    given: Path | None = context.find_root().params.get("root") if context else None
    start = (given or Path()).resolve()
    for folder in (start, *start.parents, *([] if given else [ROOT])):
        if any(folder.glob("clearml_tasks/*/workload.yaml")):
            if str(folder / "src") not in sys.path[:1]:
                sys.path.insert(0, str(folder / "src"))
            return folder
    how = "" if given else "; name a clone with --root or REGISTRY_ROOT"
    raise RegistryError(f"no workload was found: neither {start} nor a folder above it contains clearml_tasks/*/workload.yaml{how}")


def discover(root: Path) -> dict[str, Declaration]:
    """Every workload of the clone at `root`, by name.

    Raises:
        UsageError: lists the problems of all workload.yaml files.
    """
    found, problems = {}, []
    for path in sorted(root.glob("clearml_tasks/*/workload.yaml"), key=lambda path: path.parent.name.lower()):
        try:
            found[path.parent.name] = load(path.parent)
        except WorkloadError as error:
            problems.append(str(error))
    if problems:
        raise UsageError(*problems)
    return found


def named(name: str, workloads: Mapping[str, Declaration]) -> Declaration:
    """The workload called `name`; for an unknown name, the error suggests the nearest one."""
    if name not in workloads:
        from harness.settings import nearest  # the grammar's parser is slow to import, and a list needs none

        raise UsageError(f"there is no workload {name!r}{nearest(name, workloads)}; available: {', '.join(workloads)}")
    return workloads[name]


def settings_of(command: Command) -> list[Setting]:
    """Every setting of a command, with its type, default, unit and limits."""
    from harness.keys import settings_of

    return settings_of(command)


def configs_of(found: Declaration) -> list[str]:
    """The names of a workload's config files."""
    return sorted(path.relative_to(found.configs).with_suffix("").as_posix() for path in found.configs.rglob("*.yaml"))


def queues_of(root: Path) -> list[str]:
    """The queues that the clone's workloads name."""
    return sorted({workload.queue for workload in discover(root).values()})
