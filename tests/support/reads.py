"""Whether every setting of a workload is read by the runs that there are of each command: those of the smoke run, and further ones.

python reads.py WORKLOAD FOLDER     # in the image's environment, with HARNESS_READS: the further ones, all in this process

Further ones are for commands and branches that the smoke run does not go through. The function `runs` of
tests/workloads/<workload>/reads.py gives each as arguments, `command=` among them, and makes in the folder that it is given what they
need. A command whose launcher is `script` is left out: its settings are options of a program, which gets them all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checkpoint import find_weights
from harness.conditions import holds
from harness.keys import path_key, settings_class
from harness.params import Arguments, resolve
from harness.plan import PLAN, Plan
from harness.reads import NOTES, SETTINGS, Reads
from harness.settings import Setting, leaves_of
from harness.workload import Command, Declaration, load

ROOT = Path(__file__).resolve().parents[2]


def further(workload: str) -> Path:
    """The module that gives a workload's further runs."""
    return ROOT / "tests" / "workloads" / workload / "reads.py"


def unread(declaration: Declaration, folder: Path) -> Iterator[str]:
    """A line for each setting that is dead, or that is declared otherwise than it is; `folder` is that of HARNESS_READS."""
    commands = [command for command in declaration.commands.values() if command.launcher != "script"]
    runs = {each.name: [reads_in(run) for run in sorted((folder / declaration.name / each.name).glob("*"))] for each in commands}
    leaves = {each.name: leaves_of(settings_class(each)) for each in commands}
    for command in commands:
        if runs[command.name]:
            for leaf in leaves[command.name].values():
                sharing = [name for name in runs if leaves[name].get(leaf.key) == leaf] if leaf.when else [command.name]
                if problem := problem_of(leaf, command, runs[command.name], [run for name in sharing for run in runs[name]]):
                    yield f"{command.name}: {leaf.key} {problem}"
        else:
            yield f"{command.name}: there is no run of it: put one into smoke of workload.yaml, or into reads.py of its tests"


def problem_of(leaf: Setting, command: Command, runs: Sequence[Reads], alike: Sequence[Reads]) -> str | None:
    """What is wrong with a setting.

    Args:
        leaf: the setting.
        command: whose it is.
        runs: of the command.
        alike: the same, and with a condition also those of other commands that have the setting from the same class: that the setting
            in its condition is read is asked of every command.
    """
    able = [run for run in alike if holds(leaf.when, run.settings)]
    if leaf.key in command.names.fixed:
        read = any(leaf.key in run.keys for run in runs)
        return "is read, while workload.yaml declares under fixed that it has no effect" if read else None
    if not able:
        return f"has an effect only with {leaf.when}, which no run has: add one to reads.py of the tests"
    if not any(leaf.key in run.keys for run in able):
        return "is never read: use it, delete it, or say why it has no effect: under fixed of workload.yaml, or by when="
    return None


def reads_in(run: Path) -> Reads:
    return Reads(json.loads((run / SETTINGS).read_text()), frozenset(path.name for path in (run / NOTES).iterdir()))


def run_further(workload: str, folder: Path) -> None:
    """Run a workload's further runs one after the other, with its entry script in this process; the first that fails ends it."""
    declaration = load(ROOT / "clearml_tasks" / workload)
    for number, stated in enumerate(runs_of(workload, folder), 1):
        arguments = resolve(declaration, [f"{key}={value}" for key, value in stated.items()])
        plan = plan_of(declaration, arguments, f"further-{number}", folder / "outputs")
        os.environ[PLAN] = str(plan.write())
        runpy.run_path(str(ROOT / declaration.script), run_name="__main__")


def runs_of(workload: str, folder: Path) -> Iterator[Mapping[str, Any]]:
    spec = importlib.util.spec_from_file_location(f"reads_of_{workload}", further(workload))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(further(workload).parent))
    spec.loader.exec_module(module)
    yield from module.runs(folder)


def plan_of(declaration: Declaration, arguments: Arguments, name: str, outputs: Path) -> Plan:
    """The plan of a run without a server, whose data and weights are files."""
    given = arguments.reserved
    return Plan(
        declaration.name,
        arguments.command.name,
        name,
        arguments.flat_settings(),
        {key: str(given[path_key(key)]) for key in declaration.datasets if given.get(path_key(key))},
        str(outputs / name),
        given["seed"],
        None,
        str(find_weights(Path(given["init_from"]))) if given["init_from"] else None,
        None,
    )


if __name__ == "__main__":
    run_further(sys.argv[1], Path(sys.argv[2]))
