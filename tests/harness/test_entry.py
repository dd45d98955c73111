"""The one way in, by hand: flags, help, declared places, and a folder in which the same line goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.toy import WORKLOAD, make_repository

from harness import local_run
from harness.errors import WorkloadError
from harness.flags import tokens_of
from harness.grammar import read
from harness.workload import load

DECLARED = WORKLOAD.replace(
    "config: toy_settings:Train}", "config: toy_settings:Train, here: {dataset_path: data, output_dir: runs, folder: 'of-{steps}-{pause}'}}"
)
TABLES = "home: TOY_ROOT\naliases: {again: {key: resume, values: {true: '', false: anew}}, numbers: dataset_path}\nrefused: {gpu: say N}\n"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("door"), workload=DECLARED + TABLES)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "home" / "data" / "numbers.txt").write_text("1\n2\n")
    return tmp_path / "home"


def run(script: Path, home: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "HARNESS_"))}
    environment = {**kept, "HOME": "/nonexistent", "TOY_ROOT": str(home), **more}
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, env=environment, cwd=home.parent)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_run_by_hand_has_its_places_and_goes_on_in_its_folder(script: Path, home: Path) -> None:
    """Slow: each of its runs is a program with ranks of its own."""
    code, out, err = run(script, home, "--steps", "2")
    assert code == 0, err
    assert "total 6" in out
    folder = home / "runs" / "of-2-0.0"
    assert f"results go to {folder};" in out
    code, out, _ = run(script, home, "steps=2", "--again")
    assert f"continuing from {folder}/checkpoints/step=00000002.ckpt; to start over, add resume=anew" in out
    assert (code, "step 1" in out) == (0, False)
    code, out, _ = run(script, home, "steps=2", "again=False")
    assert (code, "going on" in out, "step 1" in out) == (0, False, True)


@pytest.mark.slow
def test_a_folder_belongs_to_one_run(script: Path, home: Path) -> None:
    """A run that continues another one's checkpoint in a folder that holds its own would remove what it saves: the steps are lower.

    Slow: each of its runs is a program with ranks of its own.
    """
    folder, other = home / "runs" / "of-9-0.0", home / "runs" / "of-2-0.0"
    assert run(script, home, "steps=9")[0] == run(script, home, "steps=2")[0] == 0
    first = json.loads((folder / "checkpoints" / "step=00000009.json").read_text())["run"]
    assert re.fullmatch(r"train-\d{8}-\d{6}-\w{4}", first)

    code, out, err = run(script, home, "steps=9", f"resume={other}")
    assert (code, out) == (2, "")
    assert err == (
        f"error: {folder} holds the checkpoints of the run {first}, up to step=00000009.ckpt; continue it by resume={folder}, "
        "remove its checkpoints by resume=anew, or choose another output_dir\n"
    )
    for more in ([], [f"resume={folder}"], [f"resume={folder}/checkpoints/step=00000008.ckpt"]):
        assert run(script, home, "steps=9", *more)[0] == 0
    stated = [json.loads(path.read_text())["run"] for path in (folder / "checkpoints").glob("*.json")]
    assert stated == [first, first]


def test_what_is_said_goes_before_the_declared_places(script: Path, home: Path) -> None:
    (home / "data").rename(home.parent / "moved")
    code, out, err = run(script, home, "--numbers", "moved", "--output_dir", "other", "steps=1")
    assert code == 0, err
    assert f"results go to {home}/other/of-1-0.0;" in out


@pytest.mark.slow
def test_a_failure_of_the_run_before_is_not_taken_for_this_one_s(script: Path, home: Path) -> None:
    """Slow: each of its runs is a program with ranks of its own."""
    assert run(script, home, "steps=2", "fail_at=2")[2] == "error: rank 0: ValueError: step 2 went wrong\n"
    code, _, err = run(script, home, "steps=2", "exit_code=7")
    assert code == 7
    assert "went wrong" not in err


def test_all_that_is_not_there_is_told_at_once(script: Path, home: Path) -> None:
    code, _, err = run(script, home, "numbers=no/such", "resume=no/run", "init_from=no.ckpt")
    assert code == 2
    assert err.splitlines() == [
        "error: dataset_path=no/such: there is no such folder",
        "resume=no/run does not exist; name a checkpoint file, a run's folder or a task ID",
        "init_from=no.ckpt does not exist; name a checkpoint file, a run's folder or a task ID",
    ]


def test_help_tells_every_key(script: Path, home: Path) -> None:
    code, out, _ = run(script, home, "--help", "command=train")
    assert code == 0
    assert "  steps=3            steps\n" in out
    assert "  dataset_path=" in out
    assert "(also numbers)" in out
    assert "gpu: not supported: say N" in out


def test_torchrun_by_hand_is_told_what_to_write(script: Path, home: Path) -> None:
    code, _, err = run(script, home, TORCHELASTIC_RUN_ID="x", WORLD_SIZE="2", RANK="0")
    assert (code, err) == (2, "error: the run starts torchrun itself: start it without torchrun, and add nproc_per_node=2\n")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--model-name RN50 --batch 3", {"model_name": "RN50", "batch": 3}),
        ("--a=b=c --on --c 1e-3", {"a": "b=c", "on": True, "c": 1e-3}),
        ("--on key=1 --list [1,2]", {"on": True, "key": 1, "list": [1, 2]}),
        ("--eq x=1 --last", {"eq": "x=1", "last": True}),
        ("key=1,2", {}),
    ],
)
def test_flags_are_tokens_of_one_value(typed: str, meant: dict[str, object]) -> None:
    found, problems = read(tokens_of(typed.split(), {"key"}))
    assert {name: argument.value for name, argument in found.items()} == meant
    assert bool(problems) == (not meant)  # what was no flag stays as it is


@pytest.mark.parametrize("text", ["a, b", "it's", "{x", "1,2", "", "a\\", "$HOME"])
def test_a_flag_s_value_is_what_stands_there(text: str) -> None:
    found, problems = read(tokens_of(["--key", text], ()))
    assert problems == []
    assert found["key"].meant(wants_text=True) == text


def test_places_are_paths_in_the_home_of_the_workload(script: Path, tmp_path: Path) -> None:
    declaration = load(script.parent)
    assert local_run.home(declaration, {"TOY_ROOT": str(tmp_path)}) == tmp_path
    assert local_run.home(declaration, {}) == Path.cwd()


def test_a_place_that_is_none_is_an_error_of_the_declaration(tmp_path: Path) -> None:
    (tmp_path / "workload.yaml").write_text(DECLARED.replace("dataset_path: data", "dataset_path: 1"))
    with pytest.raises(WorkloadError, match=r"commands\.train: here is .*; must be a mapping of keys to paths"):
        load(tmp_path)
