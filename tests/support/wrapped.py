"""A workload around a script of another repository, whose packages bear the names that research repositories give theirs, and ours too."""

from __future__ import annotations

from pathlib import Path

from .command_line import git
from .toy import make_repository

COLLIDING = ("training", "registry", "data", "models", "utils", "configs", "harness", "tests")
SCRIPT = f'''\
"""Adds numbers up."""
import argparse, os, signal, sys, time

import {", ".join(COLLIDING)}

parser = argparse.ArgumentParser(description="Adds numbers up")
parser.add_argument("--data", help="folder with numbers.txt")
parser.add_argument("--out", default=".")
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--fail-at", type=int, default=0)
parser.add_argument("--exit-code", type=int, default=0)
parser.add_argument("--resume")
args = parser.parse_args()
print("theirs:", *(module.WHO for module in ({", ".join(COLLIDING)})), flush=True)
print("found:", open("settings/words.txt").read().strip(), flush=True)
rank = os.environ.get("RANK", "0")
numbers = [int(line) for line in open(os.path.join(args.data, "numbers.txt"))] if args.data else [1]
start, total = map(int, open(args.resume).read().split()) if args.resume else (0, 0)
for step in range(start + 1, args.steps + 1):
    if step == args.fail_at:
        raise ValueError(f"step {{step}} went wrong")
    total += sum(numbers)
    print(f"rank {{rank}}: step {{step}}", flush=True)
    if rank == "0":
        with open(os.path.join(args.out, "last.new"), "w") as file:
            file.write(f"{{step}} {{total}}")
        os.replace(os.path.join(args.out, "last.new"), os.path.join(args.out, "last.pt"))
    time.sleep(args.pause)
print(f"total {{total}}", flush=True)
sys.exit(args.exit_code)
'''
OPTIONS = """\
train:
  style: argparse
  options:
  - {key: data, flag: --data}
  - {key: out, flag: --out, default: .}
  - {key: steps, flag: --steps, type: int, default: 3}
  - {key: pause, flag: --pause, type: float, default: 0.0}
  - {key: fail_at, flag: --fail-at, type: int, default: 0}
  - {key: exit_code, flag: --exit-code, type: int, default: 0}
  - {key: resume, flag: --resume}
"""
WORKLOAD = """\
summary: Adds numbers up, in another repository
image: toy
queue: gpu01
datasets: {{dataset_id: numbers}}
commands:
  train:
    launcher: script
    type: training
    script: tools/train.py
    repository: {repository}
    commit: {commit}
    options: {{dataset_id: data, output_dir: out, resume: resume}}
    needs: []
"""
ENTRY = '''\
"""A script that is run as it is."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import harness

if __name__ == "__main__":
    harness.main(__file__)
'''


def make_foreign(root: Path, script: str = SCRIPT) -> str:
    """Another repository with a script and packages of its own, and return its commit."""
    for package in COLLIDING:
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text(f"WHO = {package!r}\n")
    for path, text in {"tools/train.py": script, "settings/words.txt": "relative paths\n"}.items():
        (root / path).parent.mkdir()
        (root / path).write_text(text)
    git(root, "init", "-q", "-b", "main")
    return commit_all(root)


def commit_all(root: Path) -> str:
    git(root, "add", ".")
    git(root, "commit", "-qm", "changed")
    return git(root, "rev-parse", "HEAD")


def make_wrapped(root: Path, script: str = SCRIPT) -> Path:
    """A clone with a workload around a script of another repository, and return its entry script."""
    commit = make_foreign(root.with_name("foreign"), script)
    make_repository(root)
    folder = root / "clearml_tasks" / "wrapped"
    folder.mkdir()
    (folder / "workload.yaml").write_text(WORKLOAD.format(repository=root.with_name("foreign").as_uri(), commit=commit))
    (folder / "options.yaml").write_text(OPTIONS)
    (folder / "clearml_train.py").write_text(ENTRY)
    commit_all(root)
    return folder / "clearml_train.py"
