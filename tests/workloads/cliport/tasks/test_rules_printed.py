"""What `python -m cliport.tasks --rules` says, and that the documentation says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from task_table import Table

from cliport.tasks import make, names
from cliport.tasks.__main__ import main
from cliport.tasks.differences import Difference
from cliport.tasks.paper import TABLE_1, TABLE_6, published
from cliport.tasks.rules import sections, tables

DOCUMENT = Path(__file__).parents[4] / "docs/workloads/cliport-tasks.md"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["--rules", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", names())
def test_every_task_says_its_scene_its_goals_and_its_instructions(name: str) -> None:
    """Each instruction of a scene fits a template, and the steps that are said are those that are allowed."""
    task = make(name, "test")
    said = sections(task)
    assert said["scene"]
    assert said["goals"]
    assert said["distractors"] != [""]
    built = make(name, "test")
    built.reset(Table(seed=1))
    (steps,) = said["steps"]
    assert steps == str(built.max_steps) or not steps.isdigit()
    starts = [template.split("{")[0] for template in task.templates]
    assert starts
    for words in built.lang_goals:
        assert any(words.startswith(start) for start in starts), words


def test_the_numbers_that_are_said_are_those_of_the_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliport.tasks.kits.AssemblingKitsEasy.angle_tolerance", float(np.radians(12)))
    monkeypatch.setattr("cliport.tasks.kits.AssemblingKitsEasy.max_steps", 77)
    said = printed(capsys, "assembling-kits-easy")
    assert "steps        77" in said
    assert "12 degrees of yaw" in said
    assert "30 degrees" not in said


def test_colours_and_shapes_are_said_by_mode(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "put-block-in-bowl-unseen-colors", "put-block-in-bowl-seen-colors")
    unseen, seen = said.split("\n\n")
    assert "train: blue, red, green, yellow, brown, gray, cyan\n" in unseen
    assert "val, test: blue, red, green, orange, purple, pink, white\n" in unseen
    assert "train, val, test: blue, red, green, yellow, brown, gray, cyan\n" in seen
    assert "val, test: square, circle" in printed(capsys, "assembling-kits-easy")


def test_what_differs_is_said_and_is_in_every_info(capsys: pytest.CaptureFixture[str]) -> None:
    task = make("towers-of-hanoi-seq-full")
    task.reset(Table(seed=1))
    (difference,) = task.differs
    assert isinstance(difference, Difference)
    assert task.reward()[1]["differs"] == [f"colours: {difference.here}"]
    said = " ".join(printed(capsys, "towers-of-hanoi-seq-full").split())
    assert f"colours: {difference.here}; in CLIPort: {difference.original} ({difference.why})" in said


def test_an_unknown_task_has_no_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rules", "towers-of-hanoy"]) == 2
    assert "towers-of-hanoi?" in capsys.readouterr().err


def test_the_documents_tables_are_what_the_command_prints() -> None:
    """`python -m cliport.tasks --rules --markdown` prints them anew."""
    assert "\n".join(tables([make(name) for name in names()])) in DOCUMENT.read_text()


def test_the_papers_scores_are_of_tasks_and_shares() -> None:
    assert set(TABLE_1) | set(TABLE_6) < set(names())
    assert len(TABLE_1) == 18
    assert len(TABLE_6) == 10
    assert all(0 < score <= 100 for score in (TABLE_1 | TABLE_6).values())
    assert published("put-block-in-bowl-full") is None
