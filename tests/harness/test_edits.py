"""Edits on a task that has run: those in Args and in Settings are what runs, any other is refused with the place where it would count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.echo import ECHO
from support.toy import forget_settings, make_repository

from harness.edits import NOTE, asked, note
from harness.errors import ParameterError
from harness.workload import Declaration, load

Sections = dict[str, dict[str, str]]
RAN: Sections = {
    "Args": {"command": "say", "optim.lr": "1e-3", "one": "a"},
    "Settings": {"seed": "0", "optim.lr": "0.001", "one": "a", "count": "1"},
    "Datasets": {},
}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Declaration:
    return load(make_repository(tmp_path_factory.mktemp("echo") / "root", **ECHO).parent)


@pytest.fixture(autouse=True)
def on_path(echo: Declaration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(echo.folder)
    forget_settings(monkeypatch)


def clone(changes: dict[str, str | None], ran: Sections = RAN) -> Sections:
    """The sections of a clone of a run, with these changes; None takes a value out."""
    sections = {name: dict(values) for name, values in ran.items()}
    for place, value in changes.items():
        section, _, key = place.partition("/")
        held = sections.setdefault(section, {})
        if value is None:
            del held[key]
        else:
            held[key] = value
    return sections


def of_clone(echo: Declaration, changes: dict[str, str | None]) -> dict[str, str]:
    return asked(echo, clone(changes), {NOTE: note(RAN)})


def problems(echo: Declaration, sections: Sections, configuration: dict[str, str]) -> list[str]:
    with pytest.raises(ParameterError) as caught:
        asked(echo, sections, configuration)
    return caught.value.problems


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"Settings/optim.lr": "0.25"}, {"optim.lr": "0.25"}),
        ({"Args/optim.lr": "0.25"}, {"optim.lr": "0.25"}),
        ({"Settings/optim.lr": "0.25", "Args/optim.lr": "2.5e-1"}, {"optim.lr": "0.25"}),
        ({"Settings/optim.lr": "0.25", "Args/one": "b"}, {"optim.lr": "0.25", "one": "b"}),
        ({"Settings/count": "7", "Settings/seed": "3"}, {"count": "7", "seed": "3"}),
        ({"Args/config": "other"}, {"config": "other"}),
        ({"properties/one": "a person's note", "launch_multi_node/total_num_nodes": "2", "Plots/width": "3"}, {}),
    ],
)
def test_an_edit_is_what_runs(echo: Declaration, changes: dict[str, str | None], expected: dict[str, str]) -> None:
    assert of_clone(echo, changes) == {**RAN["Args"], **expected}


def test_an_argument_that_was_taken_out_is_no_longer_given(echo: Declaration) -> None:
    assert of_clone(echo, {"Args/one": None}) == {"command": "say", "optim.lr": "1e-3"}


@pytest.mark.parametrize("place", ["Settings/optim.lr", "Args/optim.lr"])
def test_no_argument_is_lost_although_set_parameters_drops_all_that_it_is_not_given(echo: Declaration, place: str) -> None:
    section, _, key = place.partition("/")
    found = asked(echo, {section: {key: "0.25"}}, {NOTE: note(RAN)})
    assert found == {**RAN["Args"], "optim.lr": "0.25"}


def test_two_edits_that_differ_are_both_named(echo: Declaration) -> None:
    found = problems(echo, clone({"Settings/optim.lr": "0.25", "Args/optim.lr": "0.5"}), {NOTE: note(RAN)})
    assert found == ["Args/optim.lr=0.5 and Settings/optim.lr=0.25 differ, and neither equals the previous run's value; make them equal"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"General/optim.lr": "0.25"}, "General/optim.lr=0.25: runs read only Args/ and Settings/; write Args/optim.lr"),
        ({"General/lr": "0.25"}, "General/lr=0.25: runs read only Args/ and Settings/; write Args/lr"),
        ({"Hydra/seed": "3"}, "Hydra/seed=3: runs read only Args/ and Settings/; write Args/seed"),
        ({"Settings/optim.rl": "1"}, "Settings/optim.rl: there is no such key (did you mean optim.lr?)"),
        ({"Settings/one": None}, "Settings/one was removed, which has no effect; give it a value"),
        ({"Datasets/dataset_id": "f00"}, "Datasets/dataset_id was edited, but it is only a record of what was used; edit Args/dataset_id"),
    ],
)
def test_an_edit_without_effect_is_refused_and_the_place_to_edit_named(
    echo: Declaration, changes: dict[str, str | None], told: str
) -> None:
    assert problems(echo, clone(changes), {NOTE: note(RAN)}) == [told]


def test_a_configuration_object_is_no_place_for_an_edit(echo: Declaration) -> None:
    assert problems(echo, clone({}), {NOTE: note(RAN), "OmegaConf": "optim: {lr: 0.25}"}) == [
        "configuration object 'OmegaConf': runs do not read it; edit Args/ or Settings/"
    ]
    edited = json.loads(note(RAN))
    edited["written"]["Settings"]["optim.lr"] = "0.25"
    for text in (json.dumps(edited), "lr: 0.25", "[]"):
        (told,) = problems(echo, clone({}), {NOTE: text})
        assert told.startswith("configuration object 'as_run' was edited")


class TestBeforeAnyRun:
    """A draft, of the registry or of clearml-task, has nothing but Args; what else is there was put there by hand or by a search."""

    def test_args_and_settings_are_what_is_asked_for(self, echo: Declaration) -> None:
        assert asked(echo, {"Args": {"one": "a"}}, {}) == {"one": "a"}
        assert asked(echo, {"Args": {"one": "a"}, "Settings": {"optim.lr": "0.25"}}, {}) == {"one": "a", "optim.lr": "0.25"}

    def test_they_must_not_contradict_each_other(self, echo: Declaration) -> None:
        (told,) = problems(echo, {"Args": {"optim.lr": "0.5"}, "Settings": {"optim.lr": "0.25"}}, {})
        assert (
            told == "Args/optim.lr=0.5 and Settings/optim.lr=0.25 differ, and no previous run tells which one was edited; make them equal"
        )
        assert asked(echo, {"Args": {"optim.lr": "1/2"}, "Settings": {"optim.lr": "1/2"}}, {}) == {"optim.lr": "1/2"}


def test_all_that_is_wrong_is_told_at_once(echo: Declaration, tmp_path: Path) -> None:
    sections = clone({"General/one": "b", "Settings/two": "c", "Args/two": "d", "Settings/seed": None})
    assert len(problems(echo, sections, {NOTE: note(RAN), "General": "{}"})) == 4
