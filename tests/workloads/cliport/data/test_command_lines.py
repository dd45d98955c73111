"""The command lines' arguments: the original's names and defaults, every mistake in one error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cliport import agents, tasks
from cliport.config import DemosConfig, EvalConfig, FinetuneConfig, TrainConfig
from cliport.options import settings_of
from harness.errors import ParameterError
from harness.settings import describe
from harness.workload import load

ROOT = Path(__file__).resolve().parents[4]

RECORD = {f"record.{key}" for key in ("save_video", "save_video_path", "add_text", "fps", "video_height", "video_width")}
SIMULATOR = {"data_dir", "assets_root", "disp", "shared_memory"} | RECORD
DATA = {"task", "mode", "n", "save_data", "dataset.type", "dataset.images", "dataset.cache", "dataset.augment.theta_sigma"} | SIMULATOR
NAMES = {"mode", "agent", "eval_task", "model_task", "type", "checkpoint_type", "n_demos", "train_demos", "n_repeats"}
PATHS = {"model_dir", "exp_folder", "model_path", "train_config", "save_path", "results_path"}
EVAL = {"gpu", "save_results", "update_results", "val_on_heldout"} | NAMES | PATHS | SIMULATOR


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def test_every_option_of_the_original_is_known() -> None:
    assert {setting.key for setting in describe(DemosConfig)} >= DATA
    assert {setting.key for setting in describe(EvalConfig)} >= EVAL


def test_defaults_are_the_original_s() -> None:
    demos, evaluation = settings_of(DemosConfig, []), settings_of(EvalConfig, [])
    assert (demos.task, demos.mode, demos.n, demos.save_data) == ("packing-boxes-pairs-seen-colors", "train", 1000, True)
    assert (demos.dataset.augment.theta_sigma, demos.record.add_text, demos.record.fps) == (60, False, 20)
    assert (evaluation.mode, evaluation.agent, evaluation.n_demos, evaluation.train_demos) == ("val", "cliport", 100, 1000)
    assert (evaluation.checkpoint_type, evaluation.update_results, evaluation.record.add_text) == ("val_missing", False, True)


def test_the_readme_s_lines_of_the_original_are_understood() -> None:
    line = """model_task=multi-language-conditioned eval_task=stack-block-pyramid-seq-seen-colors agent=cliport mode=test n_demos=10
    train_demos=1000 exp_folder=cliport_quickstart checkpoint_type=test_best update_results=True disp=False record.save_video=True"""
    settings = settings_of(EvalConfig, line.split())
    assert (settings.model_task, settings.exp_folder, settings.record.save_video) == (
        "multi-language-conditioned",
        "cliport_quickstart",
        True,
    )


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
        ("'n_repeats=1,2'", "one run takes one value"),
    ):
        assert [problem for problem in said if problem.startswith(key) and hint in problem], key


def test_names_are_those_of_the_tasks_and_agents() -> None:
    choices = {setting.key: set(setting.choices) for schema in (DemosConfig, EvalConfig) for setting in describe(schema)}
    every = {*tasks.names(), *tasks.groups()}
    assert choices["task"] == choices["eval_task"] == every
    assert choices["model_task"] == every | {""}
    assert choices["agent"] == set(agents.names())


@pytest.mark.parametrize("module", ["demos", "eval"])
def test_a_command_line_explains_itself_and_ends_with_one_error(module: str) -> None:
    helped = python("-m", f"cliport.{module}", "--help")
    assert helped.returncode == 0
    assert f"python -m cliport.{module}" in helped.stdout
    assert "  mode=" in helped.stdout
    wrong = python("-m", f"cliport.{module}", "taks=align-rope", "mode=traini")
    assert wrong.returncode == 2
    assert wrong.stderr.count("error: ") == 1
    assert "taks: there is no such key" in wrong.stderr
    assert "did you mean train?" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_window_without_a_display_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("CLIPORT_ROOT", str(tmp_path))
    shown = python("-m", "cliport.demos", "n=1", "disp=True", "task=block-insertion-easy")
    assert shown.returncode == 2
    assert shown.stderr.count("error: ") == 1
    assert "there is no display here (DISPLAY is not set): use disp=False" in shown.stderr


def test_settings_import_neither_torch_nor_pybullet() -> None:
    code = "import sys, cliport.config; print({'torch', 'pybullet', 'lightning'} & set(sys.modules))"
    assert python("-c", code).stdout.strip() == "set()"


def test_the_workload_declares_the_four_commands_and_their_settings() -> None:
    declaration = load(ROOT / "clearml_tasks" / "cliport")
    schemas = {name: command.config.split(":")[1] for name, command in declaration.commands.items()}
    assert schemas == {
        "demos": DemosConfig.__name__,
        "train": TrainConfig.__name__,
        "finetune": FinetuneConfig.__name__,
        "eval": EvalConfig.__name__,
    }
    assert declaration.commands["demos"].needs == ()
    assert [step["command"] for step in declaration.smoke] == ["demos", "train", "eval"]
