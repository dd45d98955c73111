"""An episode's file: what goes in comes out, in little space."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from synthetic_episodes import episode_of

from cliport.data.codec import HEIGHT_UNIT, changes, decode, encode, restored
from cliport.data.episode import Episode, Step
from cliport.errors import EpisodeError
from cliport.sim.observation import HeightMap

EPISODE = episode_of(4)


def test_colours_masks_actions_rewards_and_words_come_back_exactly() -> None:
    back = decode(encode(EPISODE))
    assert (back.task, back.seed, back.actions, back.reward) == (EPISODE.task, 4, 3, pytest.approx(1.0))
    for step, original in zip(back.steps, EPISODE.steps, strict=True):
        assert np.array_equal(step.view.color, original.view.color)
        assert np.array_equal(step.view.mask, original.view.mask)
        assert (step.reward, dict(step.info)) == (original.reward, original.info)
        for mine, theirs in zip(*((s.action.pick, s.action.place) if s.action else () for s in (step, original)), strict=True):
            assert np.array_equal(mine[0], theirs[0])
            assert np.array_equal(mine[1], theirs[1])
    assert back.steps[-1].action is None


def test_heights_come_back_within_half_a_unit() -> None:
    back = decode(encode(EPISODE))
    for step, original in zip(back.steps, EPISODE.steps, strict=True):
        assert step.view.height.dtype == np.float32
        assert np.abs(step.view.height - original.view.height).max() <= HEIGHT_UNIT / 2 + 1e-7


def test_heights_outside_the_range_go_to_its_ends() -> None:
    shape = (320, 160)
    for metres, kept in ((-0.01, 0.0), (100.0, 65535 * HEIGHT_UNIT)):
        view = HeightMap(np.zeros((*shape, 3), np.uint8), np.full(shape, metres, np.float32), np.full(shape, -1, np.int32))
        back = decode(encode(Episode("t", 0, (Step(view, None, 0.0, {}),)))).steps[0].view
        assert np.unique(back.height) == pytest.approx([kept])
        assert np.unique(back.mask) == [-1]


def test_differences_between_steps_wrap_and_are_undone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    assert np.array_equal(restored(changes(frames)), frames)
    deep = np.array([[0], [65535], [3]], np.uint16)
    assert np.array_equal(restored(changes(deep)), deep)


def test_without_images_only_the_small_parts_are_read() -> None:
    back = decode(encode(EPISODE), images=False)
    assert [step.view for step in back.steps] == [None] * 4
    assert back.steps[1].instruction == "move box 1 of 4"
    assert back.goal(0) is None


def test_the_same_episode_is_the_same_bytes() -> None:
    assert encode(episode_of(4)) == encode(EPISODE)


def test_a_file_holds_no_pickle_and_opens_with_plain_numpy() -> None:
    with np.load(io.BytesIO(encode(EPISODE)), allow_pickle=False) as arrays:
        assert {name: arrays[name].shape for name in ("color", "height", "mask", "poses", "rewards")} == {
            "color": (4, 320, 160, 3),
            "height": (4, 320, 160),
            "mask": (4, 320, 160),
            "poses": (4, 2, 7),
            "rewards": (4,),
        }


def test_infos_become_plain_and_what_cannot_is_named() -> None:
    info = {"lang_goal": "go", 7: (np.float64(1.5), np.arange(2)), "flag": np.bool_(True), "names": {"b", "a"}, "none": None}
    step = dataclasses.replace(EPISODE.steps[-1], info=info)
    back = decode(encode(Episode("t", 0, (step,))), images=False).steps[0].info
    assert back == {"lang_goal": "go", "7": [1.5, [0, 1]], "flag": True, "names": ["a", "b"], "none": None}

    broken = dataclasses.replace(step, info={"thing": object()})
    with pytest.raises(EpisodeError, match="an info contains object"):
        encode(Episode("t", 0, (broken,)))


def test_an_episode_without_views_is_not_stored() -> None:
    with pytest.raises(EpisodeError, match="seed 4 has steps without a view"):
        encode(decode(encode(EPISODE), images=False))


@pytest.mark.parametrize("cut", [0, 10, 500, -1])
def test_a_torn_file_is_no_episode(cut: int) -> None:
    with pytest.raises(EpisodeError, match="is not a complete episode"):
        decode(encode(EPISODE)[:cut])


def test_a_changed_byte_is_noticed() -> None:
    content = bytearray(encode(EPISODE))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(EpisodeError, match="is not a complete episode"):
        decode(bytes(content))


def test_a_newer_version_is_named() -> None:
    with np.load(io.BytesIO(encode(EPISODE))) as arrays:
        changed = {**arrays, "text": np.frombuffer(b'{"version": 2}', np.uint8)}
    content = io.BytesIO()
    np.savez_compressed(content, **changed)
    with pytest.raises(EpisodeError, match="has version 2, but this code reads version 1"):
        decode(content.getvalue())


def test_the_goal_of_a_sequential_task_is_the_next_view_else_the_last() -> None:
    sequential = episode_of(2, task="stack-block-pyramid-seq-full")
    assert [sequential.goal(step) is sequential.steps[step + 1].view for step in range(3)] == [True] * 3
    assert all(EPISODE.goal(step) is EPISODE.steps[-1].view for step in range(3))


def test_a_step_without_words_says_what_the_original_says() -> None:
    assert dataclasses.replace(EPISODE.steps[0], info={}).instruction == "task completed."
