"""A run by hand, with no server: one parent, real ranks, and every way to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import children, gone, read_until
from support.toy import ROOT, make_repository

CLIP = ROOT / ".venvs/clip/bin/python"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "numbers.txt").write_text("1\n2\n")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "HARNESS_"))}
    return {**kept, "HOME": "/nonexistent", **more}


def start(script: Path, place: Path, *tokens: str, python: Path | str = sys.executable, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, script, *tokens], cwd=place, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(script: Path, place: Path, *tokens: str, **more: str) -> tuple[int, str, str]:
    process = start(script, place, *tokens, **more)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def folder_of(place: Path, command: str = "train") -> Path:
    (found,) = (place / "outputs" / "toy").glob(f"{command}-*")
    return found


def test_results_are_below_output_dir_and_the_message_says_how_to_use_a_server(script: Path, place: Path) -> None:
    code, out, err = run(script, place, "dataset_path=data", "config=smoke", "seed=7")
    assert (code, err) == (0, "")
    folder = folder_of(place)
    assert out.startswith(f"results go to {folder}; to send them to a server: registry up")
    assert (folder / "log.txt").read_text().splitlines()[-1] == f"total 6 seed 7 data {place}/data"
    assert [json.loads(line)["value"] for line in (folder / "scalars.jsonl").read_text().splitlines()] == [3.0, 6.0]
    assert json.loads((folder / "artifacts" / "result.json").read_text()) == {"total": 6}
    assert json.loads((folder / "plan.json").read_text())["settings"]["steps"] == 2


def test_wrong_arguments_are_all_told_before_anything_starts(script: Path, place: Path) -> None:
    code, out, err = run(script, place, "stps=3", "pause=-1", "nonsense")
    assert (code, out) == (2, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "stps", "pause=-1.0", "dataset_id is required"]
    assert not (place / "outputs").exists()


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["dataset_path=nowhere"], "dataset_path=nowhere: there is no such folder"),
        (["dataset_path=data", "resume=nowhere"], "nowhere does not exist; name a checkpoint file, a run's folder or a task ID"),
        (
            ["dataset_path=data", "init_from=data"],
            "no complete checkpoint (step=*.ckpt with its .json) in data, which contains numbers.txt",
        ),
    ],
)
def test_missing_data_or_checkpoint_is_told(script: Path, place: Path, tokens: list[str], told: str) -> None:
    code, _, err = run(script, place, *tokens)
    assert (code, told in err) == (2, True)


def test_an_unbuilt_environment_is_told_with_the_line_to_type(script: Path, place: Path) -> None:
    code, _, err = run(script, place, "dataset_path=data", HARNESS_ENVS="/nowhere")
    assert (code, "make env/toy" in err) == (1, True)


def test_an_exception_ends_the_run_with_its_words(script: Path, place: Path) -> None:
    code, out, err = run(script, place, "dataset_path=data", "fail_at=2")
    assert code == 1
    assert err == "error: rank 0: ValueError: step 2 went wrong\n"
    assert "Traceback" in out


def test_an_exit_code_is_passed_on(script: Path, place: Path) -> None:
    code, _, err = run(script, place, "dataset_path=data", "exit_code=3")
    assert (code, err) == (3, "error: a process ended with exit code 3\n")


def test_resume_goes_on_where_a_killed_run_stopped(script: Path, place: Path) -> None:
    process = start(script, place, "dataset_path=data", "steps=1000", "pause=0.05")
    read_until(process, "step 4")
    ranks = children(process.pid)
    process.kill()
    process.communicate()
    assert ranks
    assert gone(ranks)  # no rank outlives its parent
    folder = folder_of(place)
    done = max(int(path.stem.partition("=")[2]) for path in (folder / "checkpoints").glob("step=*.json"))
    code, out, _ = run(script, place, "dataset_path=data", f"steps={done + 3}", f"resume={folder}")
    assert code == 0
    assert f"step {done}\n" not in out
    assert f"total {3 * (done + 3)} " in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_rank_and_keeps_the_checkpoint(script: Path, place: Path, number: int) -> None:
    process = start(script, place, "dataset_path=data", "steps=1000", "pause=0.05")
    read_until(process, "step 3")
    ranks = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err == f"error: stopped by {signal.Signals(number).name}; the last checkpoint is kept\n"
    assert gone(ranks)
    assert list((folder_of(place) / "checkpoints").glob("step=*.ckpt"))


def test_a_killed_rank_is_told_as_such(script: Path, place: Path) -> None:
    process = start(script, place, "dataset_path=data", "steps=1000", "pause=0.05")
    read_until(process, "step 2")
    for rank in children(process.pid):
        os.kill(rank, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (137, "error: a process was ended by SIGKILL: out of memory, or killed by hand\n")


@pytest.mark.skipif(not CLIP.exists(), reason="needs torch: make env/clip")
@pytest.mark.slow
def test_two_processes_and_one_that_fails(script: Path, place: Path) -> None:
    """Slow: torch is imported by three processes, twice."""
    code, out, _ = run(script, place, "dataset_path=data", "nproc_per_node=2", "steps=2", python=str(CLIP))
    assert code == 0
    assert {"rank 0 of 2: step 2", "rank 1 of 2: step 2"} <= set(out.splitlines())
    assert out.count("total 6") == 1
    code, _, err = run(script, place, "dataset_path=data", "nproc_per_node=2", "fail_at=2", "fail_rank=1", "pause=0.1", python=str(CLIP))
    assert (code, err) == (1, "error: rank 1: ValueError: step 2 went wrong\n")
