"""`predict`: a folder of pictures and instructions in, poses of one's own robot, trust and pictures out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import original_rule as rule
import pytest
import torch
from numbers_of_original import KEYS, Numbers
from own_scenes import HighestStandIn, photograph, write_map, write_scene
from PIL import Image
from scenes import episode
from small import agent_of
from support.lines import understood
from support.training import job_in

from cliport.agents.checkpoint import KEY, description
from cliport.agents.frozen import Weights
from cliport.config import PredictConfig, WorkspaceConfig
from cliport.own.answer import trust_in
from cliport.own.predictor import Predictor
from cliport.own.workspace import Workspace
from cliport.predict import load, predict
from cliport.sim.constants import BOUNDS, IMAGE_SHAPE, PIXEL
from cliport.sim.environment import Environment
from cliport.sim.observation import HeightMap
from cliport.sim.poses import matrix, pose, quaternion_from_euler
from cliport.sim.shapes import box
from harness.errors import CheckpointError, DataError, ParameterError
from harness.report import Recorder

TEXT = "put the red block in the green bowl"
PAGE = Path(__file__).parents[4] / "docs/workloads/cliport-own.md"


def checkpoint(path: Path, agent: str = "cliport", **options: Any) -> Path:
    """A checkpoint as `train` writes it, of a small agent with random weights."""
    made = agent_of(agent, **options)
    state = {f"agent.{key}": value for key, value in made.state_dict().items()}
    torch.save({"state_dict": state, KEY: description(made, Weights("random"))}, path)
    return path


def seen(seed: int = 0) -> HeightMap:
    view = episode(seed).steps[0].view
    assert view is not None
    return view


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "last.ckpt")


def run(tmp_path: Path, folder: Path, init_from: Path | None, **settings: Any) -> tuple[list[dict[str, Any]], Recorder, Path]:
    report = Recorder()
    job = job_in(tmp_path / "run", PredictConfig(folder=str(folder), **settings), report=report, init_from=init_from)
    return predict(job), report, tmp_path / "run" / "answers"


class TestFolder:
    def test_every_scene_is_answered_as_the_agent_acts(self, ours: Path, tmp_path: Path) -> None:
        for number in range(3):
            write_map(tmp_path / "scenes" / f"{number}", seen(number), TEXT if number else "")
        (tmp_path / "scenes" / "instruction.txt").write_text("do it")
        answers, report, folder = run(tmp_path, tmp_path / "scenes", ours, debug_images=2)
        assert [(answer["scene"], answer["instruction"]) for answer in answers] == [("0", "do it"), ("1", TEXT), ("2", TEXT)]
        written = json.loads((folder / "answers.json").read_text())
        assert written["answers"] == answers
        assert (written["agent"], written["checkpoint"]) == ("cliport", str(ours))
        assert written["workspace"] == {"bounds": BOUNDS.ravel().tolist(), "pixel": PIXEL}
        for answer in answers:
            decision = agent_of().act(seen(int(answer["scene"])), answer["instruction"])
            action = decision.action(seen(int(answer["scene"])).height)
            for name, stated in (("pick", action.pick), ("place", action.place)):
                assert answer[name]["position"] == pytest.approx(stated[0], abs=1e-7)
                assert answer[name]["quaternion"] == pytest.approx(stated[1])
                assert 0 < answer[name]["confidence"] <= 1
            assert answer["place"]["yaw"] == decision.angle
            with Image.open(folder / answer["picture"]) as picture:
                assert picture.width == 720
        assert [series for _, series, *_ in report.images] == ["0", "2"], "the others are in the folder alone"
        assert report.artifacts["answers"] == folder

    def test_several_instructions_in_one_scene(self, ours: Path, tmp_path: Path) -> None:
        write_map(tmp_path / "scenes" / "table", seen())
        (tmp_path / "scenes" / "requests.csv").write_text(f"scene,instruction\ntable,{TEXT}\ntable,stack it\n")
        answers, _, folder = run(tmp_path, tmp_path / "scenes", ours)
        assert [answer["instruction"] for answer in answers] == [TEXT, "stack it"]
        assert {path.name for path in folder.glob("*.png")} == {"000-table.png", "001-table.png"}

    def test_all_mistakes_of_all_scenes_are_told_before_the_first_answer(self, ours: Path, tmp_path: Path) -> None:
        write_map(tmp_path / "scenes" / "a", seen(), TEXT)
        write_map(tmp_path / "scenes" / "b", seen())
        np.save(write_map(tmp_path / "scenes" / "c", seen(), TEXT) / "heights.npy", 1000 * seen().height)
        (write_map(tmp_path / "scenes" / "d", seen(), TEXT) / "heights.npy").unlink()
        (write_map(tmp_path / "scenes" / "e", seen(), TEXT) / "color.png").unlink()
        with pytest.raises(DataError) as failure:
            run(tmp_path, tmp_path / "scenes", ours)
        told = str(failure.value)
        assert "scenes/b: the agent cliport needs an instruction" in told
        assert "scenes/c: heights: must be metres below the bounds' 0.28, reach 40" in told
        assert "scenes/d: lacks depth.png or depth.npy" in told
        assert "scenes/e: lacks color.png" in told
        assert "scenes/a" not in told
        assert not (tmp_path / "run" / "answers").exists()

    def test_an_agent_without_language_needs_no_instruction_and_one_with_a_goal_a_goal(self, tmp_path: Path) -> None:
        scenes = write_map(tmp_path / "scenes", seen())
        answers, _, _ = run(tmp_path, scenes, checkpoint(tmp_path / "a.ckpt", "transporter"))
        assert answers[0]["instruction"] == ""
        shown = checkpoint(tmp_path / "b.ckpt", "image_goal_transporter")
        with pytest.raises(DataError, match=r"lacks goal_color\.png"):
            run(tmp_path, scenes, shown)
        write_map(scenes, seen(1), prefix="goal_")
        answers, _, _ = run(tmp_path, scenes, shown)
        decision = agent_of("image_goal_transporter").act(seen(), "", seen(1))
        assert answers[0]["pick"]["pixel"] == list(decision.pick)

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"workspace": WorkspaceConfig([0.0, 1.0, 0.0, 1.0, 0.0, 0.2])}, "workspace.bounds of 1 x 1 m"),
            ({"workspace": WorkspaceConfig([0.0, 1.0])}, "workspace.bounds=[0.0, 1.0]: must be six numbers"),
            ({"instruction": "stack it"}, "has no scene"),
        ],
    )
    def test_settings_with_a_mistake_are_refused(self, ours: Path, tmp_path: Path, settings: dict[str, Any], told: str) -> None:
        (tmp_path / "scenes").mkdir()
        with pytest.raises(ParameterError) as failure:
            run(tmp_path, tmp_path / "scenes", ours, **settings)
        assert told in str(failure.value)

    def test_without_a_checkpoint_nothing_is_answered(self, tmp_path: Path) -> None:
        scenes = write_map(tmp_path / "scenes", seen(), TEXT)
        with pytest.raises(ParameterError, match="init_from is required"):
            run(tmp_path, scenes, None)
        with pytest.raises(CheckpointError, match="there is no such checkpoint file"):
            run(tmp_path, scenes, tmp_path / "nothing.ckpt")

    def test_an_agent_that_diverged_is_refused(self, tmp_path: Path) -> None:
        path = checkpoint(tmp_path / "last.ckpt", "transporter")
        stored = torch.load(path, weights_only=True)
        next(iter(stored["state_dict"].values())).fill_(math.nan)
        torch.save(stored, path)
        with pytest.raises(CheckpointError, match="non-finite weights"):
            run(tmp_path, write_map(tmp_path / "scenes", seen()), path)


def test_the_data_are_a_folder_or_a_dataset_and_the_checkpoint_has_the_names_of_eval() -> None:
    found = understood("cliport", "predict", "folder=scenes", "checkpoint=last.ckpt")
    assert found.reserved["init_from"] == "last.ckpt"
    assert understood("cliport", "predict", "dataset_path=scenes", "model_path=last.ckpt").reserved["dataset_path"] == "scenes"
    with pytest.raises(ParameterError, match=r"dataset_id is required.*folder"):
        understood("cliport", "predict", "init_from=last.ckpt")


def test_a_checkpoint_of_the_original_answers_for_pictures_as_its_own_code_acted(tmp_path: Path) -> None:
    """Its transporter with the rule's weights and views: `../fixtures/README.md` says how its own `act` was run on them."""
    torch.save({"state_dict": rule.state_dict(KEYS["transporter"])}, tmp_path / "last.ckpt")
    (tmp_path / "hydra.yaml").write_text(f"train: {{n_rotations: {rule.ROTATIONS}}}\n")
    color, height = rule.view(rule.VIEW)
    scene = write_map(tmp_path / "scene", HeightMap(color, height, np.zeros(IMAGE_SHAPE, np.int32)))
    (answer,), _, _ = run(tmp_path, scene, tmp_path / "last.ckpt", agent="transporter", train_config=str(tmp_path / "hydra.yaml"))
    expected = Numbers("transporter")
    for name, number in (("pick", 0), ("place", 1)):
        assert answer[name]["pixel"] == expected[f"act_{name}"][:2].tolist()
        assert answer[name]["position"] + answer[name]["quaternion"] == pytest.approx(expected[f"act_pose{number}"].tolist(), abs=1e-7)


class TestPython:
    def test_five_lines_ask_an_agent(self, ours: Path) -> None:
        agent = load(ours, say=lambda _: None)
        answer = agent.act(seen(), TEXT)
        assert answer.pick.pixel == agent_of().act(seen(), TEXT).pick
        assert answer.picture().width == 720

    def test_the_lines_of_the_page_run(self, ours: Path, table: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        table.reset(OneBlock(), 0, observe=False)
        folder = write_scene(ours.parent / "scene", photograph(table))
        ours.rename(folder / "last.ckpt")
        (text,) = re.findall(r'^```python title="ask.py"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
        monkeypatch.chdir(folder)
        exec(compile(text, "ask.py", "exec"), {})
        with Image.open(folder / "answer.png") as picture:
            assert picture.width == 720

    def test_what_the_agent_needs_is_asked_for(self, ours: Path) -> None:
        agent = load(ours, say=lambda _: None)
        with pytest.raises(ParameterError, match="needs an instruction"):
            agent.act(seen(), " ")
        with pytest.raises(DataError, match="there is no view"):
            agent.act([], TEXT)


def test_trust_is_the_probability_within_a_centimetre() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random((160, 80)).astype(np.float32)
    chances /= chances.sum()
    expected = sum(
        float(chances[row, column])
        for row in range(160)
        for column in range(80)
        if math.hypot(2 * (row - 50) * PIXEL, 2 * (column - 20) * PIXEL) <= 0.01
    )
    assert trust_in(chances, (101, 41), seen()) == pytest.approx(expected)
    chances[:], chances[50, 20] = 0, 1
    assert trust_in(chances, (101, 41), seen()) == 1


@pytest.fixture(scope="module")
def table() -> Iterator[Environment]:
    with Environment() as made:
        yield made


class OneBlock:
    """A task of one block, whose pose is known."""

    name, ee, lift = "one-block", "suction", None

    def reset(self, env: Environment) -> None:
        x, y, yaw = env.rng.uniform([0.35, -0.4, -3], [0.65, -0.1, 3]).tolist()
        self.body = env.add(box(), pose((x, y, 0.02), quaternion_from_euler(0, 0, yaw)), "rigid", (0.9, 0.1, 0.1))

    def reward(self) -> tuple[float, dict[str, Any]]:
        return 0.0, {}

    def done(self) -> bool:
        return False

    def language(self) -> str:
        return "take it"


class TestAnotherCamera:
    """One that is none of the simulator's three, and a stand-in for the agent: whether answers are where the block truly is."""

    @pytest.mark.parametrize("seed", range(4))
    def test_the_pick_is_on_top_of_the_block_and_where_the_camera_sees_it(self, table: Environment, seed: int, tmp_path: Path) -> None:
        task = OneBlock()
        table.reset(task, seed, observe=False)
        view = photograph(table)
        answer = Predictor(HighestStandIn()).act([view])
        (x, y, _), _ = table.pose(task.body)
        assert answer.pick.position == pytest.approx([x, y, 0.04], abs=0.004)
        row, column = answer.map.mask.shape[0] // 2, answer.map.mask.shape[1] // 2
        assert answer.place.pixel == (row, column)
        told = answer.plain([view.camera])
        u, v = told["pick"]["image_pixels"][0]
        red, green, _ = view.color[round(v), round(u)]
        assert red > 2 * green, "the block is red there"
        assert matrix(answer.place.pose[1])[:, 0] == pytest.approx([0, 1, 0]), "turned by a quarter"

    def test_files_in_millimetres_give_the_same_within_a_millimetre(self, table: Environment, tmp_path: Path) -> None:
        from cliport.own.scene import sight

        table.reset(OneBlock(), 1, observe=False)
        view = photograph(table)
        read = sight(write_scene(tmp_path / "scene", view), Workspace()).map
        direct, through = Predictor(HighestStandIn()).act([view]), Predictor(HighestStandIn()).act(read)
        assert through.pick.position == pytest.approx(direct.pick.position, abs=0.004)
        assert abs(through.pick.position[2] - direct.pick.position[2]) < 0.001

    def test_a_frame_of_ones_own_and_larger_cells_give_poses_in_that_frame(self, table: Environment) -> None:
        """The robot's base a quarter turned and moved: its x is the simulator's y."""
        task = OneBlock()
        table.reset(task, 2, observe=False)
        view = photograph(table)
        frame = np.array([[0, 1, 0, 2.0], [-1, 0, 0, 1.0], [0, 0, 1, -0.5], [0, 0, 0, 1]])
        camera = np.eye(4)
        camera[:3, :3], camera[:3, 3] = view.camera.rotation, view.camera.position
        mine = {key: getattr(view.camera, key) for key in ("fx", "fy", "cx", "cy", "width", "height")}
        moved = type(view.camera).of({**mine, "matrix": (frame @ camera).tolist()})
        workspace = Workspace((1.5, 2.3, 0.25, 0.75, -0.5, -0.2), 0.005)
        answer = Predictor(HighestStandIn(), workspace).act([type(view)(view.color, view.depth, moved)])
        (x, y, _), _ = table.pose(task.body)
        assert answer.pick.position == pytest.approx((frame @ [x, y, 0.04, 1])[:3], abs=0.005)

    def test_what_no_camera_sees_is_doubted(self, table: Environment) -> None:
        table.reset(OneBlock(), 0, observe=False)
        view = photograph(table)
        blind = type(view)(view.color, view.depth.copy(), view.camera)
        hidden = np.linalg.norm(view.camera.points(view.depth)[:, :2] - [0.5, 0.0], axis=1) < 0.05  # around the middle of the map
        blind.depth[hidden.reshape(view.depth.shape)] = 0
        answer = Predictor(HighestStandIn()).act([blind])
        assert answer.seen < Predictor(HighestStandIn()).act([view]).seen
        assert answer.doubts == ["no camera sees the place, so its height is the table's"]
