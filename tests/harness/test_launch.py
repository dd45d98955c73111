"""Launchers are pure functions from the plan to a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import LaunchError, ParameterError
from harness.gpus import problems_of_processes, stated_in, visible
from harness.launch import Launch, image_python

MEETING = {"MASTER_ADDR": "node0", "MASTER_PORT": "29500", "NODE_RANK": "1"}
TORCHRUN = "python -m torch.distributed.run"
PADDLE = "python -m paddle.distributed.launch"


@pytest.mark.parametrize(
    ("launch", "argv"),
    [
        (Launch("inline"), "python train.py"),
        (Launch("own", nproc_per_node=4), "python train.py"),
        (Launch("torchrun"), "python train.py"),
        (Launch("torchrun", 2), f"{TORCHRUN} --standalone --nproc_per_node 2 train.py"),
        (
            Launch("torchrun", 2, nnodes=3),
            f"{TORCHRUN} --nnodes 3 --rdzv_backend static --rdzv_endpoint node0:29500 --node_rank 1 --nproc_per_node 2 train.py",
        ),
        (
            Launch("torchrun", nnodes=2),
            f"{TORCHRUN} --nnodes 2 --rdzv_backend static --rdzv_endpoint node0:29500 --node_rank 1 --nproc_per_node 1 train.py",
        ),
        (Launch("paddle"), "python train.py"),
        (Launch("paddle", 2), f"{PADDLE} --nproc_per_node 2 train.py"),
        (Launch("paddle", 2, nnodes=2), f"{PADDLE} --nnodes 2 --master node0:29500 --rank 1 --nproc_per_node 2 train.py"),
    ],
)
def test_argv(launch: Launch, argv: str) -> None:
    assert launch.argv("python", "train.py", MEETING) == argv.split()


def test_an_address_of_ipv6_is_told_from_its_port() -> None:
    argv = Launch("torchrun", nnodes=2).argv("python", "train.py", {**MEETING, "MASTER_ADDR": "fd00::7"})
    assert argv[argv.index("--rdzv_endpoint") + 1] == "[fd00::7]:29500"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"MASTER_ADDR": "", "NODE_RANK": ""}, ["nnodes=2 without an agent: set MASTER_ADDR, NODE_RANK on each machine"]),
        ({"NODE_RANK": "2", "MASTER_PORT": "x"}, ["MASTER_PORT=x: must be int from 1 to 65535", "NODE_RANK=2: must be int from 0 to 1"]),
        ({"MASTER_ADDR": "", "NODE_RANK": "-1"}, ["set MASTER_ADDR on each machine", "NODE_RANK=-1: must be int from 0 to 1"]),
    ],
)
def test_several_machines_need_a_meeting_point(changed: dict[str, str], told: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        Launch("torchrun", 1, nnodes=2).argv("python", "train.py", MEETING | changed)
    assert len(caught.value.problems) == len(told)
    for problem, words in zip(caught.value.problems, told, strict=True):
        assert words in problem


class TestGPUs:
    """A machine's GPUs are those that nvidia-smi lists, as far as the environment lets them be seen."""

    @pytest.fixture
    def two(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine with two."""
        self.install("GPU 0: NVIDIA A100 (UUID: GPU-aa)\nGPU 1: NVIDIA A100 (UUID: GPU-bb)", tmp_path, monkeypatch)

    def install(self, listed: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{listed}\nEND\n")
        (folder / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    @pytest.mark.usefixtures("two")
    @pytest.mark.parametrize(
        ("environment", "count", "source"),
        [
            ({}, 2, "nvidia-smi lists 2"),
            ({"NVIDIA_VISIBLE_DEVICES": "all"}, 2, "nvidia-smi lists 2"),
            ({"CUDA_VISIBLE_DEVICES": "1"}, 1, "CUDA_VISIBLE_DEVICES=1"),
            ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, 2, "CUDA_VISIBLE_DEVICES=0,1,2,3"),
            ({"NVIDIA_VISIBLE_DEVICES": "GPU-bb", "CUDA_VISIBLE_DEVICES": "GPU-aa,GPU-bb"}, 2, "CUDA_VISIBLE_DEVICES=GPU-aa,GPU-bb"),
            ({"NVIDIA_VISIBLE_DEVICES": "none", "CUDA_VISIBLE_DEVICES": "none"}, 0, "CUDA_VISIBLE_DEVICES=none"),
        ],
    )
    def test_visible(self, environment: dict[str, str], count: int, source: str) -> None:
        assert visible(environment) == (count, source)

    @pytest.mark.usefixtures("two")
    def test_each_process_takes_one(self) -> None:
        assert problems_of_processes(2, {}) == []
        assert problems_of_processes(2, {"CUDA_VISIBLE_DEVICES": "1"}) == [
            "nproc_per_node=2: this run has 1 GPU(s) (CUDA_VISIBLE_DEVICES=1), and each process needs one"
        ]

    @pytest.mark.usefixtures("two")
    def test_without_any_the_processes_share_the_cpu(self) -> None:
        assert problems_of_processes(8, {"CUDA_VISIBLE_DEVICES": ""}) == []

    def test_nor_does_a_machine_without_nvidia_smi_limit_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        assert problems_of_processes(8, {"CUDA_VISIBLE_DEVICES": "0"}) == []

    def test_the_parts_of_a_shared_one_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(
            "GPU 0: A100 (UUID: GPU-aa)\n  MIG 3g.20gb Device 0: (UUID: MIG-1)\n  MIG 3g.20gb Device 1: (UUID: MIG-2)",
            tmp_path,
            monkeypatch,
        )
        assert visible({}) == (2, "nvidia-smi lists 2")

    @pytest.mark.parametrize(("devices", "count"), [("0, 1", 2), ("0,-1,1", 1), ("NoDevFiles", 0), ("MIG-1/2,MIG-3", 2), ("", 0)])
    def test_a_list_ends_at_what_is_no_device(self, devices: str, count: int) -> None:
        assert stated_in(devices) == count


def test_the_image_s_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "clip" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert image_python("clip", Path("/nowhere"), {"HARNESS_ENVS": str(tmp_path)}) == str(python)
    with pytest.raises(LaunchError, match="run: make env/cliport"):
        image_python("cliport", Path("/nowhere"), {"HARNESS_ENVS": str(tmp_path)})
