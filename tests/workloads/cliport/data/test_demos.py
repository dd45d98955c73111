"""Making demonstrations: the original's seeds, only what is solved, and nothing lost when stopped."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.training import job_in

import cliport.demos
import cliport.rollout
from cliport.config import DemosConfig, RecordConfig
from cliport.data.reader import Demonstrations
from cliport.data.store import Manifest
from cliport.demos import demos, make_demos
from cliport.generation import seeds_after
from harness.errors import DataError
from harness.report import Recorder

ROOT = Path(__file__).resolve().parents[4]
TASK = "block-insertion-easy"


def made(data_dir: Path, report: Recorder | None = None, **settings: Any) -> Path:
    """The first folder that `make_demos` makes."""
    return make_demos(DemosConfig(**{"task": TASK, "debug_images": 0, **settings}), data_dir, report or Recorder())[0]


def digests(folder: Path) -> list[tuple[int, int, str]]:
    return [(entry.index, entry.seed, entry.sha256) for entry in Manifest.read(folder).entries]


def failing(*seeds: int) -> Callable[..., Any]:
    """A stand-in for the oracle that gives up on these seeds."""
    real = cliport.rollout.oracle

    def oracle(environment: Any, task: Any) -> Any:
        scripted = real(environment, task)
        return lambda *seen: None if environment.seed in seeds else scripted(*seen)

    return oracle


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four demonstrations made in one go, by this process."""
    return made(tmp_path_factory.mktemp("unbroken"), n=4)


def test_demonstrations_are_solved_scenes_of_even_seeds(unbroken: Path) -> None:
    demonstrations = Demonstrations(unbroken, n=4)
    for episode, seed in zip(demonstrations, (0, 2, 4, 6), strict=True):
        assert (episode.task, episode.seed) == (TASK, seed)
        assert episode.reward > 0.99
        assert all(step.instruction for step in episode.steps)
        assert {step.view.mask.max() > 0 for step in episode.steps} == {True}
        assert episode.steps[-1].info["task"] == TASK


def test_seeds_are_the_original_s() -> None:
    first = {mode: list(itertools.islice(seeds_after(None, mode), 3)) for mode in ("train", "val", "test")}
    assert first == {"train": [0, 2, 4], "val": [1, 3, 5], "test": [10001, 10003, 10005]}
    assert next(seeds_after(6, "train")) == 8
    assert next(seeds_after(10007, "test")) == 10009


def test_validation_never_meets_the_seeds_of_testing() -> None:
    assert next(seeds_after(9997, "val")) == 9999
    with pytest.raises(DataError, match="mode=val has reached seed 10001, where the seeds of mode=test begin"):
        next(seeds_after(9999, "val"))


def test_an_unsolved_scene_is_not_kept_and_the_next_seed_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliport.rollout, "oracle", failing(0, 4))
    report = Recorder()
    folder = made(tmp_path, report, n=2)
    assert [(index, seed) for index, seed, _ in digests(folder)] == [(0, 2), (1, 6)]
    assert f"{TASK}-train 0/2 seed 0: reward 0.000 in 0 actions, not kept" in report.texts
    assert report.texts[-1] == f"{folder}: 2 demonstrations; the oracle solved 2 of 4 scenes"


def test_an_oracle_that_always_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliport.rollout, "oracle", failing(2, 4, 6))
    with pytest.raises(DataError, match=f"the oracle of {TASK} solved none of 3 consecutive scenes; the last seed was 6"):
        made(tmp_path, n=3, attempts=3)
    assert [seed for _, seed, _ in digests(tmp_path / f"{TASK}-train")] == [0]


def test_several_processes_make_the_same_files_as_one(unbroken: Path, tmp_path: Path) -> None:
    assert digests(made(tmp_path, n=4, workers=2)) == digests(unbroken)


def test_a_run_goes_on_where_it_stopped_and_says_when_there_is_nothing_to_do(unbroken: Path, tmp_path: Path) -> None:
    report = Recorder()
    for n in (1, 4, 3):
        folder = made(tmp_path, report, n=n)
    assert digests(folder) == digests(unbroken)
    assert report.texts[-1] == f"{folder} already has 4 demonstrations and n=3: nothing to do"


def test_a_killed_run_leaves_whole_demonstrations_and_goes_on(unbroken: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cliport.demos", f"task={TASK}", f"data_dir={tmp_path}", "n=4", "debug_images=0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    started: dict[str, Any] = {"env": environment, "cwd": tmp_path, "text": True}
    process = subprocess.Popen([*command, "workers=2"], stdout=subprocess.PIPE, **started)
    try:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith(f"{TASK}-train 2/4"))
        (rank,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(rank), signal.SIGKILL)
    finally:
        process.communicate()
    left = digests(tmp_path / f"{TASK}-train")
    assert left == digests(unbroken)[: len(left)]
    assert left
    assert len(Demonstrations(tmp_path / f"{TASK}-train")) == len(left)

    again = subprocess.run([*command, "workers=1"], capture_output=True, **started)
    assert again.returncode == 0, again.stderr
    assert digests(tmp_path / f"{TASK}-train") == digests(unbroken)


def test_a_torn_demonstration_is_named_and_made_again_from_its_seed(unbroken: Path, tmp_path: Path) -> None:
    folder = made(tmp_path, n=2)
    os.truncate(folder / "episodes/000000-0.npz", 20)
    report = Recorder()
    made(tmp_path, report, n=1)
    assert report.texts[0].startswith(f"episode {folder / 'episodes/000000-0.npz'} has 20 bytes, but the manifest says")
    assert digests(folder) == digests(unbroken)[:2]


def test_training_validation_and_test_sets_can_be_made_at_once(tmp_path: Path) -> None:
    folders = make_demos(DemosConfig(task=TASK, n=1, n_val=1, n_test=1, debug_images=0), tmp_path, Recorder())
    assert [(folder.name, Demonstrations(folder)[0].seed) for folder in folders] == [
        (f"{TASK}-train", 0),
        (f"{TASK}-val", 1),
        (f"{TASK}-test", 10001),
    ]


def test_a_group_makes_each_of_its_tasks_by_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(cliport.demos, "make_missing", lambda settings, *_: asked.append((settings.task, settings.mode, settings.n)))
    make_demos(DemosConfig(task="multi-attr-packing-shapes", n=7, n_val=3), tmp_path, Recorder())
    assert len(asked) == 10
    assert asked[0] == ("align-rope", "train", 7)
    assert asked[-1] == ("packing-shapes", "val", 3)


def test_only_the_demonstrations_that_were_made_are_published(tmp_path: Path) -> None:
    other = tmp_path / "data" / "align-rope-train"
    other.mkdir(parents=True)
    job = job_in(tmp_path / "run", DemosConfig(task=TASK, n=1, debug_images=0, data_dir=str(tmp_path / "data")))
    demos(job)
    (published,) = (tmp_path / "run" / "made").iterdir()
    assert published.resolve() == tmp_path / "data" / f"{TASK}-train"
    assert len(Demonstrations(published)) == 1
    assert any(f"dataset_path={tmp_path / 'run' / 'made'}" in text for text in job.report.texts)


def test_nothing_is_kept_when_data_is_not_to_be_saved(tmp_path: Path) -> None:
    report = Recorder()
    folder = made(tmp_path, report, n=1, save_data=False)
    assert list(folder.rglob("*")) == []
    assert report.texts[-1].endswith("the oracle solved 1 of 1 scenes")


def test_what_is_kept_is_shown_and_filmed_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliport.rollout, "oracle", failing(0))
    report, record = Recorder(), RecordConfig(save_video=True, video_height=64, video_width=64)
    folder = made(tmp_path, report, n=1, debug_images=1, record=record)
    assert [path.name for path in (folder / "videos").iterdir()] == ["000001.mp4"]
    assert [(title, series) for title, series, _, _ in report.images] == [(f"{TASK}-train", "000000")]


def test_without_a_server_a_run_says_where_its_data_set_is(tmp_path: Path) -> None:
    """Slow parts are Python's start and one episode; what a server adds is tested with the harness."""
    script = [
        sys.executable,
        ROOT / "clearml_tasks/cliport/clearml_train.py",
        "command=demos",
        f"task={TASK}",
        "n=1",
        f"output_dir={tmp_path}",
    ]
    offline = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "HARNESS_"))}
    environment = {**offline, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    run = subprocess.run(script, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    [manifest] = tmp_path.rglob("manifest.json")
    assert f"cliport-{TASK} is in {manifest.parents[1]}; to use it, give dataset_path={manifest.parents[1]}" in run.stdout
