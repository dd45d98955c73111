"""Settings that have an effect under others only, or none in a command: what a person is told, at every door, before work starts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from support.reads import unread

from harness.aliases import Alias, Fixed, Names
from harness.conditions import holds
from harness.entry import lines_of
from harness.errors import ParameterError, WorkloadError
from harness.keys import settings_of
from harness.params import resolve, setting
from harness.reads import NOTES, SETTINGS
from harness.workload import Command, Declaration


@dataclass
class Video:
    save: bool = setting(False, "keep videos")
    fps: int = setting(20, "frames of a second", when="save")


@dataclass
class Train:
    loss: str = setting("clip", "the loss", choices=("clip", "siglip", "both"))
    bias: float = setting(0.0, "of the loss", when="loss=siglip,both")
    workers: int = setting(4, "loader processes")
    video: Video = field(default_factory=Video)


@dataclass
class Wrong:
    bias: float = setting(0.0, "of the loss", when="lost=siglip")


WHY = {"workers": Fixed("nothing is loaded here")}


@pytest.fixture
def toy(tmp_path: Path) -> Declaration:
    (tmp_path / "configs/toy").mkdir(parents=True)
    commands = {
        "train": Command("train", "inline", "training", f"{__name__}:Train"),
        "make": Command("make", "inline", "testing", f"{__name__}:Train", names=Names(fixed=WHY)),
        "wrong": Command("wrong", "inline", "testing", f"{__name__}:Wrong"),
    }
    return Declaration(
        "toy", tmp_path / "clearml_tasks/toy", "a toy", "toy", "gpu01", {}, commands, names=Names({"loaders": Alias("workers")})
    )


def test_a_condition_names_a_setting_that_is_set_or_the_values_that_it_has() -> None:
    assert holds("", {})
    assert holds("video.save", {"video.save": True})
    assert not holds("video.save", {"video.save": False})
    assert holds("loss=siglip,both", {"loss": "both"})
    assert not holds("loss=siglip,both", {"loss": "clip"})


@pytest.mark.parametrize(
    ("token", "note"),
    [
        ("video.fps=30", "video.fps=30 has no effect without video.save"),
        ("fps=30", "video.fps=30 has no effect without video.save"),
        ("bias=0.5", "bias=0.5 has no effect without loss=siglip,both"),
    ],
)
def test_who_gives_a_setting_without_effect_is_told(toy: Declaration, token: str, note: str) -> None:
    assert resolve(toy, [token]).notes == (note,)


def test_so_is_who_states_it_in_a_file(toy: Declaration) -> None:
    (toy.configs / "films.yaml").write_text("# films\nvideo: {fps: 30}\n")
    assert len(resolve(toy, ["config=films"]).notes) == 1
    assert resolve(toy, ["config=films", "video.save=True"]).notes == ()


@pytest.mark.parametrize("tokens", [[], ["video.fps=20"], ["video.fps=30", "video.save=True"], ["bias=1", "loss=both"]])
def test_defaults_and_settings_with_an_effect_are_not_spoken_of(toy: Declaration, tokens: list[str]) -> None:
    assert resolve(toy, tokens).notes == ()


def test_help_says_when(toy: Declaration) -> None:
    meanings = {key: meaning for key, _, meaning in lines_of(toy, toy.commands["train"])}
    assert meanings["video.fps"] == "frames of a second (only with video.save)"


def test_a_condition_on_what_is_no_setting_is_an_error_of_the_workload(toy: Declaration) -> None:
    with pytest.raises(WorkloadError, match="wrong: bias: when=lost=siglip names no setting"):
        resolve(toy, ["command=wrong"])


class TestACommandIgnoresASettingOfASharedClass:
    """As `fixed` of the command declares."""

    @pytest.mark.parametrize("token", ["workers=2", "loaders=2"])
    def test_it_is_accepted_and_said_to_change_nothing(self, toy: Declaration, token: str) -> None:
        found = resolve(toy, ["command=make", token])
        (note,) = found.notes
        assert note.startswith(f"{token} ")
        assert note.endswith(": nothing is loaded here")
        assert "workers" not in found.texts

    def test_other_values_than_those_that_hold_are_refused(self, toy: Declaration) -> None:
        make = replace(toy.commands["make"], names=Names(fixed={"workers": Fixed("one process loads", (0,))}))
        only = replace(toy, commands={**toy.commands, "make": make})
        assert len(resolve(only, ["command=make", "workers=0"]).notes) == 1
        with pytest.raises(ParameterError, match=r"workers=2: .*\b0: one process loads"):
            resolve(only, ["command=make", "workers=2"])

    def test_it_is_not_among_the_command_s_settings(self, toy: Declaration) -> None:
        assert {leaf.key for leaf in settings_of(toy.commands["train"])} - {leaf.key for leaf in settings_of(toy.commands["make"])} == {
            "workers"
        }


ALL = frozenset({"loss", "bias", "workers", "video.save", "video.fps"})
PLAIN = {"loss": "clip", "bias": 0.0, "workers": 4, "video.save": False, "video.fps": 20}
FILMING = PLAIN | {"loss": "siglip", "video.save": True}


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    return tmp_path / "reads"


def ran(reads: Path, command: str, settings: dict[str, object], keys: Iterable[str]) -> None:
    """What a run of a command leaves."""
    run = reads / "toy" / command / f"{len(list(reads.glob('*/*/*')))}"
    (run / NOTES).mkdir(parents=True)
    (run / SETTINGS).write_text(json.dumps(settings))
    for key in keys:
        (run / NOTES / key).touch()


class TestADeadSettingIsAnError:
    """By the runs that there are of each command: the values that each had, and the keys that it read."""

    def problems(self, toy: Declaration, reads: Path, command: str = "train") -> list[str]:
        only = replace(toy, commands={name: toy.commands[name] for name in ("train", "make")})
        told = [line.partition(": ") for line in unread(only, reads)]
        return [problem.partition(",")[0].partition(":")[0] for name, _, problem in told if name == command]

    def test_none_is_dead(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", PLAIN, ALL - {"video.fps", "bias"})
        ran(reads, "train", FILMING, {"bias", "video.fps"})
        assert self.problems(toy, reads) == []

    def test_one_that_no_run_reads(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", FILMING, ALL - {"workers"})
        assert self.problems(toy, reads) == ["workers is never read"]

    def test_one_that_is_not_read_where_it_should_have_an_effect(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", PLAIN, ALL)
        ran(reads, "train", FILMING, ALL - {"bias"})
        assert self.problems(toy, reads) == ["bias is never read"]

    def test_one_whose_condition_no_run_meets(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", PLAIN, ALL)
        assert self.problems(toy, reads) == ["bias has an effect only with loss=siglip", "video.fps has an effect only with video.save"]

    def test_a_condition_may_be_met_by_a_command_that_has_the_setting_from_the_same_class(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", FILMING, ALL)
        ran(reads, "make", PLAIN, {"loss", "video.save"})
        assert self.problems(toy, reads, "make") == []

    def test_what_has_no_condition_must_be_read_by_every_command(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "train", FILMING, ALL)
        ran(reads, "make", PLAIN, {"loss"})
        assert self.problems(toy, reads, "make") == ["video.save is never read"]

    def test_a_command_without_a_run(self, toy: Declaration, reads: Path) -> None:
        assert self.problems(toy, reads) == ["there is no run of it"]

    def test_one_that_is_read_and_declared_to_have_no_effect(self, toy: Declaration, reads: Path) -> None:
        ran(reads, "make", FILMING, ALL)
        assert self.problems(toy, reads, "make") == ["workers is read"]
