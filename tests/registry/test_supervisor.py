"""An agent's supervisor, tested with small programs in place of the agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.events import wait_for
from support.registry_process import ended, left

from registry.agents import processes, supervisor
from registry.home import started_at

FOREVER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({file!r}, 'w').close(); time.sleep(300)"
AGENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {run!r}], start_new_session=True); time.sleep(300)"
PATIENT = "import registry.agents.supervisor as s, sys; s.PATIENCE = s.GOODBYE = float(sys.argv.pop(1)); sys.exit(s.main())"
Supervised = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agent's folder with a file that has its keys."""
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path))
    folder = tmp_path / "agents/small"
    (folder / "tmp").mkdir(parents=True)
    (folder / "tmp/.clearml_agent.cfg").write_text("keys")
    (folder / "clearml.conf").write_text("keys")
    return folder


@pytest.fixture
def supervised(folder: Path) -> Iterator[Supervised]:
    """A supervisor whose agent has started a run, in a session of its own, that blocks SIGTERM."""

    def start(patience: float = 0.5) -> subprocess.Popen[bytes]:
        run = FOREVER.format(file=str(folder / "up"))
        argv = [sys.executable, "-c", PATIENT, str(patience), "small", sys.executable, "-c", AGENT.format(run=run)]
        started.append(subprocess.Popen(argv))
        wait_for((folder / "up").exists)
        return started[-1]

    with ended(folder) as started:
        yield start


def agent_of(process: subprocess.Popen[bytes]) -> int:
    (agent,) = supervisor.children_of(process.pid)
    return agent


def test_on_a_signal_it_ends_what_its_agent_started_and_removes_the_keys(supervised: Supervised, folder: Path) -> None:
    process = supervised()
    assert len(left(folder)) == 2
    process.terminate()
    assert process.wait(20) == 0
    assert left(folder) == set()
    assert sorted(path.name for path in folder.iterdir()) == ["up"]


def test_a_second_signal_does_not_wait(supervised: Supervised, folder: Path) -> None:
    process = supervised(patience=60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert left(folder) == set()


def test_a_killed_agent_takes_its_run_with_it(supervised: Supervised, folder: Path) -> None:
    process = supervised()
    os.kill(agent_of(process), signal.SIGKILL)
    assert process.wait(20) == 1
    assert left(folder) == set()
    assert not (folder / "tmp").exists()


def test_an_agent_is_told_to_end_when_its_supervisor_is_killed(supervised: Supervised, folder: Path) -> None:
    process = supervised()
    agent = agent_of(process)
    process.kill()
    wait_for(lambda: started_at(agent) is None, 10)
    assert started_at(agent) is None


def test_what_survives_agent_and_supervisor_is_found_by_its_mark(
    supervised: Supervised, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from registry.agents import services

    process = supervised()
    agent = agent_of(process)
    for pid in (process.pid, agent):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert left(folder)
    monkeypatch.setattr(supervisor, "PATIENCE", 0.5)
    said: list[str] = []
    assert services.down(said.append) == []
    assert said == ["ending what small left running"]
    assert left(folder) == set()
    assert sorted(path.name for path in folder.iterdir()) == ["up"]


def test_the_task_of_a_process_is_found_in_its_command_line_or_environment() -> None:
    task = "0123456789abcdef0123456789abcdef"
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    for argv, environment in (
        ([*sleep, "execute", "--disable-monitoring", "--id", task], {}),  # before clearml-agent becomes the script
        (sleep, {"CLEARML_TASK_ID": task}),  # after it
        ([*sleep, f"python -m clearml_agent execute --disable-monitoring  --id '{task}'"], {}),  # in `docker run .. bash -c`
    ):
        process = subprocess.Popen(argv, env=os.environ | environment)
        try:
            assert wait_for(lambda process=process: supervisor.task_of([process.pid]), 5) == task
        finally:
            process.kill()
            process.wait()


def test_down_does_not_end_foreground_agents(folder: Path) -> None:
    from registry.agents import services

    sleeper = subprocess.Popen(["sleep", "300"])
    try:
        here = processes.Process("small", sleeper.pid, started_at(sleeper.pid) or "", "", ("blue",), foreground=True)
        processes.record(here, folder.parent)
        said: list[str] = []
        assert services.down(said.append) == []
        assert said == [f"small is left running: end it where `registry agent` was started, or with kill {sleeper.pid}"]
        assert here.is_alive
        assert (folder / "clearml.conf").exists()
    finally:
        sleeper.kill()
        sleeper.wait()
    services.down(said.append)
    assert not (folder / "clearml.conf").exists()
    assert processes.recorded(folder.parent) == []
