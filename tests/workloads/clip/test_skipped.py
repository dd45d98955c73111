"""Unusable pairs do not end a run: each is listed once with its reason, and counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runs import run, same

from clip_training import skipped
from harness.checkpoint import find
from harness.errors import DataError
from harness.report import Recorder


@pytest.fixture
def damaged(squares: Path, tmp_path: Path) -> Path:
    """Pairs, five of which are damaged in different ways."""
    folder = tmp_path / "damaged"
    shutil.copytree(squares, folder)
    training, heldout = (sorted((folder / part).glob("*.png")) for part in ("train", "heldout"))
    training[3].write_bytes(training[3].read_bytes()[:100])
    training[4].write_bytes(b"")
    training[7].with_suffix(".txt").write_text(" \n\n")
    training[9].with_suffix(".txt").write_bytes(b"\xff\xfe\xfa")
    heldout[2].write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_each_unusable_pair_is_listed_and_counted_once(workers: int, damaged: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(damaged, tmp_path / "run", tiny_model, report, data__workers=workers, data__keep_in_memory=False)

    path = report.artifacts["skipped"]
    assert path == tmp_path / "run" / "skipped.txt"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    assert [part for part, _ in lines] == ["training"] * 4 + ["held out"]
    for (_, reason), told in zip(lines, ("truncated", "cannot identify", "holds no caption", "utf-8", "cannot identify"), strict=True):
        assert str(damaged) in reason
        assert told in reason.lower()
    said = [text for text in report.texts if "are unusable and were skipped" in text]
    assert said[-1].startswith("4 training and 1 held out pairs are unusable and were skipped so far, listed in ")
    assert len(said) <= 1 + 4  # at most once for each epoch, and before the first


def test_a_resumed_run_continues_the_list(damaged: Path, tiny_model: Path, tmp_path: Path) -> None:
    unbroken = run(damaged, tmp_path / "unbroken", tiny_model)
    run(damaged, tmp_path / "half", tiny_model, train__checkpoint_every=15)  # 16 steps, the last with a checkpoint too
    checkpoint = tmp_path / "half" / "checkpoints" / "step=00000015.ckpt"
    again = run(damaged, tmp_path / "resumed", tiny_model, resume=find(checkpoint))

    assert same(again, unbroken)
    assert (tmp_path / "resumed" / "skipped.txt").read_text() == (tmp_path / "unbroken" / "skipped.txt").read_text()


def test_a_run_without_damage_has_no_list(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(squares, tmp_path, tiny_model, report, train__epochs=1)
    assert "skipped" not in report.artifacts
    assert not (tmp_path / "skipped.txt").exists()


def test_the_lists_of_all_ranks_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(lists: list[object], mine: object) -> None:
        lists[:] = [mine, {"training": {7: "b.png: empty"}, "held out": {1: "c.png: empty"}}]

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(skipped.dist, "all_gather_object", gather)
    report = Recorder()
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        listing = skipped.ListSkipped(report, tmp_path)
        listing.found["training"] = {2: "a.png: empty", 7: "b.png: empty"}
        listing.tell()
        listing.tell()
    assert (tmp_path / "skipped.txt").read_text() == "training\ta.png: empty\ntraining\tb.png: empty\nheld out\tc.png: empty\n"
    assert len(report.texts) == 1  # rank 0's, once


def test_a_run_without_usable_pairs_fails(squares: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ruined"
    shutil.copytree(squares, folder)
    for image in (folder / "train").glob("*.png"):
        image.write_bytes(b"")
    with pytest.raises(DataError, match="none of 60 pairs is usable"):
        run(folder, tmp_path / "run", tiny_model)
