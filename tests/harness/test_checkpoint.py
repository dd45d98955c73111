"""Checkpoints survive what happens to files: kills, full disks, torn and foreign files."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.checkpoint import Checkpoints, find, owner, run_of
from harness.errors import CheckpointError
from harness.parent import owner_of


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def text(content: str):
    return lambda path: path.write_text(content)


def test_the_newest_is_found_and_old_ones_go(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None
    for step in (5, 20, 100):
        checkpoints.save(step, text(f"weights {step}"), {"loss": 1 / step})
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.read_text() == "weights 100"
    assert json.loads(latest.with_suffix(".json").read_text())["metrics"] == {"loss": 0.01}
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "step=00000020.ckpt",
        "step=00000020.json",
        "step=00000100.ckpt",
        "step=00000100.json",
    ]


def test_another_runs_checkpoints_are_neither_found_nor_removed(tmp_path: Path) -> None:
    """Nor do they count among the newest: this run's steps are lower. Those that state no run are anybody's, as of older versions."""
    first, second = (Checkpoints(tmp_path, run=run) for run in ("first", "second"))
    theirs = [first.save(step, text("weights")) for step in (50, 60)]
    ours = [second.save(step, text("weights")) for step in (1, 2, 3)]
    assert second.newest_first() == ours[:0:-1]
    assert (second.latest(), first.latest()) == (ours[2], theirs[1])
    assert {run_of(path) for path in tmp_path.glob("*.ckpt")} == {"first", "second"}
    unstated = Checkpoints(tmp_path).save(4, text("weights"))
    assert second.newest_first() == [unstated, ours[2]]
    assert Checkpoints(tmp_path).newest_first() == [*theirs[::-1], unstated, ours[2]]


def test_a_folder_with_checkpoints_is_entered_only_by_continuing_them(checkpoints: Checkpoints) -> None:
    folder, elsewhere = checkpoints.folder.parent, checkpoints.folder / "elsewhere" / "step=00000009.ckpt"
    assert owner(folder, "new", None) == owner(folder, "new", elsewhere) == "new"
    unstated = checkpoints.save(1, text("weights"))
    assert owner(folder, "new", unstated) == "new"
    stated = Checkpoints(checkpoints.folder, run="old").save(2, text("weights"))
    assert owner(folder, "new", stated) == "old"
    for resume in (None, elsewhere):
        with pytest.raises(CheckpointError, match=r"holds the checkpoints of the run old, up to step=00000002\.ckpt; .*resume=anew"):
            owner(folder, "new", resume)
    cut(stated)
    with pytest.raises(CheckpointError, match=r"holds the checkpoints of another run, up to step=00000001\.ckpt"):
        owner(folder, "new", None)
    checkpoints.clear()
    assert owner(folder, "new", None) == "new"


@pytest.mark.parametrize("resume", ["0123", "task:0123", "folder"])
def test_a_task_started_again_continues_or_says_that_it_starts_over(resume: str, tmp_path: Path) -> None:
    """Its folder bears its ID, and so still holds what it saved before a person stopped or reset it."""
    Checkpoints(tmp_path / "checkpoints", run="0123").save(7, text("weights"))
    with pytest.raises(CheckpointError, match="holds the checkpoints of the run 0123"):
        owner_of(tmp_path, "0123", None, None)
    assert owner_of(tmp_path, "0123", str(tmp_path) if resume == "folder" else resume, None) == "0123"
    assert owner_of(tmp_path, "0123", "anew", None) == "0123"
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def cut(path: Path) -> None:
    path.write_text("we")


def flip(path: Path) -> None:
    path.write_text("wEights 2")


def lose_manifest(path: Path) -> None:
    path.with_suffix(".json").unlink()


def tear_manifest(path: Path) -> None:
    path.with_suffix(".json").write_text('{"bytes":')


@pytest.mark.parametrize("damage", [cut, flip, lose_manifest, tear_manifest])
def test_a_torn_checkpoint_is_passed_over_with_a_warning(checkpoints: Checkpoints, damage, caplog: pytest.LogCaptureFixture) -> None:
    first = checkpoints.save(1, text("weights 1"))
    second = checkpoints.save(2, text("weights 2"))
    damage(second)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest() == first
    assert str(second) in caplog.text


def test_a_writer_that_fails_leaves_nothing_and_older_ones_stay(checkpoints: Checkpoints) -> None:
    first = checkpoints.save(1, text("weights 1"))

    def explode(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match=r"could not be written.*No space left.*earlier checkpoints are kept"):
        checkpoints.save(2, explode)
    assert checkpoints.latest() == first
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_a_file_size_limit_leaves_nothing(checkpoints: Checkpoints) -> None:
    """A real refusal by the kernel, as a full disk gives one."""
    checkpoints.save(1, text("small"))
    code = f"""
import pathlib, resource, signal, sys
sys.path[:0] = {sys.path!r}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from harness.checkpoint import Checkpoints
Checkpoints(pathlib.Path({str(checkpoints.folder)!r})).save(2, lambda path: path.write_bytes(bytes(10000)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"harness.errors.CheckpointError: checkpoint {checkpoints.folder}/step=00000002.ckpt could not be written: " in done.stderr
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step=00000001.ckpt", "step=00000001.json"]


def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(checkpoints: Checkpoints) -> None:
    code = f"""
import pathlib, sys
sys.path[:0] = {sys.path!r}
from harness.checkpoint import Checkpoints
checkpoints = Checkpoints(pathlib.Path({str(checkpoints.folder)!r}))
for step in range(1, 100000):
    checkpoints.save(step, lambda path: path.write_bytes(step.to_bytes(8, "big") * 50000))
    print(step, flush=True)
"""
    for moment in range(4):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(3)]
        time.sleep(0.003 * moment)
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
        process.stdout.close()
        process.wait()
        latest = checkpoints.latest()
        assert latest is not None
        step = int(latest.stem.partition("=")[2])
        assert step >= acknowledged[-1] or moment > 0  # a later round may start again below an earlier one's
        assert latest.read_bytes() == step.to_bytes(8, "big") * 50000


def test_find_takes_a_file_a_run_or_its_folder(checkpoints: Checkpoints, tmp_path: Path) -> None:
    saved = checkpoints.save(3, text("weights"))
    assert find(saved) == find(checkpoints.folder) == find(tmp_path) == saved
    foreign = tmp_path / "ViT-B-32.pt"
    foreign.write_text("somebody's weights")
    foreign.with_suffix(".json").write_text("{}")  # whatever that says, it is no manifest of ours
    assert find(foreign) == foreign


def test_find_says_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"no complete checkpoint .* which contains notes.txt"):
        find(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        find(tmp_path / "nothing")


def test_find_refuses_a_torn_file(checkpoints: Checkpoints) -> None:
    saved = checkpoints.save(3, text("weights"))
    cut(saved)
    with pytest.raises(CheckpointError, match="has 2 bytes, but its manifest says 7"):
        find(saved)


def test_another_programs_file_with_a_checkpoints_name_is_left_alone(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Without a manifest: named by a person it is what that person means; in our folder it is passed over, and never cleared away."""
    foreign = tmp_path / "step=1000.ckpt"
    foreign.write_text("somebody's weights")
    assert find(foreign) == foreign
    checkpoints.folder.mkdir()
    among = checkpoints.folder / "step=99999999.ckpt"
    among.write_text("somebody's weights")
    for step in (1, 2, 3):
        checkpoints.save(step, text(f"weights {step}"))
    assert among.read_text() == "somebody's weights"
    assert [path.name for path in checkpoints.newest_first()] == [among.name, "step=00000003.ckpt", "step=00000002.ckpt"]
    assert checkpoints.latest() == checkpoints.folder / "step=00000003.ckpt"


def test_a_checkpoint_is_on_disk_before_it_is_named_and_its_manifest_comes_last(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the system calls, without which a machine that loses power can have the name and not the contents."""
    calls: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def synced(handle: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        calls.append(("fsync", name.lstrip(".").partition(".ckpt.")[0].partition(".json.")[0]))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    for function in ("rename", "replace"):
        monkeypatch.setattr(os, function, lambda source, target: (calls.append(("named", Path(target).name)), rename(source, target))[1])
    checkpoints.save(7, text("weights"))
    stem, folder = "step=00000007", checkpoints.folder.name
    assert calls == [
        ("fsync", stem),
        ("named", f"{stem}.ckpt"),
        ("fsync", folder),
        ("fsync", stem),
        ("named", f"{stem}.json"),
        ("fsync", folder),
    ]
