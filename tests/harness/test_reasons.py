"""A run's reason outlives what its agent says after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.agent import ends
from support.server import LocalServer

from harness.reasons import ended, reason_of, tell

TOLD = "rank 0: ValueError: größe='ä'\nstep 2 went wrong"


@pytest.fixture
def task(server: LocalServer) -> str:
    """A task that runs."""
    task = str(server.call("tasks.create", name="some task", type="training", script={"entry_point": "x.py"})["id"])
    server.call("tasks.started", task=task)
    return task


def say(server: LocalServer, task: str, reason: str) -> None:
    """As a run does, through the SDK's session."""
    session = SimpleNamespace(send_request=lambda service, action, json: server.ask(f"{service}.{action}", **json))
    tell(SimpleNamespace(id=task, session=session), task, reason)


def seen(server: LocalServer, task: str) -> dict[str, Any]:
    found: dict[str, Any] = server.call("tasks.get_by_id", task=task)["task"]
    return found


def test_it_is_read_back_after_the_agent_has_replaced_the_status(server: LocalServer, task: str) -> None:
    say(server, task, TOLD)
    server.call("tasks.failed", task=task, status_reason=TOLD, status_message=TOLD, force=True)
    ends(server, task, 2)
    found = seen(server, task)
    assert (found["status_reason"], found["status_message"]) == ("worker execution exit code 2", "Changed by clearml-agent machine:0")
    assert reason_of(found) == TOLD
    assert found["hyperparams"]["properties"]["reason"]["value"] == TOLD  # where the web UI shows it


def test_a_continued_task_does_not_keep_the_reason_of_its_last_end(server: LocalServer, task: str) -> None:
    say(server, task, TOLD)
    server.call("tasks.stopped", task=task)
    server.call("tasks.enqueue", task=task, queue_name="anew")
    server.call("tasks.started", task=task, force=True)
    server.call("tasks.failed", task=task, status_reason="failed cloning repository", status_message="Changed by clearml-agent machine:0")
    assert reason_of(seen(server, task)) == "failed cloning repository"


def test_a_clone_does_not_have_the_reason_of_its_original(server: LocalServer, task: str) -> None:
    say(server, task, TOLD)
    server.call("tasks.failed", task=task)
    clone = server.call("tasks.clone", task=task)["id"]
    assert seen(server, clone)["hyperparams"]["properties"]["reason"]["value"] == TOLD  # it has it among its properties
    server.call("tasks.started", task=clone)
    ends(server, clone, 3)
    assert reason_of(seen(server, clone)) == "a process ended with exit code 3 (worker execution exit code 3)"


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"status_reason": "exit", "status_message": "lr: must be float"}, "exit; lr: must be float"),
        ({"status_reason": "lr: must be float", "status_message": "lr: must be float"}, "lr: must be float"),
        ({"status_reason": "user abort", "status_message": "Changed by clearml-agent machine:0"}, "user abort"),
        ({"status_reason": "", "status_message": "Changed by clearml-agent machine:0"}, ""),
        ({"status_reason": None, "status_message": None, "hyperparams": None}, ""),
    ],
)
def test_without_one_of_its_own_it_is_the_server_s(stated: dict[str, Any], told: str) -> None:
    assert reason_of({"id": "a", "started": None, **stated}) == told


def test_a_server_that_refuses_leaves_a_warning(server: LocalServer, task: str, caplog: pytest.LogCaptureFixture) -> None:
    server.call("tasks.delete", task=task, force=True)
    say(server, task, TOLD)
    assert "may be missing on the server" in caplog.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "a process ended with exit code 3"),
        (255, "a process ended with exit code 255"),
        (-9, "a process was ended by SIGKILL: out of memory, or killed by hand"),
        (137, "a process was ended by SIGKILL: out of memory, or killed by hand"),
        (-15, "a process was ended by SIGTERM"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert ended(code) == words


@pytest.mark.parametrize(("code", "words"), [(137, "SIGKILL"), (247, "SIGKILL"), (-9, "SIGKILL"), (241, "SIGTERM"), (255, "exit code 255")])
def test_exit_codes_that_an_agent_passes_on(code: int, words: str) -> None:
    """A process that a signal ended has code -N for its agent, whose own exit makes 256 - N of it."""
    assert words in reason_of({"id": "a", "status_reason": f"worker execution exit code {code}"}).partition("(")[0]
