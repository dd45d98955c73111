"""A disk that is full ends the writing of weights with one line that says how much is needed, and what was there before stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.checkpoint import Checkpoints
from harness.errors import CheckpointError
from harness.torch.saving import bytes_of, save, save_safetensors, save_whole
from harness.torch.trainer import DirectCheckpointIO

SMALL, LARGE = {"a": torch.zeros(250_000)}, {"a": torch.zeros(1_000_000), "b": [torch.zeros(500_000)]}
FULL = r"could not be written: .*No space left on device.*: it needs 6\.0 MB, and [0-3]\.\d MB are free"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_earlier_checkpoint(small_disk: Path) -> None:
    """Written as a training run writes. PyTorch itself says `unexpected pos 640 vs 598` there."""
    checkpoints, writer = Checkpoints(small_disk / "checkpoints"), DirectCheckpointIO()
    first = checkpoints.save(1, lambda path: writer.save_checkpoint(SMALL, path))
    with pytest.raises(CheckpointError, match=rf"step=00000002\.ckpt {FULL}; earlier checkpoints are kept$"):
        checkpoints.save(2, lambda path: writer.save_checkpoint(LARGE, path))
    assert checkpoints.latest() == first
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step=00000001.ckpt", "step=00000001.json"]
    checkpoints.save(3, lambda path: writer.save_checkpoint(SMALL, path))


def test_a_full_disk_leaves_the_earlier_weights(small_disk: Path) -> None:
    path = small_disk / "weights.pt"
    save_whole(SMALL, path)
    with pytest.raises(CheckpointError, match=rf"weights\.pt {FULL}$"):
        save_whole(LARGE, path)
    assert torch.load(path, weights_only=True).keys() == SMALL.keys()
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors {FULL}$"):
        save_safetensors({"a": torch.zeros(1_500_000)}, small_disk / "weights.safetensors")
    assert list(small_disk.iterdir()) == [path]


def test_a_device_that_is_always_full_is_told() -> None:
    """For users who cannot mount: Linux' /dev/full refuses each write, as a full disk does."""
    with pytest.raises(OSError, match=r"No space left on device: it needs 1\.0 MB") as refused:
        save(SMALL, Path("/dev/full"))
    assert refused.value.errno == 28


def test_other_refusals_are_told_by_their_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/weights\.pt could not be written: Not a directory$"):
        save_whole(SMALL, tmp_path / "file/weights.pt")
    with pytest.raises(CheckpointError, match=r"file/weights\.safetensors could not be written: .*Not a directory"):
        save_safetensors(SMALL, tmp_path / "file/weights.safetensors")


def test_a_fault_of_the_content_stays_what_it_is(tmp_path: Path) -> None:
    class Strange:
        def __reduce__(self) -> tuple[object, ...]:
            raise RuntimeError("cannot be pickled")

    with pytest.raises(RuntimeError, match="cannot be pickled"):
        save_whole({"a": Strange()}, tmp_path / "weights.pt")
    assert list(tmp_path.iterdir()) == []


def test_shared_memory_is_counted_once_as_it_is_stored_once() -> None:
    whole = torch.zeros(100)
    assert bytes_of({"a": whole, "b": (whole[:10], [torch.zeros(3, dtype=torch.int8)]), "c": "text"}) == 403
