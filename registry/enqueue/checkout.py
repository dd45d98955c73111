"""Whether the agent that runs a task will find the files that the task names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.keys import path_key
from harness.workload import Declaration
from harness.wrapped.script import FILE

from ..git import git

IN_A_PATH = re.compile(r"[/.~]")
"""Distinguishes a path from the ID or name of a task."""


@dataclass(frozen=True)
class Checkout:
    """The commit that agents check out for a run, and whether they do so on this machine."""

    root: Path
    commit: str
    """Empty if there is none, which is reported elsewhere, or if only the remote has it."""
    here: bool
    """Whether the agents can read this machine's files."""

    def problems_of_code(self, workload: Declaration) -> Iterator[str]:
        """Files that every run of a workload needs, and that are missing."""
        scripts = [command.script for command in workload.commands.values() if command.script]
        read = [f"clearml_tasks/{workload.name}/{FILE}"] if scripts else []
        own = [script.path for script in scripts if not script.repository]
        for name in (workload.script, f"clearml_tasks/{workload.name}/workload.yaml", *read, *own):
            if self.commit and not self.holds(name):
                yield self.not_committed(name)

    def problems_of_inputs(self, workload: Declaration, reserved: Mapping[str, Any]) -> Iterator[str]:
        """Files and folders named by the harness's own arguments that are missing."""
        config = reserved["config"]
        if config and self.commit and not Path(config).is_absolute():
            known = f"configs/{workload.name}/{config}.yaml"
            if not self.holds(known) and not self.holds(config):
                yield f"config={config}: " + self.not_committed(known if (self.root / known).is_file() else config)
        if self.here:
            data = {path_key(key): reserved.get(path_key(key)) for key in workload.datasets if not reserved.get(key)}
            yield from (f"{key}={name}: {why}" for key, name in data.items() if name and (why := self.problem_of_folder(name)))
            for key in ("resume", "init_from"):
                named = str(reserved[key] or "")
                elsewhere = ":" in named  # task:ID, s3://bucket/file
                if IN_A_PATH.search(named) and not elsewhere and not self.exists(named):
                    yield f"{key}={named}: there is no such file or folder {self.where(named)}"

    def problem_of_folder(self, name: str) -> str | None:
        if not self.exists(name):
            return f"there is no such folder {self.where(name)}"
        folder = Path(name)
        if folder.is_absolute() and not (folder.is_dir() and any(folder.iterdir())):
            return "it is not a folder, or it is empty"
        return None

    def exists(self, name: str) -> bool:
        """Whether the agent will find a path. A relative path starts in its clone of the commit."""
        return Path(name).exists() if Path(name).is_absolute() else not self.commit or self.holds(name)

    def where(self, name: str) -> str:
        if Path(name).is_absolute():
            return "on this machine, where the agents run"
        return f"in commit {self.commit[:10]}, where the agent looks for relative paths; give the absolute path"

    def holds(self, name: str) -> bool:
        """Whether the commit contains a file or folder."""
        return git(self.root, "cat-file", "-e", f"{self.commit}:{Path(name).as_posix()}") is not None

    def not_committed(self, name: str) -> str:
        return f"{name} is not in commit {self.commit[:10]}, so agents will not have it; run: git add '{name}' && git commit"


def knows(root: Path, commit: str) -> bool:
    """Whether the clone contains a commit. The remote's branch may be ahead of the clone."""
    return bool(commit) and git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None
