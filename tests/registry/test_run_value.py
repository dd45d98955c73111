"""A run as a command line: parsed by a shell and by clearml-task's own parser, it gives the same run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command_line import parse_clearml_task

from registry.run import Run, problem_of_name, problem_of_queue, referenced_steps

word = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1)
value = st.builds(lambda key, text: f"{key}={text}", st.from_regex(r"[a-z][a-z_.]*", fullmatch=True), word)
runs = st.builds(
    Run,
    *(word,) * 8,
    arguments=st.lists(value, unique_by=lambda argument: argument.partition("=")[0]).map(tuple),
    tags=st.lists(word.filter(lambda tag: not tag.startswith("-"))).map(tuple),
)


@settings(deadline=None)
@given(runs)
def test_a_command_line_can_be_parsed_back_into_the_run(run: Run) -> None:
    parsed = parse_clearml_task(run.command_line())
    assert (parsed.project, parsed.name, parsed.task_type, parsed.queue) == (run.project, run.name, run.type, run.queue)
    assert (parsed.repo, parsed.commit, parsed.script, parsed.docker) == (run.repository, run.commit, run.script, run.image)
    assert tuple(parsed.args or ()) == run.arguments
    assert tuple(parsed.tags or ()) == run.tags
    assert parsed.skip_task_init
    assert parsed.force_no_requirements
    assert parsed.skip_python_env_install


def test_values_that_a_server_would_refuse_are_reported_before() -> None:
    run = Run("ab", "x", "training", "r", "c", "s", "i", "q", tags=("-t", ""))
    assert run.problems() == [
        "the project name 'ab' is shorter than 3 characters",
        "the task name 'x' is shorter than 3 characters",
        "tag '-t': must not be empty or begin with -",
        "tag '': must not be empty or begin with -",
    ]


@pytest.mark.parametrize(
    ("project", "told"),
    [
        ("team/abc", None),
        ("a/abc", None),
        ("ab", "the project name 'ab' is shorter than 3 characters"),
        ("team/ab", "the project name 'team/ab' ends in a part that is shorter than 3 characters"),
        ("team//abc", "the project name 'team//abc' has an empty part; write a/b"),
        ("team/", "the project name 'team/' has an empty part; write a/b"),
        ("/team", "the project name '/team' has an empty part; write a/b"),
        ("", "the project name '' is shorter than 3 characters"),
    ],
)
def test_a_project_s_name_is_checked_as_the_server_does(project: str, told: str | None) -> None:
    """As ClearML's API server 2.3.0 answered: 400 for a last part of under three characters, and for one that is empty."""
    assert problem_of_name("project", project) == told
    assert problem_of_name("task", "a/b") is None
    assert problem_of_queue("ab") == "the queue name 'ab' is shorter than 3 characters"


def test_a_later_step_takes_the_id_of_an_earlier_one_from_a_shell_variable() -> None:
    run = Run("demo", "name", "training", "r", "c", "s", "i", "q", arguments=("command=train", "dataset_id=task:demos"))
    assert referenced_steps(run, ["demos", "train"]) == ["demos"]
    assert run.command_line(steps=["demos"]).endswith('"dataset_id=task:$demos_task"')
