"""In the simulator, the oracles solve every task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliport.sim.environment import Environment
from cliport.tasks import make, names
from cliport.tasks.__main__ import main
from cliport.tasks.gallery import WIDTH
from cliport.tasks.oracle_table import OracleResult, play, played, table
from harness.torch.pictures import MARGIN

DEAR = ("piles", "palletizing", "hanoi", "kits", "packing-boxes", "google", "-seq")
"""Tasks of a second an episode and more; most of them come in three splits of one thing, each with a seed of its own."""


def seeds(name: str) -> range:
    first = names().index(name)
    return range(first, first + (1 if any(word in name for word in DEAR) else 3))


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with Environment(renderer="tiny") as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_the_oracle_solves_most_scenes(env: Environment, name: str) -> None:
    """Slow: a hundred episodes of the simulated robot, a minute in all."""
    episodes = [play(env, make(name, "test"), seed) for seed in seeds(name)]
    assert sum(episode.solved for episode in episodes) > len(episodes) / 2, episodes
    for episode in episodes:
        assert episode.actions <= make(name).max_steps
        assert -1e-9 < episode.reward < 1 + 1e-9


def test_an_episode_is_a_function_of_its_seed(env: Environment) -> None:
    def end(where: Environment) -> np.ndarray:
        task = make("put-block-in-bowl-full")
        play(where, task, 7)
        return np.array([np.concatenate(where.pose(piece.body)) for piece in task.goals[0].pieces])

    first = end(env)
    play(env, make("block-insertion-easy"), 8)
    with Environment(renderer="tiny") as other:
        np.testing.assert_array_equal(first, end(other))
    np.testing.assert_array_equal(first, end(env))


def test_a_scene_shows_what_it_asks_for_and_nothing_is_done_yet(env: Environment) -> None:
    for name in ("packing-boxes", "towers-of-hanoi-seq-full", "align-rope"):
        task = make(name)
        env.reset(task, 3, observe=False)
        reward, info = task.reward()
        assert reward < 0.5
        assert info["goals"] == 0
        assert env.info["lang_goal"] == task.language()


def test_the_table_counts_solved_scenes_and_means_rewards() -> None:
    episodes = [OracleResult(1.0, 3, 0.5), OracleResult(0.5, 6, 1.5)]
    lines = list(table([("align-rope", episodes), ("packing-shapes", [OracleResult(0.0, 1, 1.0)])]))
    assert lines[2] == "| align-rope | 75.0 | 1 of 2 | 4.5 | 1.00 | 95.4 |"
    assert lines[-1] == "| mean of 2 tasks | 37.5 | | | | |"


def test_several_processes_check_the_oracle_as_one_does() -> None:
    tasks = [make("block-insertion-easy", "test"), make("align-box-corner", "test")]
    alone, together = (
        [(name, [(episode.reward, episode.actions) for episode in found]) for name, found in played(tasks, range(2), workers)]
        for workers in (1, 2)
    )
    assert alone == together
    assert [name for name, _ in alone] == ["block-insertion-easy", "align-box-corner"]


def test_the_command_draws_the_scenes_of_tasks(tmp_path: Path) -> None:
    assert main(["--picture", str(tmp_path / "tasks.png"), "place-red-in-green", "packing-boxes"]) == 0
    with Image.open(tmp_path / "tasks.png") as picture:
        assert picture.width == 2 * WIDTH + MARGIN
        colours = picture.getcolors(maxcolors=2**24)
    assert colours is not None
    assert any(red > 150 and red > 2 * max(green, blue) for _, (red, green, blue) in colours)  # the red blocks are to be seen
