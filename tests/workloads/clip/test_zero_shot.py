"""Classes as words: their labels, their templates, and the accuracy against a plain recomputation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip_training.config import CLASS_SETS
from clip_training.zero_shot import ClassSet, accuracy, read_classes, read_templates
from harness.errors import ParameterError

ANIMALS = ClassSet("animals", {"cat": ("cat", "kitten"), "polar bear": ("polar bear",), "dog": ("dog",)})


@pytest.mark.parametrize(
    ("caption", "labels"),
    [
        ("a cat on a mat", {0}),
        ("Two KITTENS and a dog", {0, 2}),
        ("a polar  bear", {1}),
        ("a bear on a catalogue, dogged", set()),
        ("cats, dogs.", {0, 2}),
    ],
)
def test_a_caption_names_classes_by_whole_words(caption: str, labels: set[int]) -> None:
    assert ANIMALS.labels(caption) == labels


def test_classes_are_read_from_lists_and_mappings(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("[red, green]")
    (tmp_path / "two.yaml").write_text("n01: tench\nn02: [goldfish, carp]")
    assert read_classes(str(tmp_path / "one.yaml")) == ClassSet("one", {"red": ("red",), "green": ("green",)})
    assert read_classes(str(tmp_path / "two.yaml")).words == {"n01": ("tench",), "n02": ("goldfish", "carp")}
    assert len(read_classes("imagenet").words) > 990
    assert CLASS_SETS.keys() >= {"tabletop_colours", "tabletop_shapes", "tabletop_objects"}
    assert len(read_classes("tabletop_objects").words) == 48


@pytest.mark.parametrize("name", ["classes.txt", "classes.lst", "classes"])
def test_a_plain_list_has_a_class_in_each_line(name: str, tmp_path: Path) -> None:
    """What YAML would take for something else is a name here; blank lines and comments are none."""
    (tmp_path / name).write_bytes("\ufeff# animals\r\npolar bear\r\n\r\nno\n  12: [cat\n".encode())
    assert read_classes(str(tmp_path / name)) == ClassSet("classes", {text: (text,) for text in ("polar bear", "no", "12: [cat")})
    (tmp_path / name).write_bytes("Bär\nWal\n".encode("latin-1"))
    assert [*read_classes(str(tmp_path / name), "latin-1").words] == ["Bär", "Wal"]
    with pytest.raises(ParameterError, match=r"is not utf-8 text .* set data\.encoding"):
        read_classes(str(tmp_path / name))


def test_json_is_read_as_yaml_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["red", "green"]')
    (tmp_path / "b.json").write_text('{"n01": "tench", "n02": ["goldfish", "carp"]}')
    assert [*read_classes(str(tmp_path / "a.json")).words] == ["red", "green"]
    assert read_classes(str(tmp_path / "b.json")).words["n02"] == ("goldfish", "carp")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "Cat\ndog\ncat\n"), ("a.yaml", "[Cat, dog, cat]"), ("a.yaml", "Cat: tom\ncat: tomcat"), ("a.txt", "Cat\ndog\nCat\n")],
)
def test_repeated_classes_are_an_error_that_names_them(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ParameterError, match=r"1 classes are repeated: Cat = [Cc]at"):
        read_classes(str(tmp_path / name))


@pytest.mark.parametrize("content", ["", "\n# nothing\n", "one\n"])
def test_a_plain_list_of_less_than_two_classes_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text(content)
    with pytest.raises(ParameterError, match="must be at least two classes, one per line"):
        read_classes(str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("content", ["[one]", "word", "a: []\nb: c", "a: {b: c}\nd: e", "- ''\n- b"])
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(content)
    with pytest.raises(ParameterError, match="must be a YAML or JSON list of at least two classes"):
        read_classes(str(tmp_path / "classes.yaml"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[0, 1]", "0 is of the type int"),
        ("[true, false]", "True is of the type bool"),
        ("a: [1.5]\nb: c", "1.5 is of the type float"),
        ("[2020-01-01, b]", "2020-01-01 is of the type date"),
    ],
)
def test_numbers_are_no_classes(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(content)
    with pytest.raises(ParameterError, match=rf"zero_shot\.classes: {told} in YAML, and no word, so it names no class in a sentence"):
        read_classes(str(tmp_path / "classes.yaml"))
    (tmp_path / "classes.yaml").write_text("0: tench\n1: goldfish")
    assert read_classes(str(tmp_path / "classes.yaml")).words == {"0": ("tench",), "1": ("goldfish",)}


@pytest.mark.parametrize("template", ["{} {}", "{0}", "a {", "a {} and {x}", "a } {}", "{{}}"])
def test_a_template_has_one_place_for_the_class(template: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"each template needs one \{\} for the class, and no other braces"):
        read_templates(template)
    (tmp_path / "mine.txt").write_text(f"a {{}}.\n{template}\n")
    with pytest.raises(ParameterError, match=r"each template needs one \{\} for the class, and no other braces"):
        read_templates(str(tmp_path / "mine.txt"))


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ParameterError, match=r"neither a file nor one of imagenet, .*did you mean tabletop_colours"):
        read_classes("tabletop_colors")


def test_templates_are_named_given_or_read_from_a_file(tmp_path: Path) -> None:
    assert [len(read_templates(name)) for name in ("openai", "simple", "photo", "name")] == [80, 7, 1, 1]
    assert read_templates("a {} on a table") == ["a {} on a table"]
    (tmp_path / "mine.txt").write_text("a {}.\n\nsome {}s\n")
    assert read_templates(str(tmp_path / "mine.txt")) == ["a {}.", "some {}s"]
    (tmp_path / "wrong.txt").write_text("a {}\na thing\n")
    with pytest.raises(ParameterError, match=r"each template needs one \{\} for the class, and no other braces: a thing"):
        read_templates(str(tmp_path / "wrong.txt"))
    with pytest.raises(ParameterError, match="must be one of openai, simple"):
        read_templates("opnai")


def test_accuracy_equals_the_plain_count() -> None:
    """Images that show one, two or three classes, ranked one by one."""
    rng = np.random.default_rng(0)
    scores, names = rng.normal(size=(60, 8)), [f"class {number}" for number in range(8)]
    labels = [set(rng.permutation(8)[: 1 + row % 3].tolist()) for row in range(60)]
    result = accuracy(torch.from_numpy(scores), labels, names)

    order = [sorted(range(8), key=lambda j, row=row: -row[j]) for row in scores]
    for k in (1, 5):
        assert result.top[k] == pytest.approx(np.mean([bool(those & set(best[:k])) for those, best in zip(labels, order, strict=True)]))
    assert result.chance[1] == pytest.approx(np.mean([len(those) / 8 for those in labels]))
    for number, name in enumerate(names):
        shown = [row for row in range(60) if number in labels[row]]
        found = [number in order[row][: len(labels[row])] for row in shown]
        assert result.per_class[name] == (len(shown), pytest.approx(np.mean(found)))
    assert result.best.tolist() == [best[0] for best in order]


def test_a_model_with_constant_scores_is_never_right() -> None:
    result = accuracy(torch.zeros(4, 6), [{0}, {1}, {2, 3}, {5}], list("abcdef"))
    assert result.top == {1: 0.0, 5: pytest.approx(0.25)}  # of two classes in six, one is among any five
    assert result.mean_per_class == 0
