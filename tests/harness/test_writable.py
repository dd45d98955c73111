"""Runs of a user who has no home, no name, or no folder to write into: as in a container that is started with `--user`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.other_user import as_nobody, shared_folder
from support.toy import make_repository

from harness.errors import ParameterError
from harness.writable import NAMED, check_output, settle_home

place = pytest.fixture(shared_folder)


def test_a_folder_that_does_not_exist_yet_is_accepted_and_not_created(tmp_path: Path) -> None:
    check_output("results", tmp_path / "results/toy/run")
    assert list(tmp_path.iterdir()) == []


def test_the_error_about_another_users_folder_names_the_user_and_the_reason(place: Path) -> None:
    with pytest.raises(ParameterError) as told:
        as_nobody(lambda: check_output("results", place / "results/toy/run"))
    why = f"user 65534 cannot write into {place} (Permission denied)"
    assert told.value.problems == [f"output_dir=results: {why}; choose a folder that this user can write to"]


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(ParameterError, match=r"cannot write into .*/results \(Not a directory\)"):
        check_output("results", tmp_path / "results/toy/run")


def test_a_user_without_a_home_and_a_name_is_given_both() -> None:
    """The user ID is one that the machine does not know; what is given is tried by the calls that libraries make."""
    program = """
import getpass, os, sys
os.setgid(54321)
os.setuid(54321)
from harness.writable import settle_home
settle_home(os.environ)
(folder := os.path.expanduser("~/.cache/library")) and os.makedirs(folder)
print(getpass.getuser(), os.environ["HOME"])
"""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    without = {name: value for name, value in os.environ.items() if name not in NAMED}
    import_first = f"import harness.writable\n{program}"  # the tests' own modules are root's, maybe
    done = subprocess.run([sys.executable, "-c", import_first], env=without | {"HOME": "/"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    name, home = done.stdout.split()
    assert name == "54321"
    assert not Path(home).exists(), "it goes with the process"


def test_a_home_that_can_be_written_is_left_alone(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "USER": "somebody"}
    settle_home(environment)
    assert environment == {"HOME": str(tmp_path), "USER": "somebody"}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that nobody can write, root neither."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "read-only"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_run_that_cannot_write_anywhere_fails_with_one_line_before_it_starts(tmp_path: Path, read_only: Path) -> None:
    script = make_repository(tmp_path / "toy")
    (tmp_path / "numbers.txt").write_text("1")
    argv = [sys.executable, str(script), f"dataset_path={tmp_path}", "steps=1", f"output_dir={read_only}/results"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "HARNESS_"))}
    done = subprocess.run(argv, env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True)
    why = f"user {os.geteuid()} cannot write into {read_only} (Read-only file system)"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: output_dir={read_only}/results: {why}; choose a folder that this user can write to\n"
