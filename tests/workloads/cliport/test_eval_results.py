"""Results files: the original's format and names, whole at any time, and shared by several evaluators."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from cliport.confidence import bootstrap, wilson
from cliport.results import EpisodeResult, add, best_checkpoint, exclusive, file_name, read, summary
from harness.errors import DataError

ENTRY = {"episodes": [[1.0, {"lang_goal": "go"}]], "mean_reward": 1.0}


def outcomes(*rewards: float) -> list[EpisodeResult]:
    return [EpisodeResult(reward, {"lang_goal": "go", "pose": np.zeros(3)}) for reward in rewards]


def test_the_file_s_name_is_the_original_s() -> None:
    assert file_name("align-rope", "cliport", 100, "val", multi=False) == "align-rope-cliport-n100-results-val.json"
    assert file_name("align-rope", "cliport", 10, "test", multi=True) == "align-rope-cliport-n10-multi-results-test.json"


def test_an_entry_has_what_the_original_reads(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    add(file, "steps=05000-val_loss=0.1.ckpt", summary([outcomes(1.0, 0.5, 0.0)], "random"))
    entry = json.loads(file.read_text())["steps=05000-val_loss=0.1.ckpt"]
    assert entry["mean_reward"] == np.mean([reward for reward, info in entry["episodes"]]) == 0.5
    assert entry["episodes"][1] == [0.5, {"lang_goal": "go", "pose": [0.0, 0.0, 0.0]}]
    assert entry["weights"] == "random"


def test_success_is_a_reward_above_99_hundredths_and_both_numbers_have_an_interval() -> None:
    entry = summary([outcomes(1.0, 0.995, 0.99, 0.2)], "")
    assert entry["success"] == 0.5
    assert entry["success_interval"] == list(wilson(2, 4))
    low, high = entry["mean_reward_interval"]
    assert 0.2 <= low < entry["mean_reward"] < high <= 1.0


def test_repeating_scenes_does_not_narrow_the_interval() -> None:
    once, thrice = summary([outcomes(*[1.0, 0.0] * 5)], ""), summary([outcomes(*[1.0, 0.0] * 5)] * 3, "")
    assert len(thrice["episodes"]) == 30
    assert thrice["mean_reward"] == once["mean_reward"] == 0.5
    assert thrice["mean_reward_interval"] == once["mean_reward_interval"]
    assert np.allclose(thrice["success_interval"], once["success_interval"], atol=0.1)


def test_entries_of_several_evaluators_end_up_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(add, [(file, f"steps={step:05d}.ckpt", {**ENTRY, "mean_reward": step / 100}) for step in range(40)])
    assert {name: entry["mean_reward"] for name, entry in read(file).items()} == {
        f"steps={step:05d}.ckpt": step / 100 for step in range(40)
    }
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results.json"
    add(file, "one.ckpt", ENTRY)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        add(file, "two.ckpt", ENTRY)
    monkeypatch.undo()
    assert list(read(file)) == ["one.ckpt"]
    assert list(tmp_path.iterdir()) == [file]


def test_waiting_for_another_evaluator_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliport.results.LOCK_SECONDS", 0.01)
    file = tmp_path / "results.json"
    with exclusive(file), pytest.raises(DataError, match=r"results\.json: another evaluator has held the lock"):
        add(file, "one.ckpt", ENTRY)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a.ckpt": {}}', '{"a.ckpt": {"mean_reward": "x", "episodes": []}}', "\udcff"])
def test_a_file_that_is_not_a_results_file_is_named_and_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(os.fsencode(text))
    with pytest.raises(DataError, match=r"results\.json is not a results file"):
        add(file, "one.ckpt", ENTRY)
    assert file.read_bytes() == os.fsencode(text)


def test_the_best_checkpoint_is_that_of_the_validation_with_the_most_scenes(tmp_path: Path) -> None:
    def write(n: int, multi: bool, **rewards: float) -> None:
        for name, reward in rewards.items():
            add(tmp_path / file_name("align-rope", "cliport", n, "val", multi), name, {"episodes": [], "mean_reward": reward})

    assert best_checkpoint(tmp_path, "align-rope", "cliport", multi=False) is None
    write(5, False, early=0.9, late=0.1)
    write(100, False, early=0.4, late=0.6)
    write(20, True, early=0.9, late=0.1)
    assert best_checkpoint(tmp_path, "align-rope", "cliport", multi=False) == "late"
    assert best_checkpoint(tmp_path, "align-rope", "cliport", multi=True) == "early"
    assert best_checkpoint(tmp_path, "align-rope", "transporter", multi=False) is None


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [(0, 10, (0.0, 0.27753)), (10, 10, (0.72247, 1.0)), (5, 10, (0.23659, 0.76341)), (81, 263, (0.25533, 0.36621)), (0, 0, (0.0, 1.0))],
)
def test_wilson_s_interval_equals_the_published_one(successes: int, trials: int, interval: tuple[float, float]) -> None:
    """81 of 263 is Newcombe's example (Statistics in Medicine 17, 1998, table I, method 3)."""
    assert wilson(successes, trials) == pytest.approx(interval, abs=1e-4)


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = bootstrap(rng.normal(3.0, 1.0, 40).tolist())
        hits += low <= 3.0 <= high
    assert 178 <= hits <= 199  # 190 expected; the percentile interval is a little narrow


def test_the_bootstrap_of_equal_values_is_a_point_and_of_none_is_refused() -> None:
    assert bootstrap([0.25] * 7) == (0.25, 0.25)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap([])
