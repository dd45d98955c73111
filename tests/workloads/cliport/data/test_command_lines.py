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
from cliport.config import DemosConfig, EvalConfig, PredictConfig, TrainConfig
from harness.errors import ParameterError
from harness.keys import names_of, settings_class
from harness.settings import describe
from harness.workload import load

ROOT = Path(__file__).resolve().parents[4]


def keys(*groups: str) -> set[str]:
    """The dotted keys in groups `prefix: name name ...`."""
    parts = [group.partition(":") for group in groups]
    return {f"{prefix}.{name}" if prefix else name for prefix, _, names in parts for name in names.split()}


# Every key of the files in cliport/cfg of github.com/cliport/cliport, but for hydra's own (`defaults`, `hydra.*`): data.yaml and train.yaml
# as of commit a69f990, eval.yaml as of 3d59e9f. SHARED is config.yaml, which each of them includes, as in ellislm/cliport at 10c2f77.
SHARED = keys(":root_dir tag debug")
DATASET = keys("dataset:type images cache", "dataset.augment:theta_sigma")
RECORD = keys("record:save_video save_video_path add_text fps video_height video_width")
DATA = keys(":data_dir assets_root disp shared_memory task mode n save_data") | DATASET | RECORD | SHARED
TRAIN = keys(
    "train:exp_folder train_dir data_dir task agent n_demos n_steps n_rotations batchnorm lr attn_stream_fusion_type",
    "train:trans_stream_fusion_type lang_fusion_type gpu log n_val val_repeats save_steps load_from_last_ckpt",
)
WANDB = keys("wandb:run_name", "wandb.logger:entity project tags group offline", "wandb.saver:upload monitor")
TRAINING = TRAIN | DATASET | WANDB | SHARED
EVAL = RECORD | SHARED | keys(
    ":mode agent n_demos train_demos n_repeats gpu save_results update_results checkpoint_type val_on_heldout disp shared_memory eval_task",
    ":model_task type model_dir exp_folder data_dir assets_root model_path train_config save_path results_path",
)  # fmt: skip


def settings_of(schema: type, given: list[str]) -> Any:
    command = {DemosConfig: "demos", EvalConfig: "eval", TrainConfig: "train"}[schema]
    return understood("cliport", command, *given).settings


@pytest.mark.parametrize(("command", "options"), [("demos", DATA), ("eval", EVAL), ("train", TRAINING), ("finetune", TRAINING)])
def test_every_key_of_the_original_s_files_is_a_setting_or_gets_an_answer(command: str, options: set[str]) -> None:
    declaration = load(ROOT / "clearml_tasks" / "cliport")
    found = declaration.commands[command]
    names = names_of(declaration, found)
    assert {setting.key for setting in describe(settings_class(found))} | {*names} >= options
    assert options & names.refused.keys() == {"root_dir"}  # which would move three folders at once


ITS_OWN = {
    "tag": "default",
    "debug": False,
    "wandb.run_name": "cliport0",
    "wandb.logger.entity": "cliport",
    "wandb.logger.project": "cliport",
    "wandb.logger.tags": [],
    "wandb.logger.group": "train",
    "wandb.logger.offline": False,
    "wandb.saver.upload": False,
    "wandb.saver.monitor": "val_loss",
}
"""Values that the original's files give to keys that have no effect here."""


@pytest.mark.parametrize("command", ["train", "finetune"])
def test_w_and_b_tag_and_debug_are_accepted_and_each_is_said_to_have_no_effect(command: str) -> None:
    found = understood("cliport", command, *(f"{key}={value}" for key, value in ITS_OWN.items()))
    assert [note.partition(" has no effect: ")[0] for note in found.notes] == [f"{key}={value}" for key, value in ITS_OWN.items()]
    assert found.settings == understood("cliport", command).settings


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("demos", "data_dir=ROOT/data"),
        ("train", "dataset_path=ROOT/data output_dir=ROOT/exps"),
        ("finetune", "dataset_path=ROOT/data output_dir=ROOT/exps"),
        ("eval", "data_dir=ROOT/data model_dir=ROOT"),
    ],
)
def test_what_replaces_root_dir_is_said_and_does_what_the_variable_does(command: str, instead: str) -> None:
    with pytest.raises(ParameterError, match=f"root_dir: not supported: use {instead}, or set the environment variable CLIPORT_ROOT"):
        understood("cliport", command, "root_dir=/root")
    said, by_variable = (
        understood("cliport", command, *instead.replace("ROOT", "/root").split()),
        understood("cliport", command, home=Path("/root")),
    )
    assert (said.flat_settings(), said.reserved["dataset_path"]) == (by_variable.flat_settings(), by_variable.reserved["dataset_path"])
    assert said.folder == by_variable.folder


def test_what_would_change_a_training_is_refused_with_what_to_use() -> None:
    with pytest.raises(ParameterError) as failure:
        understood("cliport", "train", "debug=True", "wandb.saver.monitor=vl/attn/loss")
    assert [problem.partition(": ")[2] for problem in failure.value.problems] == [
        "must be False: there is no debug mode; for a quick try use train.n_steps=1 train.n_val=1",
        "must be val_loss or vl/loss: best.ckpt always has the lowest validation loss",
    ]


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


def test_the_workload_declares_the_commands_and_their_settings() -> None:
    declaration = load(ROOT / "clearml_tasks" / "cliport")
    schemas = {name: command.config.split(":")[1] for name, command in declaration.commands.items()}
    assert schemas == {
        "demos": DemosConfig.__name__,
        "train": TrainConfig.__name__,
        "finetune": TrainConfig.__name__,
        "eval": EvalConfig.__name__,
        "predict": PredictConfig.__name__,
    }
    assert declaration.commands["demos"].needs == ()
    assert [step["command"] for step in declaration.smoke] == ["demos", "train", "eval"]
