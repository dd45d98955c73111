"""The command lines that the originals' READMEs state, by every door: each means here what it meant there."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.lines import ROOT, meant, understood

from harness.params import resolve
from harness.workload import load

HOME = Path("/home/of/the/original")
LINES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/support/original_lines.yaml").read_text())
SCRIPTS = {"train.py": "clip_training.train", "train_finetune_vpt.py": "clip_training.finetune_vpt"}


def read(line: str) -> tuple[str, list[str]]:
    """The module that a line starts, and its arguments."""
    program, *words = shlex.split(line.replace("\\\n", " "))
    assert program in {"python", "python3"}
    if words[0] == "-m":
        return words[1], words[2:]
    return SCRIPTS[words[0]], words[1:]


def door(module: str) -> tuple[str, str]:
    """The workload and the command that a module is the door to."""
    tree = ast.parse((ROOT / "src" / f"{module.replace('.', '/')}.py").read_text())
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "enter"]
    workload, command, _ = call.args
    assert isinstance(workload, ast.Constant)
    assert isinstance(command, ast.Constant)
    return str(workload.value), str(command.value)


@pytest.mark.parametrize("stated", LINES, ids=[f"{number} {entry['source'].partition(',')[2]}" for number, entry in enumerate(LINES)])
class TestALine:
    def wanted(self, stated: dict[str, Any]) -> dict[str, Any]:
        return {key: value.replace("HOME", str(HOME)) if isinstance(value, str) else value for key, value in stated["means"].items()}

    def test_means_what_it_says(self, stated: dict[str, Any]) -> None:
        module, arguments = read(stated["line"])
        found = meant(understood(*door(module), *arguments, home=HOME))
        wanted = self.wanted(stated)
        assert {key: found[key] for key in wanted} == wanted

    def test_means_the_same_to_an_agent_but_for_the_places_of_a_run_by_hand(self, stated: dict[str, Any]) -> None:
        """What the line leaves on a task, read back."""
        module, arguments = read(stated["line"])
        workload, command = door(module)
        texts = understood(workload, command, *arguments, home=HOME).texts
        here = set(load(ROOT / "clearml_tasks" / workload).commands[command].here)
        found = meant(resolve(load(ROOT / "clearml_tasks" / workload), [], {"dataset_path": "data", **texts}))
        wanted = {key: value for key, value in self.wanted(stated).items() if key in texts or key not in here}
        assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize("workload", ["clip", "cliport"])
def test_every_command_has_a_module(workload: str) -> None:
    declaration = load(ROOT / "clearml_tasks" / workload)
    package = declaration.commands["train"].config.partition(".")[0]
    doors = {door(f"{package}.{path.stem}") for path in (ROOT / "src" / package).glob("*.py") if "harness.entry" in path.read_text()}
    assert doors == {(workload, command) for command in declaration.commands}


def test_finetune_accepts_a_model_name_and_says_that_it_is_ignored() -> None:
    """The README of train-CLIP gives `train_finetune.py` the flags of `train.py` less `--model_name`, then prints a line that has it."""
    found = understood("clip", "finetune", "--model_name", "RN50", "--folder", "data_dir", "--batchsize", "512", "--strategy", "ddp")
    assert (found.reserved["dataset_path"], found.settings.train.batch_size) == ("data_dir", 512)
    assert [note.partition(":")[0] for note in found.notes] == ["model_name=RN50 has no effect", "strategy=ddp has no effect"]
