"""Where a run's results go: to ClearML, to the terminal and files, or, in tests, to memory.

Domain code calls a `Report`; the harness chooses which one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from . import gaps, properties
from .errors import StoreError
from .files import write_json
from .numbers import finite, plain
from .output import TERMINAL

Item = TypeVar("Item")


class Report(ABC):
    """Takes the scalars, texts, images, plots and artifacts of a run, most of them under a title and a series."""

    def scalar(self, title: str, series: str, value: float, step: int) -> None:
        """Report one point of a curve. A value that is not finite leaves a gap, with a warning in the log the first time in each series."""
        name, number = f"{title}/{series}", finite(value)
        if not number and name not in self.gaps.series:
            self.text(f"WARNING: {name} is not finite since step {step}")
        if self.gaps.see(name, step, number):
            self.note_gaps()
        self.point(title, series, float(value) if number else None, step)

    @cached_property
    def gaps(self) -> gaps.Gaps:
        """The gaps in the curves."""
        return gaps.Gaps()

    def note_gaps(self) -> None:  # noqa: B027  most subclasses record only the points
        """Called when the gaps have changed."""

    @abstractmethod
    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        """One point of a curve; None is a gap."""

    @abstractmethod
    def text(self, message: str) -> None:
        """Write a line to the log."""

    @abstractmethod
    def image(self, title: str, series: str, image: Any, step: int) -> None:
        """Report an image: a PIL image, or a uint8 array (height, width, 3)."""

    @abstractmethod
    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None:
        """Report a figure: of plotly (or its dict), or of matplotlib."""

    @abstractmethod
    def artifact(self, name: str, value: Path | dict[str, Any]) -> None:
        """Keep a file, folder or mapping with the run."""

    def flush(self) -> None:  # noqa: B027  most subclasses have nothing to wait for
        """Wait until everything that was reported has arrived."""

    def progress(self, items: Iterable[Item], total: int | None = None, description: str = "") -> Iterator[Item]:
        """Iterate over `items` with a progress bar, which is updated often on a terminal and rarely in a log."""
        lively = sys.stdout.isatty() or TERMINAL in os.environ
        yield from tqdm(items, total=total, desc=description, mininterval=0.2 if lively else 10, file=sys.stdout, dynamic_ncols=True)


class Silent(Report):
    """For ranks above 0: only rank 0 reports."""

    def point(self, title: str, series: str, value: float | None, step: int) -> None: ...
    def text(self, message: str) -> None: ...
    def image(self, title: str, series: str, image: Any, step: int) -> None: ...
    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None: ...
    def artifact(self, name: str, value: Path | dict[str, Any]) -> None: ...
    def progress(self, items: Iterable[Item], total: int | None = None, description: str = "") -> Iterator[Item]:
        yield from items


class Recorder(Silent):
    """Keeps what is reported in memory, for tests."""

    def __init__(self) -> None:
        self.scalars: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self.texts: list[str] = []
        self.images: list[tuple[str, str, Any, int]] = []
        self.plots: list[tuple[str, str, Any, int]] = []
        self.artifacts: dict[str, Path | dict[str, Any]] = {}

    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        if value is not None:
            self.scalars.setdefault((title, series), []).append((step, value))

    def text(self, message: str) -> None:
        self.texts.append(message)

    def image(self, title: str, series: str, image: Any, step: int) -> None:
        self.images.append((title, series, image, step))

    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None:
        self.plots.append((title, series, figure, step))

    def artifact(self, name: str, value: Path | dict[str, Any]) -> None:
        self.artifacts[name] = value


class TerminalReport(Report):
    """Prints texts, and writes everything else below `folder`: scalars.jsonl, images/, plots/, artifacts/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, kind: str, *names: str) -> Path:
        path = self.folder.joinpath(kind, *(re.sub(r"[^\w.=@+-]+", "_", name).lstrip(".") or "_" for name in names))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        with (self.folder / "scalars.jsonl").open("a") as lines:
            lines.write(json.dumps({"title": title, "series": series, "step": step, "value": value}) + "\n")

    def text(self, message: str) -> None:
        print(message, flush=True)

    def image(self, title: str, series: str, image: Any, step: int) -> None:
        picture = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
        picture.save(self.place("images", title, f"{series}_{step:08d}.png"))

    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None:
        if hasattr(figure, "savefig"):
            figure.savefig(self.place("plots", title, f"{series}_{step:08d}.png"))
        else:
            write_json(self.place("plots", title, f"{series}_{step:08d}.json"), plotly_dict(figure))

    def artifact(self, name: str, value: Path | dict[str, Any]) -> None:
        if isinstance(value, dict):
            write_json(self.place("artifacts", f"{name}.json"), value)
        elif value.is_dir():
            shutil.copytree(value, self.place("artifacts", name), dirs_exist_ok=True)
        else:
            shutil.copy2(value, self.place("artifacts", value.name))


class ClearMLReport(Report):
    """Reports to the ClearML task of this run. Texts go to standard output, which the task's console shows."""

    def __init__(self, task: Any, reported: Mapping[tuple[str, str], int] | None = None) -> None:
        """Report to `task`. Steps up to `reported`, by title and series, were reported before, and are not reported a second time."""
        self.task = task
        self.reported = reported or {}
        self.logger = task.get_logger()
        self.noting: Future[None] | None = None
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="notes")

    @cached_property
    def gaps(self) -> gaps.Gaps:
        """The gaps, including those that the task had before it was resumed."""
        return gaps.Gaps(gaps.read(properties.read(self.task, gaps.PROPERTY)))

    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        if value is not None and step > self.reported.get((title, series), -1):  # the SDK would turn a missing value into 0
            self.logger.report_scalar(title, series, value=value, iteration=step)

    def note_gaps(self) -> None:
        """Write the gaps to the task's properties, in the background: training must not wait for the server."""
        if self.noting is not None:
            self.noting.cancel()  # an update that still waits is out of date
        self.noting = self.pool.submit(properties.write, self.task, gaps.PROPERTY, self.gaps.stated())

    def text(self, message: str) -> None:
        print(message, flush=True)

    def image(self, title: str, series: str, image: Any, step: int) -> None:
        self.logger.report_image(title, series, iteration=step, image=np.asarray(image))

    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None:
        if hasattr(figure, "savefig"):
            self.logger.report_matplotlib_figure(title, series, figure, iteration=step, report_image=False)
        else:
            self.logger.report_plotly(title, series, plotly_dict(figure), iteration=step)

    def artifact(self, name: str, value: Path | dict[str, Any]) -> None:
        try:
            self.task.upload_artifact(name, artifact_object=plain(value), wait_on_upload=True)
        except ValueError as error:  # raised by the SDK after several attempts, which it logs
            raise StoreError(f"artifact {name} could not be stored at {self.task.output_uri}: {error}") from error

    def flush(self) -> None:
        if self.noting is not None:
            self.noting.result()
        self.task.flush(wait_for_uploads=True)


def plotly_dict(figure: Any) -> dict[str, Any]:
    """A figure for JSON; values that are not finite become gaps there as well."""
    drawn: dict[str, Any] = plain(figure if isinstance(figure, dict) else figure.to_plotly_json())
    return drawn
