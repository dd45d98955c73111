"""Evaluation: recorded scenes come back as they were, and what an agent achieves in them ends up in the results file."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pytest
from support.training import job_in, judged_by

from cliport.config import DemosConfig, EvalConfig, RecordConfig
from cliport.data.codec import HEIGHT_UNIT, encode
from cliport.data.episode_source import EpisodeSource
from cliport.data.reader import open_demonstrations
from cliport.data.store import opened
from cliport.demos import make_demos
from cliport.eval import evaluate
from cliport.results import add, read
from cliport.sim.action import Action
from cliport.sim.environment import Environment
from cliport.sim.fusion import fuse
from cliport.sim.observation import HeightMap
from cliport.tasks import make
from harness import Job
from harness.errors import CheckpointError, DataError
from harness.report import Recorder

TASK = "block-insertion-easy"
FIXTURES = Path(__file__).with_name("fixtures")
EARLY, LATE = "steps=00010-val_loss=0.50000000.ckpt", "steps=00020-val_loss=0.40000000.ckpt"


@dataclass(frozen=True)
class Fixed:
    """A decision that is known beforehand."""

    stated: Action

    def action(self, heights: np.ndarray) -> Action:
        return self.stated


class Replay:
    """A stand-in for an agent: does what was recorded for exactly the view that it sees. It shows that scenes are the recorded ones."""

    origin, cells = "no weights: a recording", "exact"

    def __init__(self, source: EpisodeSource) -> None:
        self.steps = [step for episode in source for step in episode.steps if step.action is not None]

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Fixed:
        assert goal is not None
        [step] = [step for step in self.steps if np.array_equal(step.view.color, view.color)]
        assert np.abs(step.view.height - view.height).max() <= HEIGHT_UNIT
        assert step.instruction == language
        return Fixed(step.action)


class Idle:
    """A stand-in for an agent that has learned nothing: it reaches into an empty corner."""

    origin, cells = "no weights", "exact"

    def __init__(self) -> None:
        self.seen: list[HeightMap] = []

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Fixed:
        self.seen.append(view)
        pose = (np.array([0.26, -0.49, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]))
        return Fixed(Action(pose, pose))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstrations to validate on and two to test on."""
    data_dir = tmp_path_factory.mktemp("data")
    for mode in ("val", "test"):
        make_demos(DemosConfig(task=TASK, mode=mode, n=2, debug_images=0), data_dir, Recorder())
    return data_dir


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (EARLY, LATE, "last.ckpt"):
        (folder / name).touch()
    return folder


@dataclass
class Bench:
    """An evaluation of stand-ins: the late checkpoint has learned everything, the others nothing."""

    data_dir: Path
    checkpoints: Path

    def job(self, data_dir: Path | None = None, **stated: Any) -> Job:
        paths = {"model_path": str(self.checkpoints), "save_path": str(self.checkpoints)}
        settings = EvalConfig(**{"eval_task": TASK, "n_demos": 2, "debug_images": 0, **paths, **stated})
        return job_in(self.checkpoints.parent / "run", settings, data_dir or self.data_dir)

    def run(self, **stated: Any) -> tuple[dict[str, dict[str, Any]], Any]:
        job = self.job(**stated)
        return evaluate(job, self.loader(job.settings)), job.report

    def loader(self, settings: EvalConfig) -> Callable[[Path], Any]:
        def load(path: Path) -> Any:
            if path.name != LATE:
                return Idle()
            return Replay(open_demonstrations(self.data_dir, settings.eval_task, settings.mode))

        return load


@pytest.fixture
def bench(data_dir: Path, checkpoints: Path) -> Bench:
    return Bench(data_dir, checkpoints)


def rewards(entry: dict[str, Any]) -> list[float]:
    return [reward for reward, _ in entry["episodes"]]


def test_scenes_of_other_rules_are_refused_before_any_work(bench: Bench, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(bench.data_dir, older)
    manifest = older / f"{TASK}-val" / "manifest.json"
    manifest.write_text(json.dumps({key: value for key, value in json.loads(manifest.read_text()).items() if key != "rules"}))
    job = bench.job(older)
    with pytest.raises(DataError, match=f"{TASK}-val has demonstrations made under rules 1, .*make them anew"):
        evaluate(job, bench.loader(job.settings))
    assert not list(bench.checkpoints.glob("*.json"))


def test_checkpoints_are_validated_and_the_best_one_is_tested(bench: Bench) -> None:
    found, report = bench.run(mode="val")
    assert {name: rewards(entry) for name, entry in found.items()} == {EARLY: [0.0, 0.0], LATE: pytest.approx([1.0, 1.0])}
    validation = bench.checkpoints / f"{TASK}-cliport-n2-results-val.json"
    assert json.loads(validation.read_text()) == found
    assert report.artifacts == {"results": validation}
    assert report.scalars[f"{TASK} val", "mean reward"] == [(10, 0.0), (20, pytest.approx(1.0))]
    told = f"{TASK} val, {LATE}: mean reward 1.000 [1.000, 1.000], success 1.000 [0.342, 1.000], 95% intervals; no weights: a recording"
    assert told in report.texts
    assert judged_by("cliport", report) == (f"{TASK} val/success", set())

    found, _ = bench.run(mode="test", checkpoint_type="test_best")
    assert list(found) == [LATE]
    assert rewards(found[LATE]) == pytest.approx([1.0, 1.0])
    assert (bench.checkpoints / f"{TASK}-cliport-n2-results-test.json").exists()


def test_checkpoints_with_results_are_skipped_unless_update_results(bench: Bench) -> None:
    first, _ = bench.run(checkpoint_type="00020")
    assert list(first) == [LATE]
    second, _ = bench.run()
    assert list(second) == [EARLY]
    third, report = bench.run()
    assert third == {}
    assert report.texts[-1].endswith("already has all results; update_results=True evaluates again")
    again, _ = bench.run(update_results=True, checkpoint_type="00020")
    assert again == first
    assert set(json.loads((bench.checkpoints / f"{TASK}-cliport-n2-results-val.json").read_text())) == {EARLY, LATE}


def test_checkpoints_that_another_process_has_just_evaluated_are_skipped(bench: Bench) -> None:
    job = bench.job()
    load, file = bench.loader(job.settings), bench.checkpoints / f"{TASK}-cliport-n2-results-val.json"
    theirs = {"episodes": [], "mean_reward": 0.125}

    def slow(path: Path) -> Any:
        add(file, LATE, theirs)
        return load(path)

    assert list(evaluate(job, slow)) == [EARLY]
    found = read(file)
    assert found[LATE] == theirs
    assert rewards(found[EARLY]) == [0.0, 0.0]


def form(value: Any) -> Any:
    """A value without its numbers and texts, and every body as the next."""
    if isinstance(value, dict):
        return {"body" if key.isdecimal() else key: form(item) for key, item in value.items()}
    return [form(item) for item in value] if isinstance(value, list) else "number" if isinstance(value, int | float) else type(value)


def test_an_episode_s_info_holds_the_bodies_as_the_original_s_does(bench: Bench) -> None:
    """fixtures/results.json was written by its eval.py. The poses are those that PyBullet gives when the actions are done again."""
    bench.run(checkpoint_type="00020", n_demos=1)
    file = bench.checkpoints / f"{TASK}-cliport-n1-results-val.json"
    [entry], [theirs] = (json.loads(path.read_text()).values() for path in (file, FIXTURES / "results.json"))
    assert form(entry["episodes"]) == form(theirs["episodes"])
    [[_, info]], [facts] = entry["episodes"], entry["facts"]
    assert (facts["task"], facts["seed"]) == (TASK, 1)
    [recorded, *_] = open_demonstrations(bench.data_dir, TASK, "val")
    with Environment() as environment:
        environment.reset(make(TASK, "val"), recorded.seed, observe=False)
        for step in recorded.steps[:-1]:
            environment.step(step.action, observe=False)
        there = {
            str(body): pybullet.getBasePositionAndOrientation(body, environment.client)
            for bodies in environment.objects.values()
            for body in bodies
        }
    assert info.pop("lang_goal") == recorded.steps[-1].instruction
    assert {body: (position, quaternion) for body, (position, quaternion, _) in info.items()} == {
        body: (pytest.approx(position), pytest.approx(quaternion)) for body, (position, quaternion) in there.items()
    }
    assert [0.08, 0.08, 0.04] in [size for _, _, size in info.values()]  # the block's, an L of that size


def test_without_save_results_no_file_is_written(bench: Bench) -> None:
    found, _ = bench.run(checkpoint_type="last", save_results=False)
    assert rewards(found["last.ckpt"]) == [0.0, 0.0]
    assert not list(bench.checkpoints.glob("*.json"))


def test_repeats_are_all_in_the_file(bench: Bench) -> None:
    found, _ = bench.run(checkpoint_type="00020", n_repeats=2, n_demos=1)
    assert rewards(found[LATE]) == pytest.approx([1.0, 1.0])
    assert found[LATE]["success_interval"] == [1.0, 1.0]


@pytest.mark.parametrize("task", [TASK, "place-red-in-green"])
def test_a_recorded_seed_gives_the_recorded_scene_whatever_came_before(task: str, tmp_path: Path) -> None:
    make_demos(DemosConfig(task=task, mode="test", n=1, debug_images=0), tmp_path, Recorder())
    [recorded] = open_demonstrations(tmp_path, task, "test")
    with Environment() as environment:
        environment.reset(make("stack-block-pyramid-seq-unseen-colors", "val"), 3)
        for _ in range(2):
            view = fuse(environment.reset(make(task, "test"), recorded.seed))
            assert np.array_equal(view.color, recorded.steps[0].view.color)
            assert np.array_equal(view.mask, recorded.steps[0].view.mask)
            assert np.abs(view.height - recorded.steps[0].view.height).max() <= HEIGHT_UNIT
            assert environment.info["lang_goal"] == recorded.steps[0].instruction


def test_an_agent_of_the_originals_geometry_sees_such_height_maps(bench: Bench) -> None:
    """Half a cell from the recorded ones, which is said, and they are not taken for another scene."""
    agent = Idle()
    agent.cells = "original"
    job = bench.job(checkpoint_type="last", n_demos=1)
    evaluate(job, lambda _: agent)
    [recorded, *_] = open_demonstrations(bench.data_dir, TASK, "val")
    away = np.abs(agent.seen[0].height - recorded.steps[0].view.height)
    assert (away > 1e-4).mean() > 0.01
    said = "last: the agent sees height maps of original geometry; the recorded ones have exact geometry"
    assert any(text.startswith(said) for text in job.report.texts)
    assert not any("differ from the recorded ones" in text for text in job.report.texts)


def test_scenes_that_differ_from_the_recorded_ones_are_reported(bench: Bench, tmp_path: Path) -> None:
    [*_, recorded] = open_demonstrations(bench.data_dir, TASK, "val")
    first = recorded.steps[0]
    raised = dataclasses.replace(first, view=dataclasses.replace(first.view, height=first.view.height + 0.05))
    other = dataclasses.replace(recorded, steps=(raised, *recorded.steps[1:]))
    with opened(tmp_path / "other" / f"{TASK}-val", TASK, "val") as store:
        store.add(other.seed, other.actions, other.reward, encode(other))
    bench.data_dir = tmp_path / "other"
    _, report = bench.run(checkpoint_type="last", n_demos=1)
    assert "1 of 1 scenes differ from the recorded ones: the demonstrations come from another simulator" in report.texts


def test_a_group_s_tasks_take_turns_and_the_names_say_multi(bench: Bench) -> None:
    found, report = bench.run(
        eval_task="multi-attr-packing-shapes",
        model_task="multi-all",
        checkpoint_type="last",
        n_demos=1,
        data_dir=shapes(bench.data_dir),
    )
    assert len(found["last.ckpt"]["episodes"]) == 1
    assert any("last 1/1 packing-shapes seed 1:" in text for text in report.texts)
    assert (bench.checkpoints / "multi-attr-packing-shapes-cliport-n1-multi-results-val.json").exists()


def shapes(data_dir: Path) -> Path:
    """A demonstration that says it is of packing-shapes, in the seeds of another task: the scene is made by the task, not by the file."""
    [recorded, *_] = open_demonstrations(data_dir, TASK, "val")
    folder = data_dir / "shapes" / "packing-shapes-val"
    with opened(folder, "packing-shapes", "val") as store:
        if not len(store):
            renamed = dataclasses.replace(recorded, task="packing-shapes")
            store.add(renamed.seed, renamed.actions, renamed.reward, encode(renamed))
    return folder.parent


def test_every_scene_is_filmed_by_the_original_s_name(bench: Bench, tmp_path: Path) -> None:
    record = RecordConfig(save_video=True, save_video_path=str(tmp_path / "videos"), video_height=64, video_width=64)
    _, report = bench.run(checkpoint_type="00020", record=record, n_demos=1)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == [f"{TASK}-000001.mp4"]
    assert report.artifacts["videos"] == tmp_path / "videos"


def test_scenes_are_shown_as_they_ended(bench: Bench) -> None:
    _, report = bench.run(checkpoint_type="00020", debug_images=1)
    assert [(title, series, step) for title, series, _, step in report.images] == [(f"eval {LATE.removesuffix('.ckpt')}", "000", 20)]


@dataclass(frozen=True)
class Mapped(Fixed):
    """A decision with an agent's maps."""

    pick: tuple[int, int] = (30, 20)
    place: tuple[int, int] = (200, 100)
    angle: float = 0.5
    pick_map: np.ndarray = field(default_factory=lambda: np.full((320, 160), 1 / 51200, np.float32))
    place_map: np.ndarray = field(default_factory=lambda: np.full((2, 320, 160), 1 / 102400, np.float32))


class Lost(Idle):
    """A stand-in for an agent that has learned nothing, with heat maps."""

    def act(self, view: HeightMap, language: str, goal: HeightMap | None = None) -> Fixed:
        return Mapped(super().act(view, language, goal).stated)


def test_what_an_agent_wanted_is_shown_of_scenes_that_it_did_not_solve_and_of_these_alone(bench: Bench) -> None:
    job = bench.job(debug_images=1, checkpoint_type="last")
    evaluate(job, lambda path: Lost())
    assert [(series, step) for title, series, _, step in job.report.images if title == "failures last"] == [("000", 0)], "one of two"
    (picture,) = [image for title, _, image, _ in job.report.images if title == "failures last"]
    assert picture.width > 720, "an action beside another"
    _, report = bench.run(debug_images=2, checkpoint_type="00020", update_results=True)
    assert not [title for title, *_ in report.images if title.startswith("failures")], "all were solved"
    _, report = bench.run(debug_images=2, checkpoint_type="00010", update_results=True)
    assert not [title for title, *_ in report.images if title.startswith("failures")], "an agent without maps has nothing to show"


def test_what_is_missing_is_told_before_any_agent_is_made(bench: Bench) -> None:
    def never(path: Path) -> Any:
        raise AssertionError(path)

    with pytest.raises(DataError, match="has 2 complete demonstrations, but n=50 are needed; make more"):
        evaluate(bench.job(n_demos=50), never)
    with pytest.raises(DataError, match=f"align-rope-val: there are no demonstrations; .*{TASK}-test, {TASK}-val"):
        evaluate(bench.job(eval_task="align-rope"), never)
    with pytest.raises(CheckpointError, match="checkpoint_type=0003: no such checkpoint"):
        evaluate(bench.job(checkpoint_type="0003"), never)
