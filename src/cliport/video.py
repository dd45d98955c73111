"""Videos of episodes as mp4, with the instruction below the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from harness.files import replaced

from .config import RecordConfig

INK, PAPER = (245, 245, 245), (25, 26, 30)
CAPTION_HEIGHT = 0.08
"""Share of the picture's height."""


class VideoWriter:
    """Receives the simulator's frames and writes them to one file at a time: `Environment(record=writer.frame)`.

    A video appears complete or not at all.
    """

    def __init__(self, settings: RecordConfig) -> None:
        self.fps = settings.fps
        self.size = (even(settings.video_width), even(settings.video_height))
        self.strip = even(round(self.size[1] * CAPTION_HEIGHT)) if settings.add_text else 0
        self.writer: Any = None
        self.say("")

    @contextmanager
    def recording(self, path: Path) -> Iterator[None]:
        """Write the frames received within the block to `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = self.size
        with replaced(path) as beside:
            self.writer = imageio_ffmpeg.write_frames(
                str(beside),
                (width, height + self.strip),
                fps=self.fps,
                codec="libx264",
                macro_block_size=2,
                output_params=["-f", "mp4", "-movflags", "+faststart"],
                ffmpeg_log_level="error",
            )
            self.writer.send(None)
            try:
                yield
            finally:
                self.writer.close()
                self.writer = None

    def say(self, instruction: str) -> None:
        """Caption the following frames with this instruction."""
        self.caption = caption(instruction, self.size[0], self.strip)

    def frame(self, picture: np.ndarray) -> None:
        """Add a frame, uint8 (H, W, 3) of any size; ignored outside `recording`."""
        if self.writer is None:
            return
        image = Image.fromarray(picture).resize(self.size, Image.Resampling.BILINEAR)
        self.writer.send(np.ascontiguousarray(np.concatenate([np.asarray(image), self.caption])))


def caption(text: str, width: int, height: int) -> np.ndarray:
    """A strip (height, width, 3) with the text centered."""
    if not height:
        return np.zeros((0, width, 3), np.uint8)
    strip = Image.new("RGB", (width, height), PAPER)
    font = fitting(text, height * 0.55, width * 0.96)
    ImageDraw.Draw(strip).text((width / 2, height / 2), text, INK, font, anchor="mm")
    return np.asarray(strip)


def fitting(text: str, size: float, width: float) -> Any:
    """The largest font of at most `size` pixels in which the text is at most `width` pixels wide."""
    font = ImageFont.load_default(size)
    return ImageFont.load_default(max(6.0, size * min(1.0, width / max(1.0, font.getlength(text)))))


def even(pixels: int) -> int:
    """The next even number: H.264 needs even sides."""
    return pixels + pixels % 2
