"""The original's pickles: read as they are, converted, and never obeyed."""

from __future__ import annotations

import collections
import datetime
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_episodes import pickled

from cliport.data.codec import HEIGHT_UNIT
from cliport.data.convert import ConvertConfig, convert
from cliport.data.pickles import PickledDemonstrations, load
from cliport.data.reader import Demonstrations, open_demonstrations
from cliport.data.store import Manifest
from cliport.errors import EpisodeError
from cliport.sim.fusion import fuse
from cliport.sim.observation import Observation
from harness.errors import DataError, ParameterError
from harness.report import Recorder

TASK = "stack-block-pyramid-seq-seen-colors"


def fields_of(seed: int, steps: int = 2) -> dict[str, Any]:
    """Fields of an episode as the original's code leaves them: arrays, tuples, mappings, NumPy's scalars."""
    rng = np.random.default_rng(seed)
    pose = ((0.4, 0.1, 0.02), (0.0, 0.0, 0.0, 1.0))
    turned = (np.array([0.5, -0.2, 0.05]), np.array([0.0, 0.0, 0.7071, 0.7071]))
    return {
        "color": np.repeat(rng.integers(0, 256, (steps, 3, 48, 64, 3), np.uint8), 10, axis=2).repeat(10, axis=3),
        "depth": np.full((steps, 3, 480, 640), 1.0 + seed / 100, np.float32),
        "action": [{"pose0": pose, "pose1": turned, "params": None}] * (steps - 1) + [None],
        "reward": [0, *[np.float64(1 / (steps - 1))] * (steps - 1)],
        "info": [{4: (pose[0], pose[1], (0.04, 0.04, 0.04)), "lang_goal": f"step {step} of {seed}"} for step in range(steps)],
    }


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "old" / f"{TASK}-train"
    for index, seed in enumerate((0, 4, 6)):
        pickled(folder, index, seed, **fields_of(seed))
    return folder.parent


def test_its_digest_follows_the_episodes_and_not_the_folder(data_dir: Path, tmp_path: Path) -> None:
    def contents(data: Path) -> str:
        return open_demonstrations(data, TASK, "train").contents

    moved = Path(shutil.copytree(data_dir, tmp_path / "moved"))
    assert contents(moved) == contents(data_dir)
    pickled(moved / f"{TASK}-train", 1, 4, **fields_of(8))
    assert contents(moved) != contents(data_dir)


def test_the_original_s_folder_is_read_as_it_is(data_dir: Path) -> None:
    demonstrations = open_demonstrations(data_dir, TASK, "train")
    assert isinstance(demonstrations, PickledDemonstrations)
    assert list(demonstrations.lengths) == [1, 1, 1]
    episode, fields = demonstrations[1], fields_of(4)
    assert (episode.task, episode.seed, episode.reward, episode.steps[0].instruction) == (TASK, 4, 1.0, "step 0 of 4")
    views = fuse(Observation(tuple(fields["color"][0]), tuple(fields["depth"][0])), geometry="original")
    assert np.array_equal(episode.steps[0].view.color, views.color)
    assert np.array_equal(episode.steps[0].view.height, views.height)
    assert np.unique(episode.steps[0].view.mask) == [-1]
    position, quaternion = episode.steps[0].action.place
    assert position.tolist() == [0.5, -0.2, 0.05]
    assert quaternion.tolist() == [0.0, 0.0, 0.7071, 0.7071]
    assert episode.steps[1].action is None


def test_without_images_the_large_files_are_not_even_needed(data_dir: Path) -> None:
    for path in data_dir.rglob("color/*.pkl"):
        path.unlink()
    demonstrations = open_demonstrations(data_dir, TASK, "train", n=2, images=False)
    assert [demonstrations[index].steps[0].view for index in range(2)] == [None, None]


def test_conversion_keeps_everything_and_takes_a_hundredth_of_the_space(data_dir: Path, tmp_path: Path) -> None:
    [folder] = convert(ConvertConfig(data_dir=str(data_dir), output=str(tmp_path / "new")), Recorder())
    before, after = PickledDemonstrations(data_dir / f"{TASK}-train"), Demonstrations(folder)
    assert [(entry.index, entry.seed) for entry in after.entries] == [(0, 0), (1, 4), (2, 6)]
    for old, new in zip(before, after, strict=True):
        for one, other in zip(old.steps, new.steps, strict=True):
            assert np.array_equal(one.view.color, other.view.color)
            assert np.allclose(one.view.height, other.view.height, atol=HEIGHT_UNIT)
            assert (one.reward, one.info) == (other.reward, other.info)
    assert Manifest.read(folder).origin == "pickles of another simulator"
    assert (before.geometry, after.geometry) == ("original", "original")
    size = {place: sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) for place in (data_dir, folder)}
    assert size[data_dir] > 100 * size[folder]


def test_conversion_goes_on_where_it_stopped_and_names_what_is_torn(data_dir: Path, tmp_path: Path) -> None:
    torn = data_dir / f"{TASK}-train" / "depth" / "000001-4.pkl"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:5000])
    report, settings = Recorder(), ConvertConfig(data_dir=str(data_dir), output=str(tmp_path / "new"), task=TASK, mode="train")
    [folder] = convert(settings, report)
    assert [entry.index for entry in Manifest.read(folder).entries] == [0, 2]
    assert f"episode 000001-4.pkl is skipped: {torn} cannot be read: " in report.texts[0]

    torn.write_bytes(whole)
    convert(settings, report)
    assert [entry.index for entry in Manifest.read(folder).entries] == [0, 1, 2]
    assert report.texts[-1].endswith("3 of 3 demonstrations, 2 of them already there")


def test_a_conversion_onto_itself_or_of_nothing_is_refused(data_dir: Path, tmp_path: Path) -> None:
    for output in ("", str(data_dir)):
        with pytest.raises(ParameterError, match=r"output=.*must be a folder other than data_dir"):
            convert(ConvertConfig(data_dir=str(data_dir), output=output), Recorder())
    with pytest.raises(DataError, match="matches task=align-rope mode="):
        convert(ConvertConfig(data_dir=str(data_dir), output=str(tmp_path / "new"), task="align-rope"), Recorder())


def test_the_data_folder_follows_cliport_root(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    data_dir.rename(tmp_path / "root" / "data")
    monkeypatch.setenv("CLIPORT_ROOT", str(tmp_path / "root"))
    assert len(convert(ConvertConfig(output=str(tmp_path / "new")), Recorder())) == 1


class Bomb:
    """Would leave a file behind if it were unpickled as asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (datetime.date(2020, 1, 1), "datetime.date"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (np.random.default_rng(0), "numpy.random"),
        ([{"deep": {"inside": eval}}], "builtins.eval"),
        (np.array([print], object), "builtins.print"),
    ],
)
def test_anything_but_arrays_and_plain_types_is_refused_by_name(tmp_path: Path, value: Any, refused: str) -> None:
    path = tmp_path / "value.pkl"
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps(value, protocol))
        with pytest.raises(
            EpisodeError, match=rf"value\.pkl cannot be read: it contains {refused.replace('builtins', '(builtins|__builtin__)')}"
        ):
            load(path)


def test_what_a_pickle_asks_to_run_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "bomb.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(EpisodeError, match="it contains pathlib"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_types_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    value = {
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.eye(3, dtype=np.uint8)),
        "scalar": np.float64(0.25),
        "flag": np.bool_(True),
        4: ((0.1, 0.2), [None, True, 2**70, b"bytes", "text", {1, 2}, complex(1, 2)]),
    }
    path = tmp_path / "value.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    back = load(path)
    assert np.array_equal(back["array"], value["array"])
    assert np.array_equal(back["columns"], value["columns"])
    assert {key: back[key] for key in ("scalar", "flag", 4)} == {key: value[key] for key in ("scalar", "flag", 4)}


def test_pickles_of_the_original_s_numpy_are_read(tmp_path: Path) -> None:
    """NumPy 1 called its core `numpy.core`; the bytes are the same otherwise."""
    path = tmp_path / "old.pkl"
    path.write_bytes(pickle.dumps([np.float64(3), np.arange(4)], 2).replace(b"numpy._core", b"numpy.core"))
    assert b"numpy._core" not in path.read_bytes()
    scalar, array = load(path)
    assert (scalar, array.tolist()) == (3.0, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "Ran out of input"), (b"not a pickle", "cannot be read"), (b"\x80\x04\x95", "cannot be read"), (b"(" * 10, "cannot be read")],
)
def test_what_is_no_pickle_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "torn.pkl"
    path.write_bytes(content)
    with pytest.raises(EpisodeError, match=said) as failure:
        load(path)
    assert str(path) in str(failure.value)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("reward", [0.0], "its fields have different lengths"),
        ("action", [{"pose0": ((0, 0), (0, 0, 0, 1)), "pose1": ((0, 0, 0), (0, 0, 0, 1))}, None], "must be a position and a quaternion"),
        ("action", [{"pose9": 1}, None], "is not an episode: KeyError"),
        ("info", [object, None], "it contains builtins.object"),
        ("reward", 3, "is not an episode: TypeError"),
    ],
)
def test_fields_that_make_no_episode_are_skipped_by_name(
    data_dir: Path, caplog: pytest.LogCaptureFixture, field: str, value: Any, said: str
) -> None:
    folder = data_dir / f"{TASK}-train"
    pickled(folder, 1, 4, **{field: value})
    with caplog.at_level(logging.WARNING):
        demonstrations = PickledDemonstrations(folder)
    assert [demonstrations[index].seed for index in range(2)] == [0, 6]
    assert [record for record in caplog.records if "000001-4.pkl is skipped" in record.message and said in record.message]


def test_a_missing_view_file_is_named_and_too_few_say_so(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data_dir / f"{TASK}-train" / "color" / "000002-6.pkl").unlink()
    with pytest.raises(DataError, match="has 2 complete demonstrations, but n=3 are needed"):
        open_demonstrations(data_dir, TASK, "train", n=3)
    assert "color/000002-6.pkl is missing" in caplog.text
