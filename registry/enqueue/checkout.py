"""Whether the files that a run names will be there for the agent that runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.params import path_key
from harness.workload import Declaration

from ..git import git

IN_A_PATH = re.compile(r"[/.~]")
"""Tells a path from the ID or the name of a task."""


@dataclass(frozen=True)
class Checkout:
    """The commit that agents check out for a run, and whether they do so on this machine."""

    root: Path
    commit: str
    """Empty where there is none, which is told elsewhere, or where only the remote has it."""
    here: bool
    """Whether the agents see this machine's files."""

    def problems_of_code(self, workload: Declaration) -> Iterator[str]:
        """Files without which no run of a workload starts."""
        for name in (workload.script, f"clearml_tasks/{workload.name}/workload.yaml"):
            if self.commit and not self.holds(name):
                yield self.not_committed(name)

    def problems_of_inputs(self, workload: Declaration, reserved: Mapping[str, Any]) -> Iterator[str]:
        """What the harness's own arguments name that is not there."""
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
            return "it is no folder, or an empty one"
        return None

    def exists(self, name: str) -> bool:
        """Whether the agent finds a path; a relative one begins in its clone of the commit."""
        return Path(name).exists() if Path(name).is_absolute() else not self.commit or self.holds(name)

    def where(self, name: str) -> str:
        if Path(name).is_absolute():
            return "on this machine, where the agents are"
        return f"in commit {self.commit[:10]}, in whose clone the agent starts; give the whole path"

    def holds(self, name: str) -> bool:
        """Whether the commit has a file or a folder."""
        return git(self.root, "cat-file", "-e", f"{self.commit}:{Path(name).as_posix()}") is not None

    def not_committed(self, name: str) -> str:
        return f"{name} is not in commit {self.commit[:10]}, so no agent has it: git add '{name}' && git commit"


def knows(root: Path, commit: str) -> bool:
    """Whether the clone has a commit; a branch of the remote may have gone on."""
    return bool(commit) and git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None
