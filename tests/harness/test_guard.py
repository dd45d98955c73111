"""Nothing that a run started outlives it, however its parent ends. Real processes, which a small parent starts as a run's does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clearml_agent.helper.process import kill_all_child_processes
from support.events import wait_for
from support.processes import MARK, children, gone, read_until
from support.toy import ROOT

from harness.guard import Family

PARENT = """\
import os, sys
import harness.ranks as ranks
from harness.errors import LaunchError

ranks.GRACE = float(sys.argv[1])
try:
    with open(os.devnull, "wb") as log:
        ranks.supervise([sys.executable, "-c", sys.argv[2]], os.environ, log, lambda: None)
except LaunchError as error:
    sys.exit(str(error))
"""
STUBBORN = "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"  # what it starts ignores it, too
UP = "print('up', os.environ['HARNESS_RANKS'], os.getpid(), *others, flush=True)"
DAEMON = "others = [int(subprocess.run(['sh', '-c', 'setsid sleep 300 >/dev/null & echo $!'], stdout=subprocess.PIPE).stdout)]"
FAMILIES = {
    "a rank": "others = []",
    "a worker in a session of its own": "others = [subprocess.Popen(['sleep', '300'], start_new_session=True).pid]",
    "a process without environment": "others = [subprocess.Popen(['sleep', '300'], env={}).pid]",
    "a daemon": DAEMON,
}
Start = Callable[..., tuple[subprocess.Popen[str], str, list[int]]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a parent with its rank; returns it, the mark of its processes, and their IDs."""
    started = []

    def start(others: str, grace: float = 0.5, rank: str = STUBBORN, seconds: float = 300) -> tuple[subprocess.Popen[str], str, list[int]]:
        argv = [sys.executable, "-c", PARENT, str(grace), f"{rank}; {others}; {UP}; time.sleep({seconds})"]
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        _, mark, *pids = read_until(started[-1], "up").split()
        return started[-1], mark, [int(pid) for pid in pids]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def guards(mark: str) -> list[int]:
    """The guards of these processes."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if {"guard.py", mark} <= words(path)]


def words(path: Path) -> set[str]:
    try:
        return {part for word in path.read_text().split("\0") for part in re.split("[/=]", word)}
    except OSError:
        return set()


@pytest.mark.parametrize("others", FAMILIES.values(), ids=FAMILIES)
class TestRanksThatBlockSIGTERM:
    def test_do_not_outlive_a_parent_that_is_killed(self, others: str, start: Start) -> None:
        parent, mark, pids = start(others)
        parent.kill()
        assert gone(pids)
        wait_for(lambda: not guards(mark), 5)

    def test_are_killed_when_their_grace_is_over(self, others: str, start: Start) -> None:
        parent, mark, pids = start(others)
        parent.terminate()
        _, err = parent.communicate(timeout=20)
        assert (parent.returncode, err) == (1, "stopped by SIGTERM; the last checkpoint is kept\n")
        assert gone(pids)
        wait_for(lambda: not guards(mark), 5)

    def test_ranks_end_when_clearml_agent_kills_all_their_ancestors(self, others: str, start: Start) -> None:
        """As it does where its task is aborted."""
        parent, _, pids = start(others)
        kill_all_child_processes(parent.pid)
        assert gone(pids)

    def test_do_not_outlive_their_launcher(self, others: str, start: Start) -> None:
        parent, _, pids = start(others)
        os.kill(pids[0], signal.SIGKILL)
        _, err = parent.communicate(timeout=20)
        assert "a process was ended by SIGKILL" in err
        assert gone(pids)


def test_what_a_rank_leaves_at_a_good_end_is_killed_at_once(start: Start) -> None:
    quiet = "others = [subprocess.Popen(['sleep', '300'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid]"
    parent, _, pids = start(quiet, grace=60, seconds=0)
    assert (parent.wait(30), gone(pids)) == (0, True)


def test_ranks_of_a_killed_parent_are_asked_first(start: Start, tmp_path: Path) -> None:
    save = f"lambda *_: (time.sleep(1), open('{tmp_path}/saved', 'w'), sys.exit())"
    saves = f"import os, sys, signal, time; signal.signal(signal.SIGTERM, {save})"
    parent, _, pids = start("others = []", grace=20, rank=saves)
    parent.kill()
    assert gone(pids)
    assert (tmp_path / "saved").exists()


def test_a_guard_that_is_told_to_end_stays(start: Start) -> None:
    """As by a closed terminal, or who tells every process of a machine."""
    parent, mark, pids = start("others = []")
    (guard,) = guards(mark)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard, number)
    parent.kill()
    assert gone(pids)


def test_only_a_rank_itself_signals_its_workers_in_other_sessions(start: Start, tmp_path: Path) -> None:
    """They would end before it has saved what they hold."""
    told = f"signal.signal(signal.SIGTERM, lambda *_: (open('{tmp_path}/' + str(os.getpid()), 'w'), sys.exit()))"
    worker = f"import os, signal, sys, time; {told}; print(flush=True); time.sleep(300)"
    others = f"child = subprocess.Popen([sys.executable, '-c', {worker!r}], stdout=subprocess.PIPE, start_new_session=True)"
    others += "; child.stdout.readline(); others = [child.pid]"
    _, mark, (rank, own) = start(others, rank=f"import os, subprocess, sys, signal, time; {told}")
    Family(f"HARNESS_RANKS={mark}", rank).terminate()
    wait_for((tmp_path / str(rank)).exists, 10)
    assert not (tmp_path / str(own)).exists()


def test_a_second_signal_asks_no_second_time(start: Start, tmp_path: Path) -> None:
    """It would disturb what saves the last checkpoint."""
    told = tmp_path / "told"
    saves = f"import os, sys, signal, time; save = lambda *_: (open('{told}', 'a').write('told '), time.sleep(3), sys.exit())"
    parent, _, _ = start("others = []", grace=60, rank=f"{saves}; signal.signal(signal.SIGTERM, save)")
    parent.terminate()
    wait_for(told.exists)
    parent.terminate()
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=60)
    assert told.read_text() == "told "


def test_a_signal_that_comes_while_the_ranks_start_is_not_lost() -> None:
    early = PARENT.replace(
        "ranks.GRACE",
        "import signal, subprocess\n"
        "start = subprocess.Popen\n"
        "def interrupted(argv, **options):\n"
        "    if '-I' not in argv:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return start(argv, **options)\n"
        "subprocess.Popen = interrupted\n"
        "ranks.GRACE",
    )
    argv = [sys.executable, "-c", early, "60", "import time; time.sleep(300)"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, "stopped by SIGTERM; the last checkpoint is kept\n")


def test_a_signal_that_comes_when_the_ranks_have_ended_is_ignored() -> None:
    late = f"{PARENT}\nimport signal\nos.kill(os.getpid(), signal.SIGTERM)\nprint('all is well')"
    done = subprocess.run([sys.executable, "-c", late, "60", ""], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "all is well\n")


def test_a_rank_that_is_told_again_still_saves() -> None:
    told = "import os, signal; from harness.job import leave; signal.signal(15, leave)\n"
    told += "try:\n    os.kill(os.getpid(), 15)\nfinally:\n    os.kill(os.getpid(), 15)\n    print('saved')"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "saved\n")


def test_after_a_normal_end_the_guard_is_gone_and_holds_no_output_open() -> None:
    said = "import os; print('up', os.environ['HARNESS_RANKS'])"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PARENT, "60", said], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 30  # and not its 60 s of grace
    wait_for(lambda: not guards(done.stdout.split()[1]), 5)


def test_the_guard_is_not_a_child_of_the_parent_and_does_not_inherit_its_environment(start: Start) -> None:
    parent, mark, pids = start("others = []")
    (guard,) = guards(mark)
    assert children(parent.pid) == pids
    assert b"PATH=" not in Path(f"/proc/{guard}/environ").read_bytes().replace(b"LD_LIBRARY_PATH=", b"")


@pytest.mark.slow
def test_nothing_that_tests_started_outlives_them(tmp_path: Path) -> None:
    """Slow: a session starts a server and a run on two nodes; then it is killed."""
    argv = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests/support/killed_session.py"), f"--basetemp={tmp_path}/session"]
    session = subprocess.Popen(argv, env=os.environ | {"RUNNING": f"{tmp_path}/running"}, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "running").exists() or session.poll() is not None, 100)
        started = Family(f"{MARK}={(tmp_path / 'running').read_text()}").members()
        assert len(started) >= 7  # the server, and on each node parent, launcher and rank
    finally:
        session.kill()
        session.wait()
    assert gone(started)
