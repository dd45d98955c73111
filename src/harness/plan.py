"""The plan of a run: what the parent has decided, passed to the ranks as one JSON file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import write_json

PLAN = "HARNESS_PLAN"
"""The environment variable that names the plan's file. It is set in ranks only."""


@dataclass(frozen=True)
class Plan:
    """Everything a rank needs to know."""

    workload: str
    command: str
    name: str
    settings: dict[str, Any]
    """Every setting in dotted form."""
    datasets: dict[str, str]
    """The folder of each dataset key."""
    output_dir: str
    seed: int
    resume: str | None
    """The checkpoint file to continue from."""
    init_from: str | None
    """The file with weights to start from."""
    task: str | None
    """ID of the ClearML task; None without a server."""
    requeued: int = 0
    """How often the run has been requeued."""
    run: str = ""
    """The ID of the run that `output_dir` belongs to, which its checkpoints state."""

    @property
    def file(self) -> Path:
        return Path(self.output_dir) / "plan.json"

    def write(self) -> Path:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, dataclasses.asdict(self))
        return self.file

    @classmethod
    def read(cls, file: Path) -> Plan:
        return cls(**json.loads(file.read_text()))
