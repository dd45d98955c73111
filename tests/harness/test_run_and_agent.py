"""A run ends with its agent, and with nothing else that is gone.

Agents are `clearml-agent daemon`, or a few lines of that name which start a task's script as `Worker.run_one_task` does: as a child, with
its output in a file. (The daemon's child, `clearml_agent execute --disable-monitoring`, becomes the script by execv.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command_line import git
from support.events import wait_for
from support.server import LocalServer
from support.toy import SCRIPT, make_repository
from support.tracked import Toy

from harness import agent as harness_agent
from harness.agent import Agent, is_agents
from harness.reasons import reason_of

OFTEN = SCRIPT.replace("import harness\n", "import harness, harness.agent\n\nharness.agent.LOOK = 0.2\n")
STAND_IN = """\
import subprocess, sys
with open(sys.argv[1], "w") as log:
    code = subprocess.Popen(sys.argv[2:], stdout=log, stderr=log).wait()
with open(sys.argv[1], "a") as log:
    log.write(f"exit code {code}\\n")
"""
SLOWLY = {"dataset_path": "data", "steps": "1000", "pause": "0.1"}
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def toy(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(server, tmp_path_factory.mktemp("agent"), script=OFTEN)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program of some name, which starts another one; that one's output is in the file `log`."""
    started = []

    def start(name: str, command: list[str], **options: object) -> subprocess.Popen[bytes]:
        (tmp_path / name).write_text(STAND_IN)
        argv = [sys.executable, str(tmp_path / name), str(tmp_path / "log"), *command]
        started.append(subprocess.Popen(argv, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def log_of(folder: Path) -> str:
    return (folder / "log").read_text() if (folder / "log").exists() else ""


@pytest.mark.slow
def test_a_run_ends_with_a_clearml_agent_that_is_killed(server: LocalServer, toy: Toy, tmp_path: Path) -> None:
    """Slow: the agent takes 5 s to start, and the task as long."""
    queue = server.call("queues.create", name="of an agent that is killed")["id"]
    arguments = {name: {"section": "Args", "name": name, "value": value} for name, value in SLOWLY.items()}
    arguments["dataset_path"]["value"] = str(toy.folder / "data")
    root = toy.script.parents[2]
    script = {"repository": root.as_uri(), "version_num": git(root, "rev-parse", "HEAD"), "working_dir": "clearml_tasks/toy"}
    body = {"name": "toy train", "type": "training", "hyperparams": {"Args": arguments}}
    task = server.call("tasks.create", **body, script=script | {"branch": "main", "entry_point": "clearml_train.py"})["id"]
    server.call("tasks.enqueue", task=task, queue=queue)
    quick = {"CLEARML_AGENT_QUEUE_POLL_FREQ_SEC": "0.5", "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1"}
    mine = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "CLEARML_WORKER_ID": "agent:killed"}
    command = [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", "--queue", queue]
    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen(command, env=toy.environment | quick | mine, stdout=log, stderr=log, cwd=tmp_path)
    try:
        wait_for(lambda: "rank 0 of 1: step 3" in toy.log(task), 60)
    finally:
        agent.kill()
        agent.wait()
    wait_for(lambda: toy.task(task)["status"] != "in_progress", 30)
    ended = toy.task(task)
    assert (ended["status"], reason_of(ended)) == ("stopped", "its agent is gone; the last checkpoint is kept")
    assert ended["models"]["output"]


def test_a_run_that_waits_for_its_data_ends_with_its_agent_too(toy: Toy, start: Start, tmp_path: Path) -> None:
    awaited = toy.remote(command="make")  # in progress for ever: nobody runs it
    task = toy.remote(dataset_id=f"task:{awaited}")
    agent = start("clearml-agent", toy.command(), env=toy.environment | {"CLEARML_TASK_ID": task}, cwd=toy.folder)
    wait_for(lambda: "waiting for task toy remote" in log_of(tmp_path))
    agent.kill()
    wait_for(lambda: toy.task(task)["status"] == "stopped", 30)
    assert reason_of(toy.task(task)) == "its agent is gone before the first step"


@pytest.mark.slow
def test_a_server_that_does_not_answer_ends_no_run(tmp_path: Path, start: Start) -> None:
    """Slow: the run goes on for 3 s without its server, and the SDK takes some more to find it back."""
    server = LocalServer(tmp_path / "server")
    toy = Toy(server, tmp_path / "toy", script=OFTEN)
    task = toy.remote(**SLOWLY | {"steps": "50"})
    start("clearml-agent", toy.command(), env=toy.environment | {"CLEARML_TASK_ID": task}, cwd=toy.folder)
    try:
        wait_for(lambda: "step 3\n" in log_of(tmp_path))
        server.kill()
        wait_for(lambda: "step 33\n" in log_of(tmp_path))  # 3 s, some 15 looks
        server.start()
        wait_for(lambda: "exit code" in log_of(tmp_path))
        assert log_of(tmp_path).endswith("exit code 0\n"), log_of(tmp_path)
        (reported,) = toy.task(task)["last_metrics"].values()
        assert [metric["value"] for metric in reported.values()] == [150.0]  # what was reported meanwhile has arrived
    finally:
        server.kill()


def test_a_run_by_hand_outlives_who_started_it(tmp_path: Path, start: Start) -> None:
    """As with nohup, whose shell ends."""
    script = make_repository(tmp_path / "repository", script=OFTEN)
    (tmp_path / "numbers.txt").write_text("1 2")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("CLEARML_")} | {"HOME": str(tmp_path)}
    command = [sys.executable, str(script), f"dataset_path={tmp_path}", "steps=30", "pause=0.1"]
    agent = start("clearml-agent", command, env=alone, cwd=tmp_path)
    wait_for(lambda: "step 2\n" in log_of(tmp_path))
    agent.kill()
    wait_for(lambda: "total 90" in log_of(tmp_path) or "error" in log_of(tmp_path), 30)
    assert "error" not in log_of(tmp_path)


class TestDescent:
    """What counts as the agent among a process's ancestors."""

    DESCENT = "import harness.agent as a, os; print(*[f'{pid}:{parent}' for pid, parent in a.descent().items()], os.getpid(), flush=True)"

    def told(self, tmp_path: Path) -> list[str]:
        return str(wait_for(lambda: log_of(tmp_path), 20)).splitlines()[0].split()

    def test_it_goes_up_to_the_agent_and_no_further(self, start: Start, tmp_path: Path) -> None:
        agent = start("clearml-agent", [sys.executable, "-c", self.DESCENT])
        *links, own = self.told(tmp_path)
        assert links == [f"{own}:{agent.pid}"]

    def test_an_agent_of_an_agent_counts(self, start: Start, tmp_path: Path) -> None:
        """`execute` below `daemon`, and a shell between it and the script."""
        inner = tmp_path / "inner" / "clearml-agent"
        inner.parent.mkdir()
        inner.write_text("import subprocess, sys; subprocess.run(sys.argv[2:])")
        shell = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", self.DESCENT]
        agent = start("clearml-agent", [sys.executable, str(inner), "execute", *shell])
        *links, own = self.told(tmp_path)
        assert len(links) == 3
        assert (links[0].partition(":")[0], links[-1].partition(":")[2]) == (own, str(agent.pid))

    def test_the_process_that_started_an_agent_is_not_watched(self, start: Start, tmp_path: Path) -> None:
        inner = tmp_path / "inner" / "clearml-agent"
        inner.parent.mkdir()
        inner.write_text("import subprocess, sys; subprocess.run(sys.argv[2:])")
        shell = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, str(inner), "daemon"]
        start("clearml-agent", [*shell, sys.executable, "-c", self.DESCENT])
        (link, own) = self.told(tmp_path)
        assert link.partition(":")[0] == own

    def test_without_an_agent_there_is_none(self, start: Start, tmp_path: Path) -> None:
        start("launcher", [sys.executable, "-c", self.DESCENT])
        assert len(self.told(tmp_path)) == 1

    @pytest.mark.parametrize(
        ("argv", "counts"),
        [
            (["python3", "-u", "-m", "clearml_agent", "daemon"], True),
            (["python3", "/usr/local/bin/clearml-agent", "daemon"], True),
            (["clearml-agent", "daemon"], True),
            (["sudo", "clearml-agent", "daemon"], False),
            (["bash", "-c", "python3 -u -m clearml_agent execute --id 1"], False),
            (["python3", "clearml_train.py", "output_dir=a/b/clearml-agent/c"], False),
            (["python3", "train.py", "--epochs", "3", "--name", "clearml-agent"], False),
        ],
    )
    def test_it_is_told_by_its_command_line(self, argv: list[str], counts: bool) -> None:
        assert is_agents(argv) is counts


def test_a_process_between_that_is_gone_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness_agent, "LOOK", 0.01)
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with subprocess.Popen(["sleep", "300"]) as between:
            agent = Agent({between.pid: os.getpid(), os.getpid(): os.getppid()})
            agent.watch()
            time.sleep(0.1)
            assert (agent.gone, told) == (False, [])
            between.kill()
            wait_for(lambda: told, 5)
        assert (agent.gone, told) == (True, [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_its_words_replace_those_of_the_signal_and_no_others() -> None:
    agent = Agent({})
    assert agent.why("stopped by SIGTERM; the last checkpoint is kept") == "stopped by SIGTERM; the last checkpoint is kept"
    agent.gone = True
    assert agent.why("stopped by SIGTERM; the last checkpoint is kept") == "its agent is gone; the last checkpoint is kept"
    for other in ("rank 0: ValueError: no", "rank 0: a process was stopped by SIGTERM"):
        assert agent.why(other) == other
