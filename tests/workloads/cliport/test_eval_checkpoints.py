"""Which checkpoints are evaluated, and where things are by the original's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training import job_in

from cliport.agents import AgentConfig
from cliport.checkpoint_files import to_evaluate
from cliport.config import EvalConfig
from cliport.eval import original_config, paths_of
from cliport.results import add, file_name
from harness.errors import CheckpointError, ParameterError

NAMES = ["best.ckpt", "last.ckpt", "steps=05000-val_loss=0.00012345.ckpt", "steps=10000-val_loss=0.00010000.ckpt"]
EARLY, LATE = NAMES[2:]
TASK = "align-rope"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in [*NAMES, "notes.txt"]:
        (folder / name).touch()
    return folder


def chosen(folder: Path, kind: str, *evaluated: str, **settings: object) -> list[str]:
    config = EvalConfig(eval_task=TASK, model_task=TASK, checkpoint_type=kind, **settings)
    return [path.name for path in to_evaluate(config, folder, folder, evaluated)]


def test_val_missing_is_every_step_without_results(folder: Path) -> None:
    assert chosen(folder, "val_missing") == [EARLY, LATE]
    assert chosen(folder, "val_missing", EARLY) == [LATE]
    assert chosen(folder, "val_missing", EARLY, LATE) == []
    assert chosen(folder, "val_missing", EARLY, update_results=True) == [EARLY, LATE]


def test_a_name_or_a_part_of_one_is_that_checkpoint(folder: Path) -> None:
    assert chosen(folder, "last") == ["last.ckpt"]
    assert chosen(folder, "best") == ["best.ckpt"]
    assert chosen(folder, "05000") == [EARLY]
    assert chosen(folder, "steps=10000") == [LATE]
    assert chosen(folder, "last", "last.ckpt") == []


def test_test_best_is_the_best_on_validation_else_the_last(folder: Path) -> None:
    assert chosen(folder, "test_best") == ["last.ckpt"]
    for name, reward in ((EARLY, 0.8), (LATE, 0.7)):
        add(folder / file_name(TASK, "cliport", 100, "val", False), name, {"episodes": [], "mean_reward": reward})
    assert chosen(folder, "test_best") == [EARLY]


def test_a_file_selects_itself(folder: Path) -> None:
    assert chosen(folder / EARLY, "val_missing") == [EARLY]


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("5000O", ""),
        ("0500", None),
        ("05001", "did you mean 05000?"),
        ("lst", "did you mean last?"),
        ("val_mising", "did you mean val_missing?"),
    ],
)
def test_an_unknown_type_gets_the_valid_ones_and_the_nearest(folder: Path, kind: str, hint: str | None) -> None:
    if hint is None:
        assert chosen(folder, kind) == [EARLY]
        return
    with pytest.raises(CheckpointError) as failure:
        chosen(folder, kind)
    said = str(failure.value)
    assert f"checkpoint_type={kind}: no such checkpoint" in said
    assert hint in said
    assert "valid are val_missing, test_best, last, best and part of a name among best.ckpt, last.ckpt, steps=05000" in said


def test_a_missing_best_checkpoint_is_an_error(folder: Path) -> None:
    add(folder / file_name(TASK, "cliport", 100, "val", False), "steps=20000-val_loss=0.1.ckpt", {"episodes": [], "mean_reward": 1.0})
    with pytest.raises(CheckpointError, match="checkpoint_type=test_best: no such checkpoint"):
        chosen(folder, "test_best")


def test_a_folder_without_checkpoints_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there are no checkpoints .*\. Check model_task, agent, train_demos and exp_folder"):
        chosen(tmp_path / "nowhere", "last")


def test_the_form_of_the_original_s_agents_is_in_its_run_s_settings(folder: Path) -> None:
    settings = EvalConfig(agent="transporter")
    assert original_config(settings, folder / EARLY) == AgentConfig(agent="transporter")
    hydra = folder.parent / ".hydra" / "config.yaml"
    hydra.parent.mkdir()
    hydra.write_text("train:\n  agent: cliport\n  attn_stream_fusion_type: mult\n  n_rotations: 24\n  train_dir: ${train.exp_folder}/x\n")
    expected = AgentConfig(agent="transporter", attn_stream_fusion_type="mult", n_rotations=24)
    assert original_config(settings, folder / EARLY) == expected
    assert original_config(EvalConfig(agent="transporter", train_config=str(hydra)), Path("elsewhere.ckpt")) == expected
    with pytest.raises(ParameterError, match=r"train_config=nowhere\.yaml: no such file"):
        original_config(EvalConfig(train_config="nowhere.yaml"), folder / EARLY)


def test_paths_follow_the_original_s_layout(tmp_path: Path) -> None:
    settings = EvalConfig(eval_task=TASK, model_task="multi-all", n_demos=10, mode="test", model_dir=str(tmp_path))
    paths = paths_of(job_in(tmp_path / "run", settings, tmp_path / "data"))
    assert paths.data == tmp_path / "data"
    assert paths.checkpoints == tmp_path / "exps/multi-all-cliport-n1000-train/checkpoints"
    assert paths.results == tmp_path / f"exps/{TASK}-cliport-n1000-train/checkpoints/{TASK}-cliport-n10-multi-results-test.json"
    assert paths.validation == paths.results.parent
    assert paths.videos == tmp_path / f"exps/{TASK}-cliport-n1000-train/videos"


def test_stated_paths_are_used(tmp_path: Path) -> None:
    stated = {"model_path": "m", "save_path": "s", "results_path": "r", "model_dir": "x"}
    job = job_in(tmp_path, EvalConfig(eval_task=TASK, exp_folder="e", **stated), Path("d"), init_from=Path("i.ckpt"))
    paths = paths_of(job)
    assert (paths.data, paths.checkpoints, paths.validation, paths.results.parent) == tuple(map(Path, ("d", "m", "r", "s")))
    assert paths.videos == Path("x/e") / f"{TASK}-cliport-n1000-train/videos"


def test_a_run_of_an_agent_writes_to_its_own_folder(tmp_path: Path) -> None:
    paths = paths_of(job_in(tmp_path, EvalConfig(eval_task=TASK), tmp_path / "data", init_from=tmp_path / "step=1.ckpt"))
    assert (paths.checkpoints, paths.results.parent, paths.videos) == (
        tmp_path / "step=1.ckpt",
        tmp_path / "results",
        tmp_path / "videos",
    )


def test_full_training_states_are_not_evaluated_besides_last(folder: Path) -> None:
    (folder / "step=00005000.ckpt").touch()
    assert chosen(folder, "05000") == [EARLY]
    alone = folder.parent / "alone"
    alone.mkdir()
    (alone / "step=00005000.ckpt").touch()
    assert chosen(alone, "05000") == ["step=00005000.ckpt"]
