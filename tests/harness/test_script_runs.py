"""`launcher: script`: a script of another repository, run by hand without a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import git
from support.events import wait_for
from support.wrapped import COLLIDING, make_wrapped

from harness.wrapped.run import Wrapped, failure_in
from harness.wrapped.script import Script

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "data").mkdir()
    (folder / "data" / "numbers.txt").write_text("1\n2\n")
    return make_wrapped(folder / "clone")


@pytest.fixture
def start(entry: Path, tmp_path: Path) -> Start:
    """Starts the entry script in a folder of the test's own, on the path that an agent would give it."""
    clone, folder = entry.parents[2], entry.parents[3]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "HARNESS_"))}
    path = os.pathsep.join([str(clone), str(entry.parent), str(clone / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**alone, "HOME": str(tmp_path), "HARNESS_CACHE": str(folder / "cache"), "PYTHONPATH": path}

    def start(*tokens: str, **more: str) -> subprocess.Popen[str]:
        argv = [sys.executable, str(entry), *tokens]
        return subprocess.Popen(argv, cwd=tmp_path, env=environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def test_its_path_has_nothing_of_ours(tmp_path: Path) -> None:
    """What an agent, an image and a person put there; the person's own entry stays."""
    script = Script("train.py", "https://example.org/a.git", "a" * 40)
    run = Wrapped(script, root=tmp_path / "clone", home=tmp_path / "theirs")
    clones = (tmp_path / "clone", tmp_path / "clone/src", tmp_path / "clone/clearml_tasks/x", ROOT, ROOT / "src")
    path = os.pathsep.join(map(str, [*clones, "/workspace/src", "/workspace", "", tmp_path / "mine"]))
    found = run.environment({"PYTHONPATH": path, "HARNESS_PLAN": "plan.json", "LANG": "C"})
    assert found == {"PYTHONPATH": f"{tmp_path / 'theirs'}{os.pathsep}{tmp_path / 'mine'}", "LANG": "C"}
    here = replace(run, script=replace(script, repository="", commit=""))
    assert here.environment({"PYTHONPATH": path})["PYTHONPATH"].split(os.pathsep) == [str(tmp_path / "mine"), str(tmp_path / "clone/src")]


def run(start: Start, *tokens: str) -> tuple[int, str]:
    process = start(*tokens)
    out, _ = process.communicate(timeout=100)
    return process.returncode, out


def folder_of(tmp_path: Path) -> Path:
    """The folder of the newest run."""
    return max((tmp_path / "outputs/wrapped").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_its_packages_are_its_own_whatever_ours_are_called(start: Start) -> None:
    code, out = run(start, "steps=1")
    assert code == 0, out
    assert f"theirs: {' '.join(COLLIDING)}\n" in out
    assert "found: relative paths\n" in out


def test_it_goes_on_from_its_checkpoint_and_the_total_is_that_of_an_unbroken_run(start: Start, entry: Path, tmp_path: Path) -> None:
    data = f"dataset_path={entry.parents[3] / 'data'}"
    code, out = run(start, data, "steps=2")
    assert (code, "total 6\n" in out) == (0, True), out
    first = folder_of(tmp_path)
    assert (first / "files" / "last.pt").read_text() == "2 6"  # where output_dir went, by the option that takes it
    code, out = run(start, data, "steps=4", f"resume={first}")
    assert (code, "step 2\n" in out, "total 12\n" in out) == (0, False, True), out


def test_its_flags_are_understood_as_it_calls_them(start: Start, entry: Path) -> None:
    code, out = run(start, "--data", str(entry.parents[3] / "data"), "--steps", "1", "--fail-at=7")
    assert (code, "total 3\n" in out) == (0, True), out
    assert "running tools/train.py --data=" in out


def test_wrong_values_are_told_before_it_starts(start: Start) -> None:
    code, out = run(start, "steps=many", "stpes=1")
    assert (code, "theirs" in out) == (2, False)
    assert "steps=many: must be int" in out
    assert "stpes: there is no such key (did you mean steps?)" in out


def test_what_it_raises_is_the_reason_and_its_exit_code_the_run_s(start: Start) -> None:
    code, out = run(start, "fail_at=2")
    assert (code, out.endswith("error: ValueError: step 2 went wrong\n")) == (1, True), out
    code, out = run(start, "exit_code=7")
    assert (code, "error: " in out) == (7, True), out


def test_a_signal_reaches_it_and_what_it_had_saved_is_kept(start: Start, tmp_path: Path) -> None:
    process = start("steps=1000", "pause=3")  # a file counts as whole when it has not changed for 2 s
    wait_for(lambda: any((tmp_path / "outputs").glob("wrapped/*/checkpoints/*.json")), 30)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, out
    assert "stopped by SIGTERM; the last checkpoint is kept" in out


def test_nothing_of_it_outlives_its_parent(start: Start, tmp_path: Path) -> None:
    """kill -9 of the parent."""
    process = start("steps=1000", "pause=0.05")
    saved = lambda: list((tmp_path / "outputs").glob("wrapped/*/files/last.pt"))  # noqa: E731
    wait_for(saved, 30)
    process.kill()
    process.communicate(timeout=60)  # its output is closed: nobody holds it any more
    last = saved()[0].read_text()
    assert saved()[0].read_text() == last


def test_another_repository_that_cannot_be_had_is_told(start: Start, entry: Path) -> None:
    declaration = entry.with_name("workload.yaml")
    before = declaration.read_text()
    commit = git(entry.parents[2].with_name("foreign"), "rev-parse", "HEAD")
    try:
        declaration.write_text(before.replace(commit, "a" * 40))
        code, out = run(start)
        assert (code, f"foreign has no commit {'a' * 12}" in out) == (2, True), out
        declaration.write_text(before.replace("foreign", "nowhere"))
        code, out = run(start)
        assert (code, "nowhere cannot be cloned" in out) == (2, True), out
    finally:
        declaration.write_text(before)
    cache = entry.parents[3] / "cache" / "repositories"
    assert [path.name for path in cache.iterdir() if path.is_dir() and commit[:12] not in path.name] == []  # nothing half


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("x\nTraceback (most recent call last):\n  File a\nKeyError: 'a'\nbye\n", "KeyError: 'a'"),
        ("Traceback (most recent call last):\nOSError: a\n\nTraceback (most recent call last):\nmy.OddError: b\n", "my.OddError: b"),
        ("[rank1]: Traceback (most recent call last):\n[rank1]:   x\n[rank1]: ValueError: no\n", "ValueError: no"),
        ("Error: not of Python\n", None),
    ],
)
def test_the_reason_is_the_last_exception_of_the_log(log: str, reason: str | None, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(log)
    assert failure_in(tmp_path / "log.txt") == reason


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venvs/clip/bin/python").exists(), reason="the environment of the image clip is not built")
def test_several_processes_are_started_by_torchrun(start: Start, tmp_path: Path) -> None:
    """Slow: torchrun, with PyTorch, takes 5 s to start. One rank that fails ends the others, and is the reason."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "toy").symlink_to((ROOT / ".venvs/clip").resolve())
    process = start("steps=2", "nproc_per_node=2", HARNESS_ENVS=str(tmp_path / "environments"))
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    assert ("rank 0: step 2\n" in out, "rank 1: step 2\n" in out) == (True, True)
    process = start("steps=2", "fail_at=2", "nproc_per_node=2", HARNESS_ENVS=str(tmp_path / "environments"))
    out, _ = process.communicate(timeout=100)
    assert (process.returncode, out.endswith("error: ValueError: step 2 went wrong\n")) == (1, True), out
