"""A small workload in a repository of its own, for tests of what every workload goes through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORKLOAD = """\
summary: Adds numbers up, slowly
queue: gpu01
datasets: {dataset_id: numbers}
commands:
  train: {launcher: torchrun, type: training, config: toy_settings:Train}
  make: {launcher: inline, type: data_processing, config: toy_settings:Make, needs: []}
smoke:
  - {command: make, n: 3}
  - {command: train, dataset_id: "task:make"}
"""

SETTINGS = """\
from dataclasses import dataclass

from harness.params import setting


@dataclass
class Train:
    steps: int = setting(3, "steps", ge=1)
    pause: float = setting(0.0, "time per step", unit="s", ge=0)
    fail_at: int = setting(-1, "step at which rank `fail_rank` raises")
    fail_rank: int = setting(0, "the rank that raises")
    exit_code: int = setting(0, "exit code to end with")
    stubborn: bool = setting(False, "ignore SIGTERM")


@dataclass
class Make:
    n: int = setting(5, "numbers", ge=1)
"""

SCRIPT = '''\
"""A toy."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness


def train(job):
    import os, signal, time

    s = job.settings
    if s.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    numbers = [int(line) for line in (job.dataset / "numbers.txt").read_text().split()]
    start, total = map(int, job.resume.read_text().split()) if job.resume else (0, 0)
    for step in range(start + 1, s.steps + 1):
        if step == s.fail_at and job.rank == s.fail_rank:
            raise ValueError(f"step {step} went wrong")
        total += sum(numbers)
        print(f"rank {job.rank} of {job.world_size}: step {step}", flush=True)
        job.report.scalar("sum", "total", total, step)
        if job.rank == 0:
            job.checkpoints.save(step, lambda path: path.write_text(f"{step} {total}"), {"total": total})
        time.sleep(s.pause)
    if job.rank == 0:
        job.report.text(f"total {total} seed {job.seed} data {job.dataset}")
        job.report.artifact("result", {"total": total})
    if s.exit_code:
        os._exit(s.exit_code)


def make(job):
    folder = job.output_dir / "numbers"
    folder.mkdir()
    (folder / "numbers.txt").write_text("\\n".join(str(i) for i in range(job.settings.n)))
    job.publish(folder, "toy-numbers")


if __name__ == "__main__":
    harness.main(__file__, train=train, make=make)
'''


def forget_settings(patch: pytest.MonkeyPatch) -> None:
    """Let this test import the settings of its own repository, and leave none of them behind: all bear one name."""
    patch.setitem(sys.modules, "toy_settings", None)
    del sys.modules["toy_settings"]


def make_repository(root: Path, workload: str = WORKLOAD, settings: str = SETTINGS, script: str = SCRIPT) -> Path:
    """A git repository with the toy workload and this project's `src/`, and return its entry script."""
    folder = root / "clearml_tasks" / "toy"
    folder.mkdir(parents=True)
    (folder / "workload.yaml").write_text(workload)
    (folder / "toy_settings.py").write_text(settings)
    entry = folder / "clearml_train.py"
    entry.write_text(script)
    (root / "configs" / "toy").mkdir(parents=True)
    (root / "configs" / "toy" / "smoke.yaml").write_text("# a toy\nsteps: 2\n")
    (root / "docker" / "toy").mkdir(parents=True)
    (root / "docker" / "toy" / "requirements.txt").write_text("")
    (root / "src").symlink_to(ROOT / "src")
    (root / ".gitignore").write_text("outputs/\n.venvs/\n__pycache__/\n")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "toy"],
    ):
        subprocess.run(["git", "-C", root, *command], check=True)
    return entry
