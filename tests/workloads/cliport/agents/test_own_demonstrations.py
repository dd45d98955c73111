"""Demonstrations of one's own robot: recordings are checked, drawn and become what `train` learns from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_scenes import write_map
from PIL import Image
from runs import settings_of as training
from scenes import episode
from support.training import job_in

from cliport.config import DemosConfig, EvalConfig, TrainConfig, WorkspaceConfig
from cliport.data import own
from cliport.data.codec import HEIGHT_UNIT
from cliport.data.own import OwnConfig, convert
from cliport.data.reader import open_demonstrations
from cliport.layout import demonstrations
from cliport.sim.poses import from_euler, multiply, pose, quaternion_from_euler, yaw_of
from cliport.train import train
from harness.command_line import settings_of
from harness.errors import DataError, ParameterError
from harness.report import Recorder


def told(at: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    return {"position": at[0].tolist(), "quaternion": at[1].tolist()}


def record(folder: Path, seed: int, **changed: Any) -> Path:
    """A drawn episode as a recording; `changed` replaces what its only action states."""
    made = episode(seed)
    folder.mkdir(parents=True)
    action, instruction = made.steps[0].action, made.steps[0].instruction
    stated = {"instruction": instruction, "pick": told(action.pick), "place": told(action.place), **changed}
    (folder / "actions.json").write_text(json.dumps([{key: value for key, value in stated.items() if value is not None}]))
    for number, step in enumerate(made.steps):
        write_map(folder / f"{number}", step.view)
    return folder


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for seed in range(5):
        record(tmp_path / "recordings" / f"{seed:03d}", seed)
    return tmp_path / "recordings"


def settings(folder: Path, **more: Any) -> OwnConfig:
    return OwnConfig(**{"folder": str(folder), "name": "cups", "output": str(folder.parent / "data"), **more})


def test_recordings_become_demonstrations_of_the_same_views_poses_and_words(recordings: Path) -> None:
    report, data = Recorder(), recordings.parent / "data"
    assert convert(settings(recordings, n_val=2), report) == [data / "own-cups-train", data / "own-cups-val"]
    assert any("train.task=own-cups train.n_demos=3 train.n_val=2" in text for text in report.texts)
    found = [demo for mode in ("train", "val") for demo in open_demonstrations(data, "own-cups", mode)]
    assert [demo.seed for demo in found] == [0, 2, 4, 1, 3], "even ones to train on, odd ones to validate on"
    for seed, demo in enumerate(found):
        expected = episode(seed)
        assert (demo.actions, demo.reward, demo.task) == (1, 1.0, "own-cups")
        assert demo.steps[0].instruction == expected.steps[0].instruction
        for name in ("pick", "place"):
            for kept, given in zip(getattr(demo.steps[0].action, name), getattr(expected.steps[0].action, name), strict=True):
                assert np.allclose(kept, given)
        for kept, given in zip(demo.steps, expected.steps, strict=True):
            assert np.array_equal(kept.view.color, given.view.color)
            assert np.abs(kept.view.height - given.view.height).max() <= HEIGHT_UNIT


def test_an_agent_learns_from_them(recordings: Path, tmp_path: Path) -> None:
    convert(settings(recordings, n_val=2), Recorder())
    stated = {"train__task": "own-cups", "train__n_demos": 3, "train__n_val": 2, "train__n_steps": 3, "train__save_steps": [3]}
    kept = train(job_in(tmp_path / "run", training(stated), tmp_path / "data"))
    assert (kept / "last.ckpt").is_file()


def test_a_page_shows_every_action_before_training(recordings: Path) -> None:
    convert(settings(recordings), Recorder())
    with Image.open(recordings.parent / "data" / "own-cups-pictures" / "000.png") as page:
        colours = {colour for _, colour in page.convert("RGB").getcolors(2**24)}
        assert page.width == 5 * 320 + 4 * 8, "five actions side by side"
        assert {(255, 255, 255), (70, 220, 90)} <= colours, "arrow, and the tool's axes"


def test_poses_of_a_robots_own_frame_and_scale_are_those_of_the_agents_workspace(recordings: Path) -> None:
    """A table twice as large whose corner is the origin: positions and heights are halved, yaws stay."""
    for folder in recordings.iterdir():
        (stated,) = json.loads((folder / "actions.json").read_text())
        for name in ("pick", "place"):
            x, y, z = stated[name]["position"]
            stated[name] = {"position": [2 * (x - 0.25), 2 * (y + 0.5), 2 * z], "yaw": 0.3}
        (folder / "actions.json").write_text(json.dumps([stated]))
        for heights in folder.rglob("heights.npy"):
            np.save(heights, 2 * np.load(heights))
    convert(settings(recordings, workspace=WorkspaceConfig([0.0, 1.0, 0.0, 2.0, 0.0, 0.56], 0.00625)), Recorder())
    demo = open_demonstrations(recordings.parent / "data", "own-cups", "train")[0]
    expected = episode(0).steps[0]
    assert np.allclose(demo.steps[0].action.pick[0], expected.action.pick[0], atol=1e-9)
    assert yaw_of(demo.steps[0].action.place) == pytest.approx(0.3)
    assert np.abs(demo.steps[0].view.height - expected.view.height).max() <= HEIGHT_UNIT
    assert demo.steps[0].info["pixel"] == 0.00625


@pytest.mark.parametrize("down", [False, True])
def test_a_tools_axis_may_point_up_or_down(tmp_path: Path, down: bool) -> None:
    """Turning what is held is the same about the world's z, whichever way the tool's frame is mounted."""
    flip = pose(quaternion=quaternion_from_euler(np.pi, 0, 0)) if down else pose()
    turned = multiply(from_euler((0, 0, 0), yaw=0.7), flip)[1].tolist()
    at = episode(0).steps[0].action.place[0].tolist()
    record(tmp_path / "recordings" / "0", 0, place={"position": at, "quaternion": turned})
    record(tmp_path / "recordings" / "1", 1)
    convert(settings(tmp_path / "recordings"), Recorder())
    demo = open_demonstrations(tmp_path / "data", "own-cups", "train")[0]
    assert yaw_of(demo.steps[0].action.place) == pytest.approx(0.7)


PLACE = episode(0).steps[0].action.place[0].tolist()
PICK = episode(0).steps[0].action.pick[0].tolist()
EMPTY = [0.27, -0.48, 0.0]
"""A corner in which nothing is."""


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"pick": {"position": [300, 100, 20]}}, "is outside the bounds"),
        ({"place": {"position": [0.5, 0.0, -0.4]}}, "the place at [0.5, 0.0, -0.4] is outside the bounds"),
        ({"pick": {"position": EMPTY}}, "nothing is at the pick"),
        ({"pick": {"position": [*PICK[:2], 0.2]}}, "the pick is 0.200 m above the table, where the cameras see 0.040 m"),
        ({"place": {"position": PICK}}, "pick and place are the same"),
        ({"pick": {"position": PICK, "yaw": 0, "quaternion": [0, 0, 0, 1]}}, "yaw and quaternion say the same"),
        ({"pick": {"position": PICK, "quaternion": [0, 0, 0, 2]}}, "must have length 1"),
        ({"pick": {"position": [0, float("nan"), 0]}}, "must be 3 finite numbers"),
        ({"pick": {"positon": PICK}}, "pick must have a position"),
        ({"pick": None}, "pick must have a position"),
        ({"instruction": 7}, "instruction=7: must be a text"),
        ({"palce": {}}, "did you mean place?"),
    ],
)
def test_a_recording_with_a_mistake_is_refused_and_nothing_is_stored(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    record(tmp_path / "recordings" / "good", 1)
    record(tmp_path / "recordings" / "bad", 0, **changed)
    with pytest.raises(DataError) as failure:
        convert(settings(tmp_path / "recordings"), Recorder())
    assert told in str(failure.value)
    assert "good" not in str(failure.value)
    assert not (tmp_path / "data" / "own-cups-train").exists()
    assert (tmp_path / "data" / "own-cups-pictures" / "000.png").is_file(), "what could be read is drawn"


def test_scenes_that_lack_or_are_out_of_order_are_told(tmp_path: Path) -> None:
    lacks = record(tmp_path / "recordings" / "lacks", 0)
    (lacks / "1").rename(lacks / "2")
    broken = record(tmp_path / "recordings" / "broken", 0)
    (broken / "1" / "heights.npy").unlink()
    silent = record(tmp_path / "recordings" / "silent", 0)
    (silent / "actions.json").unlink()
    (silent / "0").rename(silent / "00")
    with pytest.raises(DataError) as failure:
        convert(settings(tmp_path / "recordings"), Recorder())
    assert "1 actions need the 2 scenes 0/ to 1/, one before each and one after the last; there are 0, 2" in str(failure.value)
    assert f"{broken / '1'}: lacks depth.png or depth.npy" in str(failure.value)
    assert f"{silent}: actions.json cannot be read" in str(failure.value)


def test_what_may_be_a_mistake_is_a_warning(tmp_path: Path) -> None:
    still = record(tmp_path / "recordings" / "0", 0, instruction=None)
    write_map(still / "1", episode(0).steps[0].view)
    tilted = pose(quaternion=quaternion_from_euler(0.5, 0, 0))[1].tolist()
    record(tmp_path / "recordings" / "1", 1, place={"position": episode(1).steps[0].action.place[0].tolist(), "quaternion": tilted})
    report = Recorder()
    convert(settings(tmp_path / "recordings"), report)
    warnings = [text for text in report.texts if text.startswith("WARNING")]
    for part in ("has no instruction", "see the same at the pick before and after it", "tilted by 29 degrees in place"):
        assert any(part in warning for warning in warnings), part


def test_flat_things_are_picked_if_one_says_so(tmp_path: Path) -> None:
    for number in (0, 1):
        record(tmp_path / "recordings" / f"{number}", number, pick={"position": EMPTY})
    convert(settings(tmp_path / "recordings", least=0.0), Recorder())
    assert (tmp_path / "data" / "own-cups-train" / "manifest.json").is_file()


def test_settings_with_mistakes_are_refused_together(recordings: Path) -> None:
    convert(settings(recordings), Recorder())
    with pytest.raises(ParameterError) as failure:
        convert(settings(recordings, workspace=WorkspaceConfig(pixel=0.001)), Recorder())
    assert "own-cups-train has demonstrations already" in str(failure.value)
    assert "workspace.bounds of 0.5 x 1 m have 500 x 1000 cells" in str(failure.value)
    with pytest.raises(ParameterError, match="name=a/b: must be letters"):
        convert(settings(recordings, name="a/b"), Recorder())
    with pytest.raises(ParameterError, match="n_val=5: must leave one of 5"):
        convert(settings(recordings, name="other", n_val=5), Recorder())
    with pytest.raises(DataError, match="has no recording"):
        convert(settings(recordings / "000" / "0", name="other"), Recorder())


def test_recorded_tasks_are_trained_on_and_not_simulated() -> None:
    assert settings_of(TrainConfig, ["train.task=own-cups"]).train.task == "own-cups"
    for schema, key in ((DemosConfig, "task"), (EvalConfig, "eval_task")):
        with pytest.raises(ParameterError, match="recorded demonstrations have no scene in the simulator"):
            settings_of(schema, [f"{key}=own-cups"])
    with pytest.raises(ParameterError, match="did you mean align-rope"):
        settings_of(TrainConfig, ["train.task=align-ropes"])


def test_too_few_recordings_are_told_with_what_makes_more(recordings: Path) -> None:
    convert(settings(recordings), Recorder())
    data = recordings.parent / "data"
    with pytest.raises(DataError, match=r"make more: python -m cliport\.data\.own folder=RECORDINGS name=cups"):
        open_demonstrations(data, "own-cups", "train", 100)
    assert demonstrations(data, "own-cups", "train").is_dir()
    assert own.ORIGIN in (data / "own-cups-train" / "manifest.json").read_text()
