"""The command line without a server: what it lists and renders, and how it reports errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.command_line import Registry, parse_clearml_task
from support.toy import forget_settings

from harness.keys import RESERVED
from harness.settings import Setting
from registry.cli import cli
from registry.commands.workloads import in_short

ROOT = Path(__file__).resolve().parents[2]


def every_command(group: click.Group, path: str = "registry") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        found.append((f"{path} {name}", command))
        if isinstance(command, click.Group):
            found += every_command(command, f"{path} {name}")
    return found


def test_every_command_and_option_has_help() -> None:
    for path, command in every_command(cli):
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.name}"


def test_the_command_line_starts_without_the_sdk_and_without_torch() -> None:
    code = "import registry.cli, sys; print([name for name in ('clearml', 'torch', 'hydra', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_python_m_registry_is_the_same_command(clone: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "registry", "list", "--json"], capture_output=True, text=True, check=True)
    assert [workload["name"] for workload in json.loads(done.stdout)] == ["toy"]


def test_workloads_are_found_by_their_folders(clone: Path, registry: Registry) -> None:
    (workload,) = json.loads(registry("list", "--json").out)
    assert (workload["name"], workload["image"], workload["queue"], workload["commands"]) == ("toy", "toy", "gpu01", ["train", "make"])
    _, row = registry("list").lines
    assert re.split(r"\s{2,}", row.strip()) == ["toy", "toy", "gpu01", "train, make", "Adds numbers up, slowly"]


def test_a_clone_is_found_from_a_folder_inside_it(clone: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone / "configs" / "toy")
    assert [workload["name"] for workload in json.loads(registry("list", "--json").out)] == ["toy"]


def test_show_lists_every_setting(clone: Path, registry: Registry) -> None:
    shown = registry("show", "toy").out
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines()]
    for expected in (
        ["image", "toy"],
        ["queue", "gpu01"],
        ["dataset", "dataset_id: numbers"],
        ["configs", "smoke"],
        ["command train (training, launcher torchrun, needs dataset_id)"],
        ["steps", "int >= 1", "3", "steps"],
        ["pause", "float >= 0", "0.0", "s", "time per step"],
        ["command make (data_processing, launcher inline)"],
        ["n", "int >= 1", "5", "numbers"],
        ["keys of every command"],
        ["requeue", "int >= 0", "0", RESERVED["requeue"].help],
    ):
        assert expected in rows


def test_show_shortens_a_long_list_of_choices() -> None:
    few, many = Setting("a", "str", "0", choices=("0", "1")), Setting("b", "str", "0", choices=tuple("0123456789"))
    assert [in_short(few), in_short(many)] == ["one of 0, 1", "one of 10: 0, 1, 2, ..."]


def test_show_lists_the_metrics(clone: Path, registry: Registry) -> None:
    with (clone / "clearml_tasks/toy/workload.yaml").open("a") as declaration:
        declaration.write("metrics: {main: sum/total, lower: [loss/*, waste/mean]}\n")
    assert "metrics  sum/total; lower is better for: loss/*, waste/mean" in registry("show", "toy").lines


def test_all_problems_of_a_declaration_are_reported(clone: Path, registry: Registry) -> None:
    (clone / "clearml_tasks/toy/workload.yaml").write_text("summary: toy\nqeue: gpu01\ncommands: {train: {launcher: mpi}}\n")
    outcome = registry("list")
    assert outcome.code == 2
    for expected in ("unknown key 'qeue'", "queue is missing", "launcher is 'mpi'", "config is None"):
        assert expected in outcome.err


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def (:\n", "SyntaxError: invalid syntax (toy_settings.py, line 1)"),
        ("Make = None\n", "AttributeError: module 'toy_settings' has no attribute 'Train'"),
        ("Train = None\n", "it is no dataclass"),
    ],
)
def test_settings_that_cannot_be_imported_are_one_error(
    clone: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    (clone / "clearml_tasks/toy/toy_settings.py").write_text(module)
    for command in (("show", "toy"), ("enqueue", "toy", "--dry-run"), ("enqueue", "toy", "--smoke", "n=3", "--dry-run")):
        forget_settings(monkeypatch)
        outcome = registry(*command)
        assert outcome.code != 0
        lines = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1
        if "--smoke" not in command:  # which begins with the other command
            assert lines == [f"error: the settings of command=train, toy_settings:Train, cannot be imported: {why}"]
    assert registry("list").code == 0  # which needs no settings


def test_an_unknown_workload_is_answered_with_the_nearest_name(clone: Path, registry: Registry) -> None:
    outcome = registry("show", "tyo")
    assert (outcome.code, outcome.out) == (2, "")
    assert "did you mean toy?" in outcome.err


@pytest.mark.usefixtures("no_server")
class TestWithoutServer:
    def test_commands_that_need_a_server_say_how_to_start_one(self, clone: Path, registry: Registry) -> None:
        for command in (["enqueue", "toy"], ["status"], ["dataset", "list"], ["stop", "x"], ["compare", "x"]):
            outcome = registry(*command)
            assert (outcome.code, outcome.out) == (1, "")
            assert "registry up" in outcome.err
            assert len(outcome.err.splitlines()) == 1

    def test_a_dry_run_prints_commands_that_can_be_pasted(self, clone: Path, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--dataset", "numbers", "--name", "a 'quoted' name", "steps=1,2", "--tag", "x y", "--dry-run")
        assert outcome.code == 0
        first, second = map(parse_clearml_task, outcome.lines)
        assert (first.name, second.name) == ("a 'quoted' name steps=1", "a 'quoted' name steps=2")
        assert first.args == ["command=train", "dataset_id=numbers", "steps=1"]
        assert (first.tags, first.queue, first.repo) == (["x y"], "gpu01", clone.as_uri())

    def test_smoke_commands_pass_on_the_task_id(self, clone: Path, registry: Registry) -> None:
        make, train = registry("enqueue", "toy", "--smoke", "steps=5", "--dry-run").lines
        assert make.startswith("make_task=$(clearml-task ")
        assert train.endswith('--args command=train "dataset_id=task:$make_task" steps=5')

    def test_all_problems_are_reported_at_once(self, clone: Path, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "stesp=3", "pause=-1", "steps=two", "--name", "x", "--branch", "none", "--dry-run")
        assert (outcome.code, outcome.out) == (2, "")
        for expected in (
            "did you mean steps?",
            "pause=-1.0: must be float >= 0",
            "steps=two",
            "dataset_id is required",
            "no branch 'none'",
        ):
            assert expected in outcome.err

    def test_an_argument_that_no_smoke_step_accepts_is_an_error(self, clone: Path, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--smoke", "stepz=5", "--dry-run")
        assert outcome.code == 2
        assert "did you mean steps?" in outcome.err

    def test_options_that_cannot_be_combined(self, clone: Path, registry: Registry) -> None:
        outcome = registry("enqueue", "toy", "--smoke", "--resume", "abc", "--dry-run", "--wait")
        assert outcome.code == 2
        assert "--smoke and --resume" in outcome.err
        assert "--dry-run and --wait cannot be combined" in outcome.err


def test_an_unreachable_server_is_a_one_line_error(clone: Path) -> None:
    environment = {**os.environ, "CLEARML_API_HOST": "http://127.0.0.1:9", "CLEARML_API_ACCESS_KEY": "k", "CLEARML_API_SECRET_KEY": "s"}
    done = subprocess.run([sys.executable, "-m", "registry", "status"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: the ClearML server at http://127.0.0.1:9 does not answer; is it running? On this machine, start it with: registry up"
    ]


def test_an_unknown_recipe_is_an_error(clone: Path, registry: Registry) -> None:
    outcome = registry("dataset", "create", "name", "--folder", ".", "--subset", "coco-min")
    assert outcome.code == 2
    assert "available: none yet" in outcome.err
