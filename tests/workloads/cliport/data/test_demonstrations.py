"""Folders of demonstrations: written whole, read at random, never trusted when torn."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_episodes import episode_of, stored

from cliport.data.codec import encode
from cliport.data.episode import Episode
from cliport.data.reader import Demonstrations, Mixture, check_rules, open_demonstrations, open_folder
from cliport.data.store import Manifest, opened
from cliport.errors import EpisodeError
from cliport.scoring import RULES
from cliport.tasks import groups
from harness.errors import DataError
from harness.files import sha256

TASK = "put-block-in-bowl-seen-colors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return stored(tmp_path, *(episode_of(seed, actions=2 + seed % 3) for seed in (0, 2, 6, 8)))


def same(one: Episode, other: Episode) -> bool:
    return (one.task, one.seed) == (other.task, other.seed) and all(
        np.array_equal(a.view.color, b.view.color) for a, b in zip(one.steps, other.steps, strict=True)
    )


def test_the_manifest_names_every_file_and_its_digest(folder: Path) -> None:
    stated = json.loads((folder / "manifest.json").read_text())
    assert (stated["format"], stated["task"], stated["mode"], stated["count"]) == ("cliport-demonstrations/1", TASK, "train", 4)
    assert [entry["file"] for entry in stated["episodes"]] == [f"episodes/{i:06d}-{s}.npz" for i, s in enumerate((0, 2, 6, 8))]
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "episodes"}
    for entry in stated["episodes"]:
        assert entry["sha256"] == sha256(folder / entry["file"])
        assert entry["bytes"] == (folder / entry["file"]).stat().st_size


def test_the_manifest_states_the_geometry_of_the_height_maps(folder: Path, tmp_path: Path) -> None:
    """Folders from before it was stated are exact; none of another geometry come into one."""
    stated = json.loads((folder / "manifest.json").read_text())
    assert stated.pop("geometry") == "exact"
    (folder / "manifest.json").write_text(json.dumps(stated))
    assert Demonstrations(folder).geometry == "exact"
    told = "contains height maps of exact geometry; none of original geometry can be added"
    with pytest.raises(DataError, match=told), opened(folder, TASK, "train", geometry="original"):
        pass
    with opened(tmp_path / "align-rope-train", "align-rope", "train", geometry="original") as store:
        store.add(0, 1, 1.0, encode(episode_of(0)))
    other = Demonstrations(tmp_path / "align-rope-train")
    assert other.geometry == "original"
    with pytest.raises(DataError, match=f"{TASK} has exact, align-rope original"):
        Mixture({TASK: Demonstrations(folder), "align-rope": other})


def made_under(folder: Path, rules: int | None) -> None:
    """Change what a folder's manifest says about the rules; None: nothing, as before there were others."""
    stated = json.loads((folder / "manifest.json").read_text())
    stated.pop("rules")
    (folder / "manifest.json").write_text(json.dumps(stated if rules is None else {**stated, "rules": rules}))


@pytest.mark.parametrize(("rules", "version"), [(None, 1), (1, 1), (RULES + 1, RULES + 1)])
def test_scenes_made_under_other_rules_are_neither_continued_nor_played_but_still_learned_from(
    folder: Path, rules: int | None, version: int
) -> None:
    assert json.loads((folder / "manifest.json").read_text())["rules"] == RULES
    check_rules(Demonstrations(folder))
    made_under(folder, rules)
    told = rf"{folder} has demonstrations made under rules {version}, .* by rules {RULES}, .*: make them anew in another data_dir, or move"
    with pytest.raises(DataError, match=told), opened(folder, TASK, "train"):
        pass
    source = Demonstrations(folder)
    with pytest.raises(DataError, match=told):
        check_rules(source)
    with pytest.raises(DataError, match=told):
        check_rules(Mixture({TASK: source}))
    assert len(source) == 4  # which is all that training asks for
    assert source.sample(0, 0).view is not None


def test_rules_say_nothing_about_scenes_of_another_simulator(tmp_path: Path) -> None:
    with opened(tmp_path / f"{TASK}-val", TASK, "val", origin="pickles of another simulator", geometry="original") as store:
        store.add(1, 1, 1.0, encode(episode_of(1)))
    made_under(tmp_path / f"{TASK}-val", None)
    check_rules(Demonstrations(tmp_path / f"{TASK}-val"))
    with opened(tmp_path / f"{TASK}-val", TASK, "val", origin="pickles of another simulator", geometry="original"):
        pass


def test_episodes_are_read_in_any_order(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    assert len(demonstrations) == 4
    assert demonstrations.lengths == [2, 4, 2, 4]
    for index in (3, 0, -1, 2):
        assert same(demonstrations[index], episode_of((0, 2, 6, 8)[index], actions=(2, 4, 2, 4)[index]))
    with pytest.raises(IndexError):
        demonstrations[4]


def test_the_first_n_are_taken(folder: Path) -> None:
    assert [Demonstrations(folder, n=2)[index].seed for index in range(2)] == [0, 2]


def test_too_few_demonstrations_say_how_to_make_more(folder: Path) -> None:
    with pytest.raises(DataError, match=rf"has 4 complete demonstrations, but n=9 are needed; make more: .* n=9 task={TASK} mode=train"):
        Demonstrations(folder, n=9)
    assert len(Demonstrations(folder, n=9, enough=False)) == 4


def test_missing_demonstrations_are_told_with_what_there_is(folder: Path) -> None:
    with pytest.raises(DataError, match=f"align-rope-train: there are no demonstrations; .* has {TASK}-train"):
        open_folder(folder.parent / "align-rope-train")
    with pytest.raises(DataError, match="has none"):
        open_folder(folder.parent / "nowhere" / "align-rope-train")


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_torn_episode_is_named_and_skipped(folder: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    victim = folder / "episodes/000001-2.npz"
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    {"cut": lambda: os.truncate(victim, 100), "changed": lambda: victim.write_bytes(content), "gone": victim.unlink}[harm]()
    with caplog.at_level(logging.WARNING):
        demonstrations = Demonstrations(folder)
    assert [demonstrations[index].seed for index in range(3)] == [0, 6, 8]
    said = {"cut": "has 100 bytes, but the manifest says", "changed": "differs from its SHA-256", "gone": "is missing"}[harm]
    assert [record.message for record in caplog.records if "000001-2.npz is skipped" in record.message and said in record.message]


def test_a_file_that_breaks_after_opening_is_named(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    os.truncate(folder / "episodes/000002-6.npz", 10)
    with pytest.raises(EpisodeError, match=r"000002-6\.npz: is not a complete episode"):
        demonstrations[2]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "cliport-demonstrations/1"}', "\x00"])
def test_a_broken_manifest_is_one_error(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is not a manifest of demonstrations"):
        Demonstrations(folder)


def test_a_manifest_of_another_format_is_named(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": "cliport-demonstrations/7"}')
    with pytest.raises(DataError, match="has format 'cliport-demonstrations/7', but this code reads 'cliport-demonstrations/1'"):
        Demonstrations(folder)


def test_memory_is_bounded_and_the_longest_unused_goes_first(folder: Path) -> None:
    one = Demonstrations(folder)[0].nbytes
    demonstrations = Demonstrations(folder, cache=round(2.2 * one))  # episodes 0 and 2 have two actions, the others four
    first = demonstrations[0]
    assert demonstrations[0] is first
    demonstrations[2]
    assert demonstrations[0] is first  # used again, so that the other one is the older
    assert demonstrations.cache.held <= demonstrations.cache.limit
    demonstrations[1]
    assert demonstrations.cache.held <= demonstrations.cache.limit
    assert 2 not in demonstrations.cache.episodes
    unkept = Demonstrations(folder, cache=0)
    assert unkept[0] is not unkept[0]


def test_a_copy_for_a_worker_carries_no_episodes(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    empty = len(pickle.dumps(demonstrations))
    list(demonstrations)
    copy = pickle.loads(pickle.dumps(demonstrations))
    assert len(pickle.dumps(demonstrations)) == empty
    assert same(copy[1], demonstrations[1])


def test_samples_are_steps_with_the_view_they_lead_to(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    sample = demonstrations.sample(1, 2)
    assert sample.instruction == "move box 2 of 2"
    assert sample.view is demonstrations[1].steps[2].view
    assert sample.goal is demonstrations[1].steps[-1].view
    with pytest.raises(IndexError, match="step 4 of episode 1 has no action"):
        demonstrations.sample(1, 4)


def test_random_samples_follow_the_generator_and_reach_every_step(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    drawn = [[demonstrations.random(rng).instruction for _ in range(120)] for rng in map(np.random.default_rng, (1, 1, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 12


def test_a_group_is_its_tasks_side_by_side(tmp_path: Path) -> None:
    tasks = groups("val")["multi-demo-conditioned"]
    for number, task in enumerate(tasks):
        stored(tmp_path, *(episode_of(seed, task) for seed in range(1, 3 + 2 * (number % 2), 2)), task=task, mode="val")
    mixture = open_demonstrations(tmp_path, "multi-demo-conditioned", "val", n=5)
    assert isinstance(mixture, Mixture)
    assert len(mixture) == sum(1 + number % 2 for number in range(len(tasks)))
    assert [mixture[index].task for index in (0, 1, 2, -1)] == [tasks[0], tasks[1], tasks[1], tasks[-1]]
    assert [mixture[index].task for index in mixture.in_turn()[: len(tasks)]] == tasks
    assert sorted(mixture.in_turn()) == list(range(len(mixture)))
    rng = np.random.default_rng(0)
    counts = np.unique([mixture[mixture.draw(rng)].task for _ in range(2000)], return_counts=True)[1]
    assert len(counts) == len(tasks)
    assert counts.min() > 140  # 200 each, whatever each task's number of episodes


def test_a_multi_attribute_group_draws_half_of_its_samples_from_the_seen_half_of_the_task(tmp_path: Path) -> None:
    group, favourite = "multi-attr-put-block-in-bowl-unseen-colors", "put-block-in-bowl-seen-colors"
    for task in groups("train")[group]:
        stored(tmp_path, episode_of(0, task, actions=1), task=task)
    mixture = open_demonstrations(tmp_path, group, "train")
    rng = np.random.default_rng(0)
    drawn = [mixture[mixture.draw(rng)].task for _ in range(1000)]
    assert 440 < drawn.count(favourite) < 560


def test_every_missing_folder_of_a_group_is_named(tmp_path: Path) -> None:
    tasks = groups("val")["multi-demo-conditioned"]
    for task in tasks[2:]:
        stored(tmp_path, episode_of(1, task), task=task, mode="val")
    with pytest.raises(DataError, match=f"do not exist: {tasks[0]}, {tasks[1]}$"):
        open_demonstrations(tmp_path, "multi-demo-conditioned", "val")


def test_two_writers_at_once_are_refused_and_the_lock_leaves_no_trace(tmp_path: Path) -> None:
    folder = tmp_path / f"{TASK}-train"
    with (
        opened(folder, TASK, "train"),
        pytest.raises(DataError, match="another process is adding demonstrations"),
        opened(folder, TASK, "train"),
    ):
        pass
    assert not folder.exists()
    with opened(folder, TASK, "train") as store:
        assert len(store) == 0


def test_a_folder_of_another_task_is_not_added_to(folder: Path) -> None:
    with pytest.raises(DataError, match=f"contains {TASK} of mode train, not align-rope of mode val"), opened(folder, "align-rope", "val"):
        pass


def test_torn_episodes_leave_the_manifest_and_can_be_put_back(folder: Path) -> None:
    os.truncate(folder / "episodes/000001-2.npz", 7)
    with opened(folder, TASK, "train") as store:
        [(entry, damage)] = store.drop_damaged()
        assert (entry.seed, damage.split(" bytes")[0]) == (2, "has 7")
        again = episode_of(2, actions=4)
        store.add(2, again.actions, again.reward, encode(again), entry.index)
    assert [entry.seed for entry in Manifest.read(folder).entries] == [0, 2, 6, 8]
    assert same(Demonstrations(folder)[1], again)


WRITER = """
import sys
from pathlib import Path
from synthetic_episodes import episode_of
from cliport.data.codec import encode
from cliport.data.store import opened
with opened(Path(sys.argv[1]), "t", "train") as store:
    for seed in range(0, 4000, 2):
        episode = episode_of(seed)
        store.add(seed, episode.actions, episode.reward, encode(episode))
        print(seed, flush=True)
"""


@pytest.mark.parametrize("written", [1, 4])
def test_a_writer_killed_at_any_moment_leaves_whole_episodes_only(tmp_path: Path, written: int) -> None:
    folder = tmp_path / "t-train"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        seeds = [int(process.stdout.readline()) for _ in range(written)]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (folder / "episodes" / ".000009-18.npz.0000.partial").write_bytes(b"half")  # what a kill in mid-file leaves
    demonstrations = Demonstrations(folder)
    assert len(demonstrations) >= written
    assert [demonstrations[index].seed for index in range(written)] == seeds
    with opened(folder, "t", "train") as store:
        assert store.drop_damaged() == []
        assert not list(folder.rglob("*.partial"))


def test_an_unwritable_episode_is_one_error_and_leaves_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(folder, TASK, "train") as store:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(DataError, match=r"episode 000004-10 could not be written .*No space left.*earlier ones are kept"):
            store.add(10, 1, 1.0, b"content")
    monkeypatch.undo()
    assert len(Demonstrations(folder)) == 4


def test_many_processes_read_at_once(folder: Path) -> None:
    demonstrations = Demonstrations(folder)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(demonstrations.__getitem__, [0, 3, 1])[1].seed == 8
