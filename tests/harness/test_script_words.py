"""A script's command line, judged by the parsers that read it: argparse's, click's and Hydra's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import click
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from harness.wrapped.script import Option, Script
from harness.wrapped.words import words

VALUE = Option("lr", type="float", flag="--lr")
NAMES = Option("names", form="words", flag="--names", many=True)
TAGS = Option("tags", form="append", flag="--tag", many=True)
FAST = Option("fast", form="switch", type="bool", flag="--fast", negation="--no-fast")
SHUFFLE = Option("shuffle", form="switch", type="bool", negation="--no-shuffle", default=True)
LOUD = Option("loud", form="count", type="int", flag="-v")
TRUTH = Option("truth", type="bool", flag="--truth", false_word="")
PLACE = Option("place", form="place")
MORE = Option("more", form="place", many=True)
OPTIONS = (PLACE, MORE, VALUE, NAMES, TAGS, FAST, SHUFFLE, LOUD, TRUTH)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=300), min_size=1).filter(lambda text: not text.startswith("-"))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    found.add_argument("place")
    found.add_argument("more", nargs="*")
    found.add_argument("--lr", type=float)
    found.add_argument("--names", nargs="+")
    found.add_argument("--tag", action="append", dest="tags")
    found.add_argument("--fast", action=argparse.BooleanOptionalAction)
    found.add_argument("--no-shuffle", dest="shuffle", action="store_false")
    found.add_argument("-v", action="count", dest="loud")
    found.add_argument("--truth", type=bool)
    return found


@settings(max_examples=40, deadline=None)
@given(
    lr=st.floats(allow_nan=False),
    texts=st.lists(TEXTS, min_size=1, max_size=3),
    fast=st.booleans(),
    shuffle=st.booleans(),
    truth=st.booleans(),
    loud=st.integers(1, 3),
)
def test_argparse_reads_what_was_said(lr: float, texts: list[str], fast: bool, shuffle: bool, truth: bool, loud: int) -> None:
    said = {"place": texts[0], "more": texts, "lr": lr, "names": texts, "tags": texts, "loud": loud}
    said |= {"fast": fast, "shuffle": shuffle, "truth": truth}
    assert vars(parser().parse_args(words(Script("a.py", options=OPTIONS), said, {}))) == said


def test_a_value_may_begin_with_a_dash() -> None:
    typed = words(Script("a.py", options=OPTIONS), {"place": "x", "tags": ["-1", "--fast"]}, {})
    assert parser().parse_args(typed).tags == ["-1", "--fast"]


def test_what_nobody_said_is_left_to_the_script() -> None:
    assert words(Script("a.py", options=OPTIONS), {}, {}) == []


def test_a_positional_argument_before_one_that_was_said_has_its_default() -> None:
    options = (Option("first", form="place", default="a"), Option("second", form="place"))
    assert words(Script("a.py", options=options), {"second": "b"}, {}) == ["a", "b"]


def test_what_the_harness_knows_goes_to_the_options_that_take_it() -> None:
    options = (Option("data", form="place"), Option("seed", type="int", flag="--seed"), Option("resume", flag="--resume"))
    script = Script("a.py", passes={"dataset_id": "data", "seed": "seed", "resume": "resume"}, options=options)
    known = {"dataset_id": "/data", "seed": 3, "resume": None, "output_dir": "/out"}
    assert words(script, {"arguments": ["--new", "1"]}, known) == ["/data", "--seed=3", "--new", "1"]


def test_options_stand_on_their_side_of_a_subcommand() -> None:
    options = (Option("verbose", form="switch", type="bool", flag="--verbose"), Option("lr", flag="--lr", level=1))
    script = Script("a.py", words=("train",), options=options)
    assert words(script, {"lr": "1", "verbose": True}, {}) == ["--verbose", "train", "--lr=1"]


def test_click_reads_what_was_said() -> None:
    @click.command()
    @click.argument("place")
    @click.option("--lr", type=float)
    @click.option("--tag", "tags", multiple=True)
    @click.option("--fast/--no-fast", default=True)
    @click.option("-v", "loud", count=True)
    def main(**found: Any) -> None:
        told.update(found)

    told: dict[str, Any] = {}
    said = {"place": "x", "lr": -0.5, "tags": ["a", "-b"], "fast": False, "loud": 2}
    main.main(words(Script("a.py", options=OPTIONS), said, {}), standalone_mode=False)
    assert told == said | {"tags": ("a", "-b")}


@pytest.mark.parametrize("value", [1, 0.5, True, None, "a, b", "x=1", "it's", ["a", "b c"], [1, 2]])
def test_hydra_reads_what_was_said(value: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("optim: {lr: null}\n")
    script = Script("a.py", options=(Option("optim.lr", form="override", many=isinstance(value, list)),))
    overrides = words(script, {"optim.lr": value}, {})
    if value is None:
        assert overrides == []  # it is left to the script
        return
    with initialize_config_dir(version_base=None, config_dir=str(tmp_path)):
        assert OmegaConf.to_container(compose("config", overrides)) == {"optim": {"lr": value}}
