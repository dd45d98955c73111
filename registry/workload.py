"""The workloads of a clone, found by looking: every folder below clearml_tasks/ that holds a workload.yaml."""

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
    """The clone that the commands are about: the one around `--root`, else around the current folder, else the one this file belongs to.

    Its src/ comes first on the import path, so that settings are those of the code that will run.
    """
    context = click.get_current_context(silent=True)
    given: Path | None = context.find_root().params.get("root") if context else None
    start = (given or Path()).resolve()
    for folder in (start, *start.parents, *([] if given else [ROOT])):
        if any(folder.glob("clearml_tasks/*/workload.yaml")):
            if str(folder / "src") not in sys.path[:1]:
                sys.path.insert(0, str(folder / "src"))
            return folder
    how = "" if given else "; --root or REGISTRY_ROOT leads to a clone elsewhere"
    raise RegistryError(f"there is no workload: neither {start} nor a folder above it has clearml_tasks/*/workload.yaml{how}")


def discover(root: Path) -> dict[str, Declaration]:
    """Every workload of the clone at `root` by name.

    Raises:
        UsageError: with all that is wrong in any workload.yaml.
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
    """The workload called `name`, or an error with the nearest right name."""
    if name not in workloads:
        from harness.settings import nearest  # the grammar's parser is slow to import, and a list needs none

        raise UsageError(f"there is no workload {name!r}{nearest(name, workloads)}; there are: {', '.join(workloads)}")
    return workloads[name]


def settings_of(command: Command) -> list[Setting]:
    """Every setting of a command with type, default, unit and limits."""
    from harness.params import settings_class
    from harness.settings import describe

    return describe(settings_class(command))


def configs_of(found: Declaration) -> list[str]:
    """The names of a workload's files of settings."""
    return sorted(path.relative_to(found.configs).with_suffix("").as_posix() for path in found.configs.rglob("*.yaml"))


def queues_of(root: Path) -> list[str]:
    """The queues that the clone's workloads name."""
    return sorted({workload.queue for workload in discover(root).values()})
