"""The tasks' names and groups are the original's, and are known without the simulator."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from cliport.tasks import TaskError, emphasis, groups, make, names
from cliport.tasks.__main__ import main

COLOURED = (
    "assembling-kits-seq",
    "packing-boxes-pairs",
    "put-block-in-bowl",
    "stack-block-pyramid-seq",
    "separating-piles",
    "towers-of-hanoi-seq",
)


def test_there_are_39_tasks_and_each_can_be_made() -> None:
    assert len(names()) == len(set(names())) == 39
    for name in names():
        assert make(name).name == name


def test_coloured_tasks_come_as_seen_unseen_and_full() -> None:
    for name in COLOURED:
        assert {f"{name}-seen-colors", f"{name}-unseen-colors", f"{name}-full"} <= set(names())


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_groups_hold_tasks_only(mode: str) -> None:
    assert len(groups(mode)) == 13
    for members in groups(mode).values():
        assert members
        assert len(members) == len(set(members))
        assert set(members) <= set(names())


def test_multi_task_training_shows_seen_colours_only_and_evaluation_both() -> None:
    assert {"put-block-in-bowl-unseen-colors"} < set(groups("train")["multi-language-conditioned"])
    assert "put-block-in-bowl-seen-colors" not in groups("train")["multi-all"]
    assert {"put-block-in-bowl-unseen-colors", "put-block-in-bowl-seen-colors"} < set(groups("val")["multi-all"])
    assert len(groups("train")["multi-all"]) == 20
    assert len(groups("test")["multi-all"]) == 28


def test_an_attribute_group_never_trains_on_what_it_is_tried_on() -> None:
    train, test = groups("train"), groups("test")
    attributes = [name for name in train if name.startswith("multi-attr-")]
    assert len(attributes) == 10
    for group in attributes:
        (held,) = test[group]
        assert group == f"multi-attr-{held}"
        assert held not in train[group]
        assert held.replace("-unseen-colors", "-full") not in train[group]


def test_half_of_an_attribute_groups_samples_come_from_the_seen_half() -> None:
    assert emphasis("multi-attr-put-block-in-bowl-unseen-colors") == "put-block-in-bowl-seen-colors"
    assert emphasis("multi-attr-packing-unseen-google-objects-seq") == "packing-seen-google-objects-group"
    assert emphasis("multi-attr-align-rope") is None
    assert emphasis("multi-all") is None
    for group in groups():
        assert emphasis(group) in {None, *groups()[group]}


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(TaskError) as error:
        make("stack-block-piramid")
    assert "stack-block-pyramid?" in str(error.value)
    assert all(name in str(error.value) for name in names())


def test_an_unknown_mode_or_group_is_answered_with_the_list() -> None:
    with pytest.raises(TaskError, match="train"):
        make("align-rope", "trian")
    with pytest.raises(TaskError, match="multi-all"):
        emphasis("multi-al")


def test_the_command_prints_names_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == names()


def test_the_command_prints_groups_with_their_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--groups", "--mode", "test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(groups("test"))
    assert "  towers-of-hanoi-seq-unseen-colors" in lines


def test_the_command_names_an_unknown_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "1", "align-rop"]) == 2
    assert "align-rope" in capsys.readouterr().err


def test_the_help_says_what_named_objects_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "are stand-ins here, put together from solids" in " ".join(capsys.readouterr().out.split())


def test_names_and_groups_need_neither_torch_nor_pybullet() -> None:
    code = "import sys, cliport.tasks as t; t.names(); t.groups(); print(sorted({'torch', 'pybullet', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_closed_pipe_is_not_an_error() -> None:
    program = f"{shlex.quote(sys.executable)} -m cliport.tasks --groups | true"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
