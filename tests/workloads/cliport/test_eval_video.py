"""Videos: mp4 of the asked size, the instruction readable below the picture."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from cliport.config import RecordConfig
from cliport.video import INK, VideoWriter

FRAME = np.zeros((480, 640, 3), np.uint8)
FRAME[:, :320] = (200, 30, 30)


def decoded(path: Path) -> tuple[np.ndarray, float]:
    """A video's frames (T, H, W, 3) and how many of them a second has."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    told = subprocess.run(program, capture_output=True, check=True)
    width, height, fps = re.search(rb"Video: h264.* (\d+)x(\d+)\b.* ([\d.]+) fps", told.stderr).groups()
    return np.frombuffer(told.stdout, np.uint8).reshape(-1, int(height), int(width), 3), float(fps)


def recorded(writer: VideoWriter, path: Path, frames: int = 6) -> np.ndarray:
    with writer.recording(path):
        for _ in range(frames):
            writer.frame(FRAME)
    return decoded(path)[0]


def test_a_video_has_the_asked_size_and_rate(tmp_path: Path) -> None:
    settings = RecordConfig(add_text=False, fps=10, video_height=120, video_width=160)
    video = recorded(VideoWriter(settings), tmp_path / "videos" / "one.mp4")
    assert video.shape == (6, 120, 160, 3)
    assert np.allclose(video[3, 60, [20, 140]], FRAME[200, [20, 620]], atol=12)
    assert decoded(tmp_path / "videos" / "one.mp4")[1] == 10
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["one.mp4"]


def test_the_instruction_stands_below_the_picture_and_changes(tmp_path: Path) -> None:
    writer = VideoWriter(RecordConfig(video_height=240, video_width=320))
    with writer.recording(tmp_path / "one.mp4"):
        for instruction in ("", "put the red block in the green bowl", "put the blue block in the brown box " * 8):
            writer.say(instruction)
            for _ in range(5):
                writer.frame(FRAME)
    video = decoded(tmp_path / "one.mp4")[0]
    strips = video[[2, 7, 12], 240:].mean(-1) > np.mean(INK) / 2
    assert strips.shape[1] == writer.strip == 20
    inked = strips.sum((1, 2))
    assert inked[0] == 0
    assert 100 < inked[1] < 0.5 * strips[0].size
    columns = np.flatnonzero(strips[1].any(0))
    assert columns.min() > 5
    assert columns.max() < 315  # it fits
    assert np.flatnonzero(strips[2].any(0)).max() < 320


def test_odd_sizes_are_rounded_up_to_even_ones(tmp_path: Path) -> None:
    writer = VideoWriter(RecordConfig(add_text=False, video_height=99, video_width=101))
    assert recorded(writer, tmp_path / "odd.mp4").shape[1:3] == (100, 102)


def test_frames_outside_a_recording_are_dropped(tmp_path: Path) -> None:
    writer = VideoWriter(RecordConfig(add_text=False, video_height=64, video_width=64))
    writer.frame(FRAME)
    assert len(recorded(writer, tmp_path / "one.mp4", 3)) == 3
    writer.frame(FRAME)
    assert len(recorded(writer, tmp_path / "two.mp4", 2)) == 2


def test_an_episode_that_breaks_leaves_no_video(tmp_path: Path) -> None:
    writer = VideoWriter(RecordConfig(video_height=64, video_width=64))

    def broken() -> None:
        with writer.recording(tmp_path / "one.mp4"):
            writer.frame(FRAME)
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        broken()
    assert list(tmp_path.iterdir()) == []
