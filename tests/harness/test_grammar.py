"""The two doors of an argument: what is typed is read back as it was meant, and what a task holds is the value itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.grammar import on_task, read, text_on_task, token

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "null",
        "True",
        "1e-3",
        "0123",
        "",
        " a",
        "a ",
        "a\\",
        "\\'",
        "'",
        '"',
        "${x}",
        "[a",
        "{a: b}",
        "a,b",
        "a=b",
        "~/x",
        "a\nb",
        "ß",
        "b(c)",
    ]
)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
names = st.from_regex(r"[a-z][a-z_]*", fullmatch=True).filter(lambda name: name not in {"null", "true", "false", "inf", "nan"})
values = st.recursive(texts | numbers, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3), max_leaves=8)


@settings(deadline=None)
@given(texts)
def test_a_text_survives_both_doors(text: str) -> None:
    arguments, problems = read([token("key", text)])
    assert problems == []
    assert arguments["key"].text == text
    assert arguments["key"].meant(wants_text=True) == text
    assert on_task("key", text).meant(wants_text=True) == text


@settings(deadline=None)
@given(values)
@example(None)
def test_a_value_survives_both_doors(value: Any) -> None:
    """Typed, put on a task, and read from there. A text alone means what it looks like, unless a text is wanted."""
    arguments, problems = read([token("key", value)])
    assert problems == []
    wants_text = isinstance(value, str)
    assert arguments["key"].meant(wants_text) == value
    kept = "" if value is None else value  # which is None again where a setting may be None
    assert on_task("key", arguments["key"].text).meant(wants_text) == kept
    assert on_task("key", text_on_task(value)).meant(wants_text) == kept


@pytest.mark.parametrize("typed", ["a=b", "größe", "https://h/p?q=1&r=2", "~/data", "runs/step=00000001.ckpt", "50%", "x@y"])
def test_what_has_no_meaning_in_the_grammar_needs_no_quotes(typed: str) -> None:
    arguments, problems = read([f"resume={typed}"])
    assert (problems, arguments["resume"].text) == ([], typed)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("lr=1e-3,", "'lr=1e-3,' cannot be read: write lr=1e-3"),
        ("lr＝1e-3", "'lr＝1e-3' cannot be read: write lr=1e-3"),
        ("-m", "'-m' cannot be read: sweeps need no flag; write key=a,b"),
        ("--multirun", "'--multirun' cannot be read: sweeps need no flag; write key=a,b"),
        ("--lr=1e-3", "'--lr=1e-3' cannot be read: write lr=1e-3"),
        ("--lr", "'--lr' cannot be read: write lr=VALUE"),
        ("lr", "'lr' cannot be read: write lr=VALUE"),
        ("=3", "'=3' cannot be read: write key=VALUE"),
        ("prompt=a photo of a {}", "'prompt=a photo of a {}' cannot be read: write prompt='a photo of a {}'"),
        ("prompt=it's", "\"prompt=it's\" cannot be read: write prompt='it\\'s'"),
        ("words=[a", "'words=[a' cannot be read: write words='[a'"),
        ("+lr=1", "'+lr=1': write key=value without + or ~ or @"),
        ("lr=1,2", "'lr=1,2': a sweep starts several runs, and this is a single run; give one value, in quotes if it contains commas"),
    ],
)
def test_what_cannot_be_read_gets_the_nearest_right_form(typed: str, told: str) -> None:
    assert read([typed])[1] == [told]
