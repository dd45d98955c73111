"""A workload that says what values its settings have, for tests of how values travel; its files take the place of the toy's."""

from __future__ import annotations

import json
from typing import Any

WORKLOAD = """\
summary: Says its settings
queue: gpu01
commands:
  say: {launcher: inline, type: testing, config: toy_settings:Say}
"""

SETTINGS = """\
from dataclasses import dataclass, field
from typing import Any

from harness.params import setting


@dataclass
class Optim:
    lr: float = setting(1e-3, "learning rate", gt=0)


@dataclass
class Say:
    one: str = setting("-", "a text")
    two: str = setting("-", "a text")
    three: str = setting("-", "a text")
    four: str = setting("-", "a text")
    five: str = setting("-", "a text")
    six: str = setting("-", "a text")
    seven: str = setting("-", "a text")
    eight: str = setting("-", "a text")
    nine: str = setting("-", "a text")
    ten: str = setting("-", "a text")
    note: str | None = setting("-", "a text, or none")
    count: int | None = setting(1, "a number, or none")
    words: list[str] = setting(["-"], "texts")
    options: dict[str, Any] = setting({}, "anything")
    optim: Optim = field(default_factory=Optim)
"""

SCRIPT = '''\
"""Says its settings."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness


def say(job):
    import dataclasses, json

    print("said " + json.dumps({**dataclasses.asdict(job.settings), "seed": job.seed}), flush=True)


if __name__ == "__main__":
    harness.main(__file__, say=say)
'''

ECHO = {"workload": WORKLOAD, "settings": SETTINGS, "script": SCRIPT}


def said(output: str) -> dict[str, Any]:
    """The settings that a run said it has, from what it printed."""
    (line,) = (line for line in output.splitlines() if line.startswith("said "))
    found: dict[str, Any] = json.loads(line.removeprefix("said "))
    return found
