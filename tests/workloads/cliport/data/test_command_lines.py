"""The command lines' arguments: the original's names and defaults, every mistake in one error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.lines import run_line, tells_before, understood

from cliport import agents, tasks
from cliport.config import DemosConfig, EvalConfig, TrainConfig
from harness.errors import ParameterError
from harness.keys import names_of
from harness.settings import describe
from harness.workload import load

ROOT = Path(__file__).resolve().parents[4]

RECORD = {f"record.{key}" for key in ("save_video", "save_video_path", "add_text", "fps", "video_height", "video_width")}
SIMULATOR = {"data_dir", "assets_root", "disp", "shared_memory"} | RECORD
DATA = {"task", "mode", "n", "save_data", "dataset.type", "dataset.images", "dataset.cache", "dataset.augment.theta_sigma"} | SIMULATOR
NAMES = {"mode", "agent", "eval_task", "model_task", "type", "checkpoint_type", "n_demos", "train_demos", "n_repeats"}
PATHS = {"model_dir", "exp_folder", "model_path", "train_config", "save_path", "results_path"}
EVAL = {"gpu", "save_results", "update_results", "val_on_heldout"} | NAMES | PATHS | SIMULATOR
LOOP = "exp_folder train_dir data_dir task agent n_demos n_steps n_rotations batchnorm lr attn_stream_fusion_type trans_stream_fusion_type "
LOOP += "lang_fusion_type gpu log n_val val_repeats save_steps load_from_last_ckpt"
TRAIN = {f"train.{key}" for key in LOOP.split()}


def settings_of(schema: type, given: list[str]) -> Any:
    command = {DemosConfig: "demos", EvalConfig: "eval", TrainConfig: "train"}[schema]
    return understood("cliport", command, *given).settings


@pytest.mark.parametrize(("command", "options"), [("demos", DATA), ("eval", EVAL), ("train", TRAIN), ("finetune", TRAIN)])
def test_every_option_of_the_original_is_known(command: str, options: set[str]) -> None:
    declaration = load(ROOT / "clearml_tasks" / "cliport")
    found = declaration.commands[command]
    schema = {"demos": DemosConfig, "eval": EvalConfig}.get(command, TrainConfig)
    assert {setting.key for setting in describe(schema)} | {*names_of(declaration, found)} >= options
    assert not options & names_of(declaration, found).refused.keys()


def test_defaults_are_the_original_s() -> None:
    demos, evaluation, train = settings_of(DemosConfig, []), settings_of(EvalConfig, []), settings_of(TrainConfig, [])
    assert (demos.task, demos.mode, demos.n, demos.save_data) == ("packing-boxes-pairs-seen-colors", "train", 1000, True)
    assert (train.dataset.augment.theta_sigma, demos.record.add_text, demos.record.fps) == (60, False, 20)
    assert (evaluation.mode, evaluation.agent, evaluation.n_demos, evaluation.train_demos) == ("val", "cliport", 100, 1000)
    assert (evaluation.checkpoint_type, evaluation.update_results, evaluation.record.add_text) == ("val_missing", False, True)


@pytest.mark.parametrize(("given", "kept"), [("05000", "05000"), ("steps\\=10000", "steps=10000"), ("last", "last")])
def test_a_step_keeps_its_zeros(given: str, kept: str) -> None:
    assert settings_of(EvalConfig, [f"checkpoint_type={given}"]).checkpoint_type == kept


def test_every_mistake_is_told_at_once_with_the_nearest_right_name() -> None:
    with pytest.raises(ParameterError) as failure:
        settings_of(
            EvalConfig, ["eval_tsk=x", "agent=cliprot", "mode=tset", "n_demos=many", "eval_task=align-ropes", "disp", "n_repeats=1,2"]
        )
    said = failure.value.problems
    assert len(said) == 7
    for key, hint in (
        ("eval_tsk", "did you mean eval_task?"),
        ("agent=cliprot", "did you mean cliport?"),
        ("mode=tset", "did you mean test?"),
        ("eval_task=align-ropes", "did you mean align-rope?"),
        ("n_demos=many", "must be int >= 1"),
        ("'disp'", "write disp=VALUE"),
        ("'n_repeats=1,2'", "this is a single run"),
    ):
        assert [problem for problem in said if problem.startswith(key) and hint in problem], key


def test_names_are_those_of_the_tasks_and_agents() -> None:
    choices = {setting.key: set(setting.choices) for schema in (DemosConfig, EvalConfig) for setting in describe(schema)}
    every = {*tasks.names(), *tasks.groups()}
    assert choices["task"] == choices["eval_task"] == every
    assert choices["model_task"] == every | {""}
    assert choices["agent"] == set(agents.names())


def test_a_sweep_of_the_original_s_seed_is_three_runs_and_what_has_no_effect_is_said() -> None:
    found = understood("cliport", "train", "train.seed=3", "train.exp_folder=mine", "train.data_dir=/d", "train.gpu=[0]", "train.log=True")
    assert (found.reserved["seed"], found.reserved["output_dir"], found.reserved["dataset_path"]) == (3, "mine", "/d")
    assert dict(found.texts) == {"command": "train", "seed": "3", "output_dir": "mine", "dataset_path": "/d"}
    assert [note.partition(" has no effect")[0] for note in found.notes] == ["train.gpu=[0]", "train.log=True"]
    with pytest.raises(ParameterError, match=r"train\.exp_folder=a and output_dir=b both set output_dir"):
        understood("cliport", "train", "train.exp_folder=a", "output_dir=b")


@pytest.mark.parametrize("module", ["demos", "eval"])
def test_a_command_line_explains_itself_and_ends_with_one_error(module: str, tmp_path: Path) -> None:
    helped = run_line(f"cliport.{module}", "--help", folder=tmp_path)
    assert helped.returncode == 0
    assert f"python -m cliport.{module}" in helped.stdout
    assert "  mode=" in helped.stdout
    wrong = run_line(f"cliport.{module}", "taks=align-rope", "mode=traini", folder=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr.count("error: ") == 1
    assert "taks: there is no such key" in wrong.stderr
    assert "did you mean train?" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("module", ["demos", "train", "finetune", "eval"])
def test_a_wrong_line_is_told_before_pytorch_and_the_simulator_are_imported(module: str) -> None:
    assert tells_before(f"cliport.{module}", "torch", "lightning", "pybullet")


def test_a_window_without_a_display_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    shown = run_line("cliport.demos", "n=1", "disp=True", "task=block-insertion-easy", folder=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr.count("error: ") == 1
    assert "there is no display (DISPLAY is not set): use disp=False" in shown.stderr


def test_settings_import_neither_torch_nor_pybullet() -> None:
    code = "import sys, cliport.config; print({'torch', 'pybullet', 'lightning'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout.strip() == "set()"


def test_the_workload_declares_the_four_commands_and_their_settings() -> None:
    declaration = load(ROOT / "clearml_tasks" / "cliport")
    schemas = {name: command.config.split(":")[1] for name, command in declaration.commands.items()}
    assert schemas == {
        "demos": DemosConfig.__name__,
        "train": TrainConfig.__name__,
        "finetune": TrainConfig.__name__,
        "eval": EvalConfig.__name__,
    }
    assert declaration.commands["demos"].needs == ()
    assert [step["command"] for step in declaration.smoke] == ["demos", "train", "eval"]
