"""Arguments and settings: the grammar, the merge, and errors that name everything at once."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from omegaconf import MISSING

from harness.errors import ParameterError
from harness.keys import RESERVED
from harness.params import describe, expand, resolve, setting
from harness.settings import merge
from harness.workload import Command, Declaration


@dataclass
class Optim:
    lr: float = setting(1e-3, "learning rate", gt=0, le=1)
    name: str = setting("adamw", "optimizer", choices=["adamw", "sgd"])


@dataclass
class Train:
    steps: int = setting(10, "optimizer steps", unit="steps", ge=1)
    tag: str | None = setting(None, "free text")
    sizes: list[int] = setting([1, 2], "layer widths", ge=1)
    extra: dict[str, Any] = setting({}, "anything")
    optim: Optim = field(default_factory=Optim)


@dataclass
class Strict:
    target: str = setting(MISSING, "what to reach")


COMMANDS = {
    "train": Command("train", "torchrun", "training", f"{__name__}:Train", ("dataset_id",)),
    "convert": Command("convert", "inline", "data_processing", f"{__name__}:Strict"),
    "detect": Command("detect", "own", "testing", f"{__name__}:Strict"),
}


@pytest.fixture
def declaration(tmp_path: Path) -> Declaration:
    folder = tmp_path / "clearml_tasks" / "toy"
    folder.mkdir(parents=True)
    (tmp_path / "configs/toy").mkdir(parents=True)
    return Declaration("toy", folder, "a toy", "toy", "gpu01", {"dataset_id": "toys"}, COMMANDS)


def config(declaration: Declaration, text: str, name: str = "smoke") -> None:
    (declaration.configs / f"{name}.yaml").write_text(text)


def problems(declaration: Declaration, *tokens: str) -> list[str]:
    with pytest.raises(ParameterError) as caught:
        resolve(declaration, tokens)
    return caught.value.problems


def test_a_setting_may_name_the_data_in_place_of_a_dataset(declaration: Declaration) -> None:
    train = replace(COMMANDS["train"], instead=("tag",))
    declaration = replace(declaration, commands={**declaration.commands, "train": train})

    assert resolve(declaration, ["tag=elsewhere"]).datasets == {}
    assert problems(declaration) == ["dataset_id is required: toys (or dataset_path=FOLDER or tag)"]
    twice = problems(declaration, "tag=elsewhere", "dataset_path=.")
    assert twice == ["tag=elsewhere: dataset_id already names the data; keep one of the two"]
    assert problems(declaration, "tag=elsewhere", "steps=0") == ["steps=0: must be int >= 1"]


def test_a_token_that_cannot_be_read_hides_no_other_mistake(declaration: Declaration) -> None:
    assert problems(declaration, "steps", "optim.rl=1") == [
        "'steps' cannot be read: write steps=VALUE",
        "optim.rl: there is no such key (did you mean optim.lr?)",
        "dataset_id is required: toys (or dataset_path=FOLDER)",
    ]


def test_defaults_then_config_then_arguments(declaration: Declaration) -> None:
    config(declaration, "steps: 20\noptim: {lr: 1e-2, name: sgd}\n")
    found = resolve(declaration, ["dataset_id=abc", "config=smoke", "optim.lr=1e-4", "seed=3"])
    assert found.command.name == "train"
    assert found.settings == Train(steps=20, optim=Optim(lr=1e-4, name="sgd"))
    assert found.reserved["seed"] == 3
    assert found.datasets == {"dataset_id": "abc"}
    assert found.flat_settings() == {"steps": 20, "tag": None, "sizes": [1, 2], "extra": {}, "optim.lr": 1e-4, "optim.name": "sgd"}


def test_all_problems_are_named_at_once(declaration: Declaration) -> None:
    config(declaration, "stepz: 20\n")
    found = problems(
        declaration, "config=smoke", "optim.rl=1", "steps=many", "optim.lr=2", "optim.name=adam", "nproc_per_node=two", "nnodes=0"
    )
    assert len(found) == 8
    for problem in (
        "smoke.yaml: stepz: there is no such key (did you mean steps?)",
        "optim.rl: there is no such key (did you mean optim.lr?)",
        "steps=many: must be int >= 1",
        "optim.lr=2.0: must be float > 0 and <= 1",
        "optim.name=adam: must be one of adamw, sgd (did you mean adamw?)",
        "nproc_per_node=two: must be int",
        "nnodes=0: must be at least 1",
        "dataset_id is required: toys (or dataset_path=FOLDER)",
    ):
        assert problem in found


@dataclass
class Shaped:
    shape: str = setting("round", "shape", choices=["round", "square"], form=r"my-\w+")


def test_what_has_a_settings_form_is_allowed_besides_its_choices() -> None:
    assert merge(Shaped, None, [("shape", "my-star")]).shape == "my-star"
    for wrong in ("star", "my-", "not my-star", "my-star\n"):
        with pytest.raises(ParameterError, match="must be one of round, square"):
            merge(Shaped, None, [("shape", wrong)])


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["command=trian"], "command=trian: toy has no such command (did you mean train?); it has train, convert, detect"),
        (["command=convert"], "target is required: what to reach"),
        (["command=convert", "target=x", "nproc_per_node=2"], "command=convert runs in one process"),
        (
            ["dataset_path=.", "config=smokey"],
            "config=smokey: there is no such file, nor one of that name in configs/toy (did you mean smoke?)",
        ),
        (["dataset_path=.", "nnodes=2", "standalone=True"], "standalone=True and nnodes=2 cannot be combined; leave out standalone"),
        (["dataset_path=.", "nnodes=2", "requeue=3"], "requeue=3 and nnodes=2 cannot be combined"),
        (["dataset_path=.", "requeue=-1"], "requeue=-1: must be at least 0"),
        (["dataset_path=.", "requeue=often"], "requeue=often: must be int"),
        (["command=convert", "target=x", "nnodes=2"], "command=convert runs in one process"),
        (["command=detect", "target=x", "nnodes=2"], "command=detect starts its own processes, on one machine"),
        (["dataset_path=.", "nproc_per_node=0"], "nproc_per_node=0: must be at least 1"),
        (["dataset_path=.", "standalone=2"], "standalone=2: must be bool"),
        (["dataset_path=.", "steps=1,2"], "a sweep starts several runs"),
        (["dataset_path=.", "steps"], "'steps' cannot be read"),
        (["dataset_path=.", "+steps=1"], "without + or ~"),
        (["dataset_path=.", "steps=1", "steps=2"], "steps is given 2 times"),
        (["dataset_path=.", "sizes=[1,0]"], "sizes=[1, 0]: must be list[int] >= 1"),
        (["dataset_path=.", "optim.lr=nan"], "optim.lr=nan: must be float > 0 and <= 1"),
        (["dataset_path=.", "optim=5"], "optim: there is no such key"),
        (["dataset_path=.", "OPTIM.LR=0.5"], "OPTIM.LR: there is no such key (did you mean optim.lr?)"),
        (["dataset_path=.", "nproc_per_node=True"], "nproc_per_node=True: must be int"),
        (["dataset_path=.", "seed=-1"], "seed=-1: must be at least 0"),
        (["dataset_path=.", "tag=???"], "tag=???: this is OmegaConf's mark for a missing value"),
    ],
)
def test_each_mistake_has_its_words(declaration: Declaration, tokens: list[str], told: str) -> None:
    config(declaration, "steps: 2\n")
    assert any(told in problem for problem in problems(declaration, *tokens))


@pytest.mark.parametrize("standalone", [[], ["standalone=False"], ["standalone="]])
def test_several_machines_need_not_be_said_twice(declaration: Declaration, standalone: list[str]) -> None:
    assert resolve(declaration, ["dataset_path=.", "nnodes=2", *standalone]).reserved["nnodes"] == 2


@pytest.mark.parametrize("identifier", ["12e34567", "00700700", "1e5", "True", "task:3f2a", "s3://bucket/a b"])
def test_an_id_stays_as_typed(declaration: Declaration, identifier: str) -> None:
    found = resolve(declaration, [f"dataset_id={identifier}", f"tag={identifier}"])
    assert found.reserved["dataset_id"] == identifier
    assert found.settings.tag == identifier


def test_an_empty_value_is_the_default(declaration: Declaration) -> None:
    found = resolve(declaration, ["dataset_path=x", "resume=", "seed=", "tag=null"])
    assert (found.reserved["resume"], found.reserved["seed"], found.settings.tag) == (None, 0, None)


@pytest.mark.parametrize("key", ["tag", "dataset_id", "optim.lr", "resume", "extra"])
@pytest.mark.parametrize("text", ["${oc.env:SECRET}", "a ${optim.lr}", "'\\${oc.env:SECRET}'", "'${'"])
def test_no_interpolation_is_resolved(declaration: Declaration, monkeypatch: pytest.MonkeyPatch, key: str, text: str) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    told = [problem for problem in problems(declaration, "dataset_path=.", f"{key}={text}") if problem.startswith(f"{key}=")]
    assert [problem.partition(": ")[2].partition(",")[0] for problem in told] == ["${...} is not interpolated"]
    assert "hidden" not in "".join(told)


@pytest.mark.parametrize(
    "text", ["tag: ${oc.env:SECRET}", "extra: {a: {b: ['${tag}']}}", "extra: {'${tag}': 1}", "optim: {lr: '${.name}'}"]
)
def test_nor_in_a_config_file(declaration: Declaration, text: str) -> None:
    config(declaration, text)
    (told,) = problems(declaration, "dataset_path=.", "config=smoke")
    assert told.startswith(f"smoke.yaml: {'optim.lr' if 'optim' in text else text.partition(':')[0]}=")
    assert "${...} is not interpolated" in told


def test_nothing_is_none_where_none_may_be(declaration: Declaration) -> None:
    assert resolve(declaration, ["dataset_path=.", "tag="]).settings.tag is None
    assert resolve(declaration, [], {"dataset_path": ".", "tag": ""}).settings.tag is None
    (told,) = problems(declaration, "dataset_path=.", "steps=")
    assert told == "steps=: must be int >= 1"


def test_the_name_of_a_config_may_have_its_root(declaration: Declaration, tmp_path: Path) -> None:
    config(declaration, "steps: 7\n")
    (tmp_path / "configs/toy/sub").mkdir()
    config(declaration, "steps: 8\n", "sub/deep")
    for name, steps in (("smoke", 7), ("sub/deep", 8), ("configs/toy/smoke.yaml", 7)):
        assert resolve(declaration, ["dataset_path=x", f"config={name}"]).settings.steps == steps


def test_a_config_overrides_defaults_and_an_argument_overrides_the_config(declaration: Declaration) -> None:
    config(declaration, "optim: {lr: 1e-2}\nextra: {a: 1}\n")
    found = resolve(declaration, ["dataset_path=x", "config=smoke", "steps=3"]).settings
    assert found == Train(steps=3, optim=Optim(lr=1e-2, name="adamw"), extra={"a": 1})


def test_a_list_or_a_mapping_is_replaced_as_a_whole(declaration: Declaration) -> None:
    config(declaration, "extra: {a: 1}\nsizes: [3, 4, 5]\n")
    found = resolve(declaration, ["dataset_path=x", "config=smoke", "extra={b: 2}", "sizes=[6]"]).settings
    assert (found.extra, found.sizes) == ({"b": 2}, [6])


@pytest.mark.parametrize("number", ["1e-3", "1e0", "1E-3", "+1e-3", "0.001", "1"])
def test_a_number_in_yaml_is_one_for_a_float(declaration: Declaration, number: str) -> None:
    config(declaration, f"optim: {{lr: {number}}}\nextra: {{a: {number}}}\n")
    found = resolve(declaration, ["dataset_path=x", "config=smoke"]).settings
    assert (found.optim.lr, found.extra["a"]) == (float(number), float(number))


def test_a_key_that_stands_twice_is_named_with_its_lines(declaration: Declaration) -> None:
    config(declaration, "steps: 2\noptim:\n  lr: 1e-3\n  name: sgd\n  lr: 1e-2\nsteps: 3\n")
    (told,) = problems(declaration, "dataset_path=x", "config=smoke")
    assert told == f"{declaration.configs}/smoke.yaml: lr is given 2 times, on lines 3, 5; steps is given 2 times, on lines 1, 6"
    config(declaration, "optim.lr: 1e-3\noptim: {lr: 1e-2}\n")
    (told,) = problems(declaration, "dataset_path=x", "config=smoke")
    assert told.endswith("smoke.yaml: optim.lr is given 2 times")


@pytest.mark.parametrize("text", ["extra: " + "[" * 5000 + "]" * 5000, "extra: " + "{a: " * 5000 + "1" + "}" * 5000])
def test_a_file_that_is_nested_too_deeply_is_named(declaration: Declaration, text: str) -> None:
    config(declaration, text)
    (told,) = problems(declaration, "dataset_path=x", "config=smoke")
    assert told == f"{declaration.configs}/smoke.yaml: cannot be read: it is nested too deeply"
    assert problems(declaration, "dataset_path=x", text.replace("extra: ", "extra="))


def test_a_config_file_may_be_anywhere(declaration: Declaration, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("steps: 7\n")
    assert resolve(declaration, ["dataset_path=x", f"config={tmp_path}/mine.yaml"]).settings.steps == 7


@pytest.mark.parametrize("text", ["- 1\n", "steps: [\n", "\tsteps: 1"])
def test_a_broken_config_file_is_named(declaration: Declaration, text: str) -> None:
    config(declaration, text)
    (told,) = problems(declaration, "dataset_path=x", "config=smoke")
    assert re.match(rf"{declaration.configs}/smoke\.yaml: (must be a mapping of settings$|cannot be read: while (parsing|scanning))", told)


def test_expand_makes_the_product_of_sweeps() -> None:
    assert expand(["a=1,2", "b=x", "c=range(0,2)"]) == [
        ["a=1", "b=x", "c=0"],
        ["a=1", "b=x", "c=1"],
        ["a=2", "b=x", "c=0"],
        ["a=2", "b=x", "c=1"],
    ]
    with pytest.raises(ParameterError, match="an interval cannot be expanded into runs"):
        expand(["a=interval(0,1)"])


def test_describe_gives_type_unit_and_limits() -> None:
    settings = {item.key: item for item in describe(Train)}
    assert list(settings) == ["steps", "tag", "sizes", "extra", "optim.lr", "optim.name"]
    assert (settings["steps"].type, settings["steps"].unit, settings["steps"].default) == ("int", "steps", 10)
    assert settings["optim.lr"].allowed == "float > 0 and <= 1"
    assert settings["sizes"].default == [1, 2]


def test_no_setting_may_bear_a_reserved_name() -> None:
    assert not RESERVED.keys() & {item.key for item in describe(Train)}


@hypothesis(deadline=None)
@given(st.floats(min_value=1e-12, max_value=1.0), st.integers(1, 10**9))
def test_numbers_survive_the_grammar(lr: float, steps: int) -> None:
    declaration = Declaration("toy", Path("/nowhere/clearml_tasks/toy"), "", "toy", "q", {}, {"train": COMMANDS["train"]})
    found = resolve(declaration, ["dataset_path=x", f"optim.lr={lr!r}", f"steps={steps}"])
    assert (found.settings.optim.lr, found.settings.steps) == (lr, steps)


def test_importing_the_harness_leaves_torch_and_clearml_out() -> None:
    code = "import harness, harness.params, sys; print({'torch', 'clearml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
