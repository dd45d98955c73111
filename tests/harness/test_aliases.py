"""An original's names: the same translation for tokens, tasks, edits and config files; declarations of them that contradict each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.aliases import Names
from harness.edits import NOTE, asked, note
from harness.errors import ParameterError, WorkloadError
from harness.grammar import expand
from harness.keys import names_of
from harness.params import Arguments, resolve, setting
from harness.workload import Command, Declaration, load


@dataclass
class Optim:
    lr: float = setting(1e-3, "learning rate", gt=0)
    name: str = setting("adamw", "optimizer")


@dataclass
class Train:
    steps: int = setting(10, "optimizer steps", ge=1)
    precision: str = setting("fp32", "of activations", choices=("fp32", "fp16"))
    optim: Optim = field(default_factory=Optim)


@dataclass
class Make:
    name: str = setting("", "a name")


NAMES = Names.of(
    {
        "aliases": {
            "train.seed": "seed",
            "random_seed": "seed",
            "learning_rate": "optim.lr",
            "bits": {"key": "precision", "values": {16: "fp16", 32: "fp32", "16-mixed": "fp16"}},
            "train.again": {"key": "resume", "values": {True: "", False: "anew"}},
        },
        "fixed": {"kind": {"values": ["single", True, [0]], "why": "there is one kind"}, "log": {"why": "curves are always written"}},
        "refused": {"gpu": "nproc_per_node=N starts N processes"},
    }
)


@pytest.fixture
def toy(tmp_path: Path) -> Declaration:
    folder = tmp_path / "clearml_tasks" / "toy"
    folder.mkdir(parents=True)
    (tmp_path / "configs/toy").mkdir(parents=True)
    commands = {
        "train": Command("train", "inline", "training", f"{__name__}:Train"),
        "make": Command("make", "inline", "testing", f"{__name__}:Make"),
    }
    return Declaration("toy", folder, "a toy", "toy", "gpu01", {"dataset_id": "toys"}, commands, names=NAMES)


def problems(toy: Declaration, *tokens: str) -> list[str]:
    with pytest.raises(ParameterError) as caught:
        resolve(toy, tokens)
    return caught.value.problems


SAID = {"train.seed": "3", "learning_rate": "0.25", "bits": "16"}
MEANT = {"seed": "3", "optim.lr": "0.25", "precision": "fp16"}


class TestEveryDoorTranslates:
    def check(self, found: Arguments) -> None:
        assert (found.reserved["seed"], found.settings.optim.lr, found.settings.precision) == (3, 0.25, "fp16")

    def test_tokens(self, toy: Declaration) -> None:
        found = resolve(toy, [f"{key}={value}" for key, value in SAID.items()])
        self.check(found)
        assert dict(found.texts) == MEANT  # what a task keeps

    def test_a_task(self, toy: Declaration) -> None:
        """As `clearml-task` makes it."""
        assert asked(toy, {"Args": {"command": "train", **SAID}}, {}) == {"command": "train", **MEANT}
        self.check(resolve(toy, [], SAID))

    def test_a_config_file(self, toy: Declaration) -> None:
        (toy.configs / "theirs.yaml").write_text("train: {seed: 3}\nlearning_rate: 0.25\nbits: 16\nkind: single\n")
        found = resolve(toy, ["config=theirs"])
        self.check(found)
        assert found.texts == {"config": "theirs", "seed": "3"}
        assert found.notes == ("theirs.yaml: kind=single has no effect: there is one kind",)
        assert resolve(toy, ["config=theirs", "random_seed=4", "optim.lr=0.5"]).reserved["seed"] == 4
        assert resolve(toy, ["config=theirs", "random_seed=4", "optim.lr=0.5"]).settings.optim.lr == 0.5

    def test_a_sweep(self, toy: Declaration) -> None:
        runs = [resolve(toy, tokens) for tokens in expand(["train.seed=1,2,3"])]
        assert [run.reserved["seed"] for run in runs] == [1, 2, 3]
        assert [run.texts for run in runs] == [{"seed": "1"}, {"seed": "2"}, {"seed": "3"}]

    def test_typed_arguments_override_those_on_a_task_under_any_name(self, toy: Declaration) -> None:
        assert resolve(toy, ["train.seed=2"], {"seed": "1"}).reserved["seed"] == 2
        assert resolve(toy, ["seed=2"], {"train.seed": "1"}).reserved["seed"] == 2


def test_a_value_has_a_name_of_ours_too(toy: Declaration) -> None:
    for given, meant in (("16", "fp16"), ("32", "fp32"), ("16-mixed", "fp16"), ("fp16", "fp16")):
        assert resolve(toy, [f"bits={given}"]).settings.precision == meant
    assert resolve(toy, ["train.again=True"]).reserved["resume"] is None
    assert resolve(toy, ["train.again=False"]).reserved["resume"] == "anew"
    assert problems(toy, "bits=8") == ["precision=8: must be one of fp32, fp16"]


def test_the_last_part_of_a_dotted_key_is_an_alias_if_it_is_unique(toy: Declaration) -> None:
    assert resolve(toy, ["lr=0.25", "name=sgd"]).flat_settings()["optim.name"] == "sgd"
    assert resolve(toy, ["command=make", "name=x"]).settings.name == "x"
    assert resolve(toy, ["lr=0.25"]).texts == {"optim.lr": "0.25"}


def test_two_names_that_say_different_things_are_both_named(toy: Declaration) -> None:
    assert problems(toy, "train.seed=1", "seed=2") == ["train.seed=1 and seed=2 both set seed; keep one of the two"]
    assert problems(toy, "random_seed=1", "train.seed=2") == ["random_seed=1 and train.seed=2 both set seed; keep one of the two"]
    assert resolve(toy, ["train.seed=2", "seed=2", "learning_rate=0.5", "optim.lr=5e-1"]).texts == {"seed": "2", "optim.lr": "0.5"}


def test_what_changes_nothing_is_said_and_not_kept(toy: Declaration) -> None:
    found = resolve(toy, ["kind=single", "log=True"])
    assert found.texts == {}
    assert found.notes == ("kind=single has no effect: there is one kind", "log=True has no effect: curves are always written")
    assert len(resolve(toy, ["kind=true"]).notes) == len(resolve(toy, ["kind=[0]"]).notes) == 1
    assert resolve(toy, [], {"kind": "[0]"}).notes == ("kind=[0] has no effect: there is one kind",)
    assert problems(toy, "kind=multi") == ["kind=multi: must be single or True or [0]: there is one kind"]


def test_what_there_is_not_is_refused_with_what_there_is(toy: Declaration) -> None:
    assert problems(toy, "gpu=[1]", "steps=0") == [
        "steps=0: must be int >= 1",
        "gpu: not supported: nproc_per_node=N starts N processes",
    ]


def test_a_name_is_among_the_near_ones(toy: Declaration) -> None:
    assert problems(toy, "learning_rat=1") == ["learning_rat: there is no such key (did you mean learning_rate?)"]


RAN = {"Args": {"command": "train", "seed": "1"}, "Settings": {"seed": "1", "optim.lr": "0.001"}, "Datasets": {}}


class TestEdits:
    """Of a clone of a run, which recorded the key alone."""

    def asked(self, toy: Declaration, args: dict[str, str], settings: dict[str, str] | None = None) -> dict[str, str]:
        sections = {"Args": RAN["Args"] | args, "Settings": RAN["Settings"] | (settings or {}), "Datasets": {}}
        return asked(toy, sections, {NOTE: note(RAN)})

    def test_an_original_s_name_is_an_edit_of_the_key(self, toy: Declaration) -> None:
        assert self.asked(toy, {"train.seed": "3"}) == {"command": "train", "seed": "3"}
        assert self.asked(toy, {}, {"learning_rate": "0.5"}) == {"command": "train", "seed": "1", "optim.lr": "0.5"}
        assert self.asked(toy, {"lr": "0.5"})["optim.lr"] == "0.5"

    def test_two_edits_that_differ_are_both_named(self, toy: Declaration) -> None:
        with pytest.raises(ParameterError, match="both set seed"):
            resolve(toy, [], self.asked(toy, {"train.seed": "3", "seed": "2"}))
        with pytest.raises(ParameterError, match=re.escape("Args/seed=3 and Settings/seed=2 differ")):
            self.asked(toy, {"train.seed": "3"}, {"seed": "2"})

    def test_an_alias_written_by_an_older_run_is_not_an_edit(self, toy: Declaration) -> None:
        ran = {"Args": {"command": "train", "train.seed": "1"}, "Settings": {"seed": "0"}, "Datasets": {}}
        assert asked(toy, ran, {NOTE: note(ran)}) == {"command": "train", "seed": "1"}
        edited = ran | {"Args": {**ran["Args"], "seed": "2"}}
        assert asked(toy, edited, {NOTE: note(ran)}) == {"command": "train", "seed": "2"}


@pytest.mark.parametrize(
    ("common", "own", "told"),
    [
        ({"aliases": {"steps": "seed"}}, {}, "commands.train: steps is itself a key"),
        ({"fixed": {"optim.lr": {"why": "w"}}}, {}, "commands.train: optim.lr is itself a key"),
        ({"refused": {"dataset_path": "w"}}, {}, "commands.train: dataset_path is itself a key"),
        ({"aliases": {"a": "optim.rl"}}, {}, "aliases.a: no command has a key optim.rl"),
        ({}, {"aliases": {"a": "optim.rl"}}, "commands.train: aliases.a: there is no key optim.rl"),
        ({"aliases": {"a": "seed"}}, {"refused": {"a": "w"}}, "commands.train: a is already declared for all commands"),
        ({}, {"here": {"dataset_path": "data", "datapath": "data"}}, "commands.train: here.datapath: there is no such key"),
        ({}, {"here": {"folder": "of-{steps}-{stps}"}}, "commands.train: here.folder: there is no setting stps"),
    ],
)
def test_a_declared_name_that_hides_a_key_or_another_name_is_refused(
    common: dict[str, dict[str, str]], own: dict[str, dict[str, str]], told: str, toy: Declaration
) -> None:
    train = replace(toy.commands["train"], names=Names.of(own), here=own.get("here", {}))
    wrong = replace(toy, names=Names.of(common), commands={**toy.commands, "train": train})
    with pytest.raises(WorkloadError, match=rf"workload\.yaml: {re.escape(told)}"):
        resolve(wrong, ["command=train"])


def test_an_alias_of_another_commands_key_is_unknown(toy: Declaration) -> None:
    assert problems(toy, "command=make", "learning_rate=1") == ["learning_rate: there is no such key"]
    assert "learning_rate" not in names_of(toy, toy.commands["make"]).aliases


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ("aliases: [a]", "aliases must be a mapping"),
        ("aliases: {a: 1}", "aliases.a: must be KEY, or {key: KEY, values: {THEIRS: OURS}}"),
        ("aliases: {a: {key: b}}", "aliases.a: must be KEY, or"),
        ("aliases: {a: b, b: seed}", "aliases.a: b is not a key, it is itself in aliases"),
        ("aliases: {a: seed}\nrefused: {a: no}", "refused: a is also in aliases"),
        ("fixed: {a: no}", "fixed.a: must be {why: TEXT}"),
        ("fixed: {a: {values: [1]}}", "fixed.a: must be {why: TEXT}"),
        ("refused: {a: {why: no}}", "refused.a: must be a text"),
    ],
)
def test_tables_that_cannot_be_read_are_named(tables: str, told: str, tmp_path: Path) -> None:
    text = f"summary: s\nqueue: q\ncommands: {{go: {{launcher: own, type: testing, config: 'm:C'}}}}\n{tables}\n"
    (tmp_path / "workload.yaml").write_text(text)
    with pytest.raises(WorkloadError, match=re.escape(told)):
        load(tmp_path)
