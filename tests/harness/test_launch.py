"""Launchers are pure functions from the plan to a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import LaunchError
from harness.launch import Launch, ended, image_python

MEETING = {"MASTER_ADDR": "node0", "MASTER_PORT": "29500", "NODE_RANK": "1"}
TORCHRUN = "python -m torch.distributed.run"


@pytest.mark.parametrize(
    ("launch", "argv"),
    [
        (Launch("inline"), "python train.py"),
        (Launch("own", nproc_per_node=4), "python train.py"),
        (Launch("torchrun"), "python train.py"),
        (Launch("torchrun", 2), f"{TORCHRUN} --standalone --nproc_per_node 2 train.py"),
        (
            Launch("torchrun", 2, nnodes=3, standalone=False),
            f"{TORCHRUN} --nnodes 3 --rdzv_backend c10d --rdzv_endpoint node0:29500 --node_rank 1 --nproc_per_node 2 train.py",
        ),
        (Launch("paddle"), "python train.py"),
        (Launch("paddle", 2), "python -m paddle.distributed.launch --nproc_per_node 2 train.py"),
        (
            Launch("paddle", 2, nnodes=2, standalone=False),
            "python -m paddle.distributed.launch --nnodes 2 --master node0:29500 --nproc_per_node 2 train.py",
        ),
    ],
)
def test_argv(launch: Launch, argv: str) -> None:
    assert launch.argv("python", "train.py", MEETING) == argv.split()


def test_several_machines_need_a_meeting_point() -> None:
    with pytest.raises(LaunchError, match="needs MASTER_ADDR in the environment"):
        Launch("torchrun", 1, nnodes=2, standalone=False).argv("python", "train.py", {})


def test_the_image_s_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "clip" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert image_python("clip", Path("/nowhere"), {"HARNESS_ENVS": str(tmp_path)}) == str(python)
    with pytest.raises(LaunchError, match="type: make env/cliport"):
        image_python("cliport", Path("/nowhere"), {"HARNESS_ENVS": str(tmp_path)})


def test_exit_codes_in_words() -> None:
    assert ended(3) == "a process ended with exit code 3"
    assert ended(-9) == "a process was ended by SIGKILL: out of memory, or killed by hand"
    assert ended(-15) == "a process was ended by SIGTERM"
