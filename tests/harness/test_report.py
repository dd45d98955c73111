"""Reports: what domain code says reaches files, or a list, unchanged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from PIL import Image

from harness.report import Recorder, Report, Silent, TerminalReport

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def report(tmp_path: Path) -> TerminalReport:
    return TerminalReport(tmp_path / "run")


def test_scalars_are_lines_of_json(report: TerminalReport) -> None:
    report.scalar("loss", "train", np.float32(0.5), 1)
    report.scalar("loss", "train", 0.25, 2)
    lines = [json.loads(line) for line in (report.folder / "scalars.jsonl").read_text().splitlines()]
    assert lines == [
        {"title": "loss", "series": "train", "step": 1, "value": 0.5},
        {"title": "loss", "series": "train", "step": 2, "value": 0.25},
    ]


def diverge(report: Report) -> None:
    """A loss that is not finite for two steps, and again from step 5 on."""
    for step, value in enumerate((0.5, NAN, np.float32(INF), 0.25, -INF, NAN), 1):
        report.scalar("train", "loss", value, step)


TOLD = "WARNING: train/loss is not finite since step 2"


def test_a_value_that_is_not_finite_is_a_gap_and_said_once(report: TerminalReport, capsys: pytest.CaptureFixture[str]) -> None:
    diverge(report)
    report.scalar("train", "mae", 1.0, 1)
    assert capsys.readouterr().out.splitlines() == [TOLD]
    text = (report.folder / "scalars.jsonl").read_text()
    assert [json.loads(line)["value"] for line in text.splitlines()] == [0.5, None, None, 0.25, None, None, 1.0]
    assert str(report.gaps.series["train/loss"]) == "at steps 2 to 3, since step 5"
    assert set(report.gaps.series) == {"train/loss"}


def test_a_recorder_has_the_same_gaps_and_other_ranks_report_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    recorder, silent = Recorder(), Silent()
    diverge(recorder)
    diverge(silent)
    assert recorder.scalars == {("train", "loss"): [(1, 0.5), (4, 0.25)]}
    assert recorder.texts == [TOLD]
    assert capsys.readouterr().out == ""


def test_plots_and_artifacts_are_json_with_gaps(report: TerminalReport) -> None:
    report.plot("curves", "p", go.Figure(go.Scatter(y=[1, NAN, INF])))
    report.plot("curves", "d", {"data": [{"z": np.array([[1.0, NAN]]), "type": "heatmap"}], "layout": {}})
    report.artifact("result", {"recall": NAN, "by class": [np.float32(0.5), -INF]})
    kept = report.folder
    assert json.loads((kept / "plots/curves/d_00000000.json").read_text())["data"][0]["z"] == [[1.0, None]]
    assert json.loads((kept / "artifacts/result.json").read_text()) == {"recall": None, "by class": [0.5, None]}
    for path in kept.rglob("*.json"):
        assert not re.search(r"\b(NaN|Infinity)\b", path.read_text()), path


def test_images_from_arrays_and_pictures(report: TerminalReport) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    report.image("scenes", "array", pixels, 3)
    report.image("scenes", "picture", Image.fromarray(pixels), 3)
    for name in ("array", "picture"):
        with Image.open(report.folder / "images" / "scenes" / f"{name}_00000003.png") as saved:
            assert np.array_equal(np.asarray(saved), pixels)


def test_plots_of_both_libraries(report: TerminalReport) -> None:
    report.plot("curves", "plotly", go.Figure(go.Scatter(y=[1, 2])), 1)
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    report.plot("curves", "matplotlib", figure, 1)
    assert json.loads((report.folder / "plots/curves/plotly_00000001.json").read_text())["data"][0]["type"] == "scatter"
    with Image.open(report.folder / "plots/curves/matplotlib_00000001.png") as drawn:
        assert drawn.width > 100


def test_artifacts_of_every_kind(report: TerminalReport, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    report.artifact("numbers", {"a": 1})
    report.artifact("file", tmp_path / "folder" / "a.txt")
    report.artifact("folder", tmp_path / "folder")
    kept = report.folder / "artifacts"
    assert json.loads((kept / "numbers.json").read_text()) == {"a": 1}
    assert (kept / "a.txt").read_text() == (kept / "folder" / "a.txt").read_text() == "a"


def test_names_cannot_leave_the_folder(report: TerminalReport, tmp_path: Path) -> None:
    report.image("../..", "/etc/passwd", np.zeros((2, 2, 3), np.uint8), 0)
    assert [path.relative_to(report.folder).parts[0] for path in report.folder.rglob("*.png")] == ["images"]
    assert not list(tmp_path.glob("*.png"))


def test_texts_are_printed(report: TerminalReport, capsys: pytest.CaptureFixture[str]) -> None:
    report.text("hello")
    assert capsys.readouterr().out == "hello\n"


def test_progress_passes_every_item_on(report: TerminalReport, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(report.progress(iter(range(3)), total=3, description="steps")) == [0, 1, 2]
    assert "steps: 100%" in capsys.readouterr().out
    assert list(Silent().progress([1, 2])) == [1, 2]
    assert capsys.readouterr().out == ""


def test_the_recorder_keeps_everything() -> None:
    report = Recorder()
    report.scalar("loss", "train", 0.5, 1)
    report.text("hello")
    report.artifact("a", {"b": 1})
    assert report.scalars == {("loss", "train"): [(1, 0.5)]}
    assert (report.texts, report.artifacts) == (["hello"], {"a": {"b": 1}})
