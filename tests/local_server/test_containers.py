"""A task whose container failed says why, where its agent says no more than an exit code."""

from __future__ import annotations

import pytest
from support.events import NewTask, log_line
from support.server import LocalServer


def reason_after(server: LocalServer, task: str, stated: str, *lines: str) -> str:
    server.call("tasks.started", task=task)
    server.report(*(log_line(task, line, 1_700_000_000_000 + index) for index, line in enumerate(lines)))
    server.call("tasks.failed", task=task, status_reason=stated, status_message="Changed by clearml-agent")
    failed = server.call("tasks.get_by_id", task=task)["task"]
    assert failed["status_message"] == ("Changed by clearml-agent" if failed["status_reason"] == stated else failed["status_reason"])
    return str(failed["status_reason"])


def test_a_container_that_could_not_be_started_with_the_words_of_the_engine(server: LocalServer, new_task: NewTask) -> None:
    told = (
        "Unable to find image 'registry.example.org/team/clip:v1' locally",
        "docker: Error response from daemon: manifest for registry.example.org/team/clip:v1 not found: manifest unknown.\r\n"
        "See 'docker run --help'.",
        "Process failed, exit code 125",
    )
    assert reason_after(server, new_task(), "worker execution exit code 125", *told) == (
        "the container could not be started: Error response from daemon: manifest for registry.example.org/team/clip:v1 not found: "
        "manifest unknown (worker execution exit code 125)"
    )


def test_a_container_that_could_not_be_started_and_an_engine_that_said_nothing(server: LocalServer, new_task: NewTask) -> None:
    stated = "worker execution exit code 125"
    assert reason_after(server, new_task(), stated, "a line") == f"the container could not be started ({stated})"


@pytest.mark.parametrize(("code", "meaning"), [(137, "killed: out of memory, or by hand"), (127, "the container has no such command")])
def test_what_other_exit_codes_mean(server: LocalServer, new_task: NewTask, code: int, meaning: str) -> None:
    stated = f"worker execution exit code {code}"
    assert reason_after(server, new_task(), stated, "docker: Error response from daemon: of an earlier attempt") == f"{meaning} ({stated})"


@pytest.mark.parametrize("stated", ["worker execution exit code 1", "lr: must be a number", "", "see worker execution exit code 125"])
def test_any_other_reason_stays_as_it_is(server: LocalServer, new_task: NewTask, stated: str) -> None:
    assert reason_after(server, new_task(), stated, "docker: Error response from daemon: no") == stated
