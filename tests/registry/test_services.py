"""`registry up` and `down` with the real server and the real agent: what they start works, and they end only what they started."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import git
from support.events import wait_for
from support.namespaces import ip, why_not
from support.registry_process import Command, command_in, environment_of

from registry.agents import processes
from registry.home import started_at


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def command(clone: Path, tmp_path: Path) -> Iterator[Command]:
    """`registry ...` as a separate process with its own state folder; whatever still runs at the end is ended."""
    run = command_in(clone, environment_of(clone, tmp_path))
    yield run
    run("down")


def process_of(name: str, home: Path) -> processes.Process:
    (found,) = (each for folder in (home, home / "agents") for each in processes.recorded(folder) if each.name == name)
    return found


@pytest.mark.slow
def test_from_nothing_to_a_published_dataset_and_a_run_on_it(command: Command, clone: Path, home: Path, tmp_path: Path) -> None:
    """Starts a server and an agent, and has the agent run three tasks from its own clone of the repository."""
    up = command("up", "--port", "0")
    assert up.code == 0, up.err
    (login,) = up.lines
    assert f"export CLEARML_CONFIG_FILE={home}/server/clearml.conf" in up.err
    with urllib.request.urlopen(login, timeout=5) as answer:  # the key becomes a cookie, and the page follows
        assert answer.status == 200

    smoke = command("enqueue", "toy", "--smoke", "--wait", "steps=2")
    assert smoke.code == 0, smoke.err
    _, train = smoke.lines
    assert "rank 0 of 1: step 2" in command("logs", train).out
    (result,) = json.loads(command("compare", train, "--json").out)
    assert result["status"] == "completed"
    assert result["scalars"]["sum/total"]["last"] == 6
    (listed,) = json.loads(command("dataset", "list", "--json").out)
    assert (listed["name"], listed["status"]) == ("toy-numbers", "completed")

    failed = command("enqueue", "toy", "--dataset", "toy-numbers", "exit_code=3", "--wait")
    assert failed.code == 1
    assert f"({failed.lines[0]}): failed: a process ended with exit code 3" in failed.err
    assert "    rank 0 of 1: step 3" in failed.err.splitlines()

    assert stat.S_IMODE((home / "agents/agent-1/clearml.conf").stat().st_mode) == 0o600
    assert not list((tmp_path / "user").glob(".gitconfig"))
    assert not (tmp_path / "user/clearml.conf").exists()


@pytest.mark.slow
def test_a_run_killed_with_sigkill_is_resumed_with_the_same_result(command: Command, clone: Path) -> None:
    """Starts a server and an agent, which runs four tasks; every rank is killed in the middle of the second."""
    assert command("up", "--port", "0").code == 0
    (made,) = command("enqueue", "toy", "command=make", "n=3", "--wait").lines
    arguments = ("toy", "--dataset", f"task:{made}", "steps=40", "pause=0.5")
    (broken,) = command("enqueue", *arguments).lines
    while "rank 0 of 1: step 5" not in command("logs", broken).out:
        time.sleep(0.3)
    ranks = [process for process in Path("/proc").glob("[0-9]*") if is_rank_of(process, broken)]
    assert ranks
    for process in ranks:
        os.kill(int(process.name), signal.SIGKILL)
    (unbroken,) = command("enqueue", *arguments[:-1], "--wait").lines
    (told,) = json.loads(command("status", broken, "--json").out)
    assert told["status"] == "failed"
    assert "error: a process was ended by SIGKILL" in command("logs", broken).out
    resumed = command("enqueue", "toy", "--resume", broken, "pause=0", "--wait")
    assert resumed.code == 0, resumed.err
    assert "rank 0 of 1: step 1\n" not in command("logs", *resumed.lines).out
    totals = [task["scalars"]["sum/total"]["last"] for task in json.loads(command("compare", unbroken, *resumed.lines, "--json").out)]
    assert totals == [120.0, 120.0]


def is_rank_of(process: Path, task: str) -> bool:
    """Whether a process is a rank of the task, by the plan that it was given."""
    try:
        return task.encode() in (process / "environ").read_bytes().partition(b"HARNESS_PLAN=")[2].partition(b"\0")[0]
    except OSError:
        return False


@pytest.mark.slow
def test_up_starts_only_what_is_missing_and_down_ends_only_what_up_started(command: Command, home: Path) -> None:
    """Starts a server and three agents."""
    up = command("up", "--port", "0", "--queue", "blue")
    assert up.code == 0, up.err
    first = [process_of(name, home) for name in ("server", "agent-1")]
    again = command("up", "--queue", "blue", "--agents", "2")
    assert "agents: agent-1, agent-2" in again.err
    assert [process_of(name, home) for name in ("server", "agent-1")] == first

    os.kill(first[1].pid, signal.SIGKILL)
    while first[1].is_alive:
        time.sleep(0.05)
    assert command("up", "--queue", "blue", "--agents", "2").code == 0
    renewed = process_of("agent-1", home)
    assert renewed.pid != first[1].pid

    other = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        borrowed = replace(process_of("agent-2", home), pid=other.pid)  # a record whose process ID has been given to another process
        record = home / "agents/agent-3.json"
        record.write_text(json.dumps({**vars(borrowed), "name": "agent-3"}))
        running = [process_of(name, home) for name in ("server", "agent-1", "agent-2")]
        assert command("down").code == 0
        assert not any(process.is_alive for process in running)
        assert started_at(other.pid)
    finally:
        other.kill()
        other.wait()
    assert "nothing was running" in command("down").err
    assert command("up", "--agents", "0").lines == up.lines  # the same address, by which files and links are known


def test_a_port_in_use_is_reported_with_the_servers_message(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = command("up", "--port", str(port))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        "server: starting",
        "error: the server did not start; the end of its log:",
        f"    local_server: port {port} of 127.0.0.1 is taken by another program; choose another with --port",
    ]


@pytest.fixture
def own_network() -> Iterator[tuple[str, ...]]:
    """The prefix of a command that runs it in a network namespace where all ports are free."""
    if why := why_not():
        pytest.skip(why)
    name = f"ports-{os.getpid()}"
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")
    yield ("ip", "netns", "exec", name)
    ip("netns", "del", name)


def test_port_80_works_for_the_servers_own_clients(command: Command, own_network: tuple[str, ...]) -> None:
    """They omit that port from the address."""
    for arguments in (("up", "--port", "80", "--agents", "0"), ("queue", "create", "blue"), ("up", "--agents", "0")):
        outcome = command(*arguments, begin=own_network)
        assert outcome.code == 0, outcome.err
    assert "server: http://127.0.0.1:80, agents: none" in outcome.err


@pytest.fixture
def mounted(home: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The state folder on its own file system, with the given mount options."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    home.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(home)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    yield home
    subprocess.run(["umount", str(home)], check=True)


class TestHome:
    """If nothing can be written to the state folder, the error is one line, and what runs can be ended."""

    def test_below_a_file(self, command: Command, home: Path) -> None:
        home.touch()
        for line in ("up", "agent"):
            outcome = command(line)
            assert f"cannot write {home}: " in outcome.err
            assert "to use another folder, set REGISTRY_HOME" in outcome.err
            assert "Traceback" not in outcome.err

    @pytest.mark.parametrize("mounted", ["ro"], indirect=True)
    def test_in_a_read_only_folder(self, command: Command, mounted: Path) -> None:
        outcome = command("up")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith(f"error: cannot write {mounted}/")
        assert "Read-only file system" in outcome.err
        assert len(outcome.err.splitlines()) == 1

    @pytest.mark.parametrize("mounted", ["size=16m"], indirect=True)
    def test_on_a_disk_that_fills_up(self, command: Command, mounted: Path) -> None:
        """While the server runs: agents are refused, and `down` ends the server."""
        assert command("up", "--port", "0", "--agents", "0").code == 0
        server = process_of("server", mounted)
        with contextlib.suppress(OSError), (mounted / "filling").open("wb", buffering=0) as filling:
            while filling.write(bytes(4096)):
                pass
        refused = command("up")
        assert (refused.code, refused.out) == (1, "")
        assert "No space left on device" in refused.err
        assert len(refused.err.splitlines()) == 1
        assert server.is_alive
        assert command("down").code == 0
        assert not server.is_alive
        assert command("up").err == refused.err

    def test_a_process_whose_record_cannot_be_written_is_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(processes, "record", full)
        with pytest.raises(OSError, match="No space left"):
            processes.start("sleeper", ["sleep", "300"], dict(os.environ) | {"MARKED": "yes"}, tmp_path)
        wait_for(lambda: not list(processes.marked("MARKED", ["yes"])))


def test_a_process_is_asked_to_end_and_then_killed_with_its_children(tmp_path: Path) -> None:
    code = "import signal, subprocess as s; signal.signal(15, signal.SIG_IGN); c = s.Popen(['sleep', '99']); print('up', flush=1); c.wait()"
    stubborn = processes.start("stubborn", [sys.executable, "-c", code], dict(os.environ), tmp_path)
    polite = processes.start("polite", ["sleep", "300"], dict(os.environ), tmp_path)
    while "up" not in Path(stubborn.log).read_text():
        time.sleep(0.02)
    assert processes.recorded(tmp_path) == [polite, stubborn]
    members = list(processes.session_of(stubborn))
    assert len(members) == 2
    processes.end([stubborn, polite], grace=1)
    assert not any(started_at(pid) for pid in [*members, polite.pid])


def test_a_state_folder_with_white_space_is_refused(clone: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "REGISTRY_HOME": str(tmp_path / "a home")}
    done = subprocess.run([sys.executable, "-m", "registry", "up"], env=environment, cwd=clone, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no white space" in done.stderr


def test_an_agent_clones_a_repository_of_another_user(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry.agents.agent import git_configuration

    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(git_configuration(tmp_path)))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to test this
    git(tmp_path, "clone", "-q", clone.as_uri(), str(tmp_path / "copy"))
    assert (tmp_path / "copy/clearml_tasks/toy/workload.yaml").exists()
