"""A run that is refused leaves no empty folder, wherever its files go; what it leaves says why it was refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenes import TASK
from support.lines import run_line
from support.training import job_in

from cliport.config import DemosConfig
from cliport.data.folders import made
from cliport.demos import demos
from cliport.errors import AssetError

FEW = ["train.n_demos=1000", "model.clip_weights=random", f"train.task={TASK}"]


def empty(folder: Path) -> list[Path]:
    """Empty folders below one that is also the home, where libraries keep hidden ones of their own."""
    shown = (path for top in folder.iterdir() if not top.name.startswith(".") for path in (top, *top.rglob("*")))
    return [path for path in shown if path.is_dir() and not any(path.iterdir())]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("demos", ["n=1", "assets_root=nowhere"]),
        ("train", FEW),
        ("finetune", [*FEW, "output_dir=mine"]),
        ("eval", [f"eval_task={TASK}", "n_demos=1", "save_path=results", "output_dir=mine"]),
    ],
)
def test_a_refused_run_leaves_no_empty_folder(command: str, arguments: list[str], data: Path, tmp_path: Path) -> None:
    """Slow: programs that import PyTorch or the simulator."""
    if command != "demos":
        (tmp_path / "data").symlink_to(data)
    done = run_line(f"cliport.{command}", *arguments, folder=tmp_path, CLIPORT_ROOT=str(tmp_path))
    assert done.returncode == 1, done.stderr
    [_, *told] = done.stderr.partition("error: rank 0: ")
    assert all(told), done.stderr
    assert not empty(tmp_path)
    assert (tmp_path / "data").exists() == (command != "demos")


@pytest.mark.parametrize("stated", ["", "elsewhere/below"])
def test_demonstrations_that_cannot_be_made_leave_no_folder(stated: str, tmp_path: Path) -> None:
    """With videos too, and in the run's own folder or in one that was named."""
    settings = DemosConfig(n=1, n_val=1, data_dir=stated and str(tmp_path / stated), assets_root=str(tmp_path / "nowhere"))
    settings.record.save_video = True
    with pytest.raises(AssetError, match="files are missing"):
        demos(job_in(tmp_path / "run", settings))
    assert [*tmp_path.rglob("*")] == [tmp_path / "run"]


def test_a_folder_that_was_there_or_is_filled_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with made(tmp_path / "there" / "a" / "b"), made(tmp_path / "there" / "c"):
        (tmp_path / "there" / "c" / "file").touch()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["c"]
