"""Where a run's results go: to ClearML, to the terminal and files, or into a list for tests.

Domain code calls one `Report`; which one it is, the harness decides.
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

Item = TypeVar("Item")


class Report(ABC):
    """Scalars, texts, images, plots and artifacts of a run, each under a title and a series."""

    def scalar(self, title: str, series: str, value: float, step: int) -> None:
        """One point of a curve. A value that is not finite is none: it leaves a gap, of which the log tells once per series."""
        name, number = f"{title}/{series}", finite(value)
        if not number and name not in self.gaps.series:
            self.text(f"WARNING: {name} is not finite since step {step}")
        if self.gaps.see(name, step, number):
            self.note_gaps()
        self.point(title, series, float(value) if number else None, step)

    @cached_property
    def gaps(self) -> gaps.Gaps:
        """Where the curves have gaps."""
        return gaps.Gaps()

    def note_gaps(self) -> None:  # noqa: B027  most write nothing down but the points
        """Called when the gaps are others than before."""

    @abstractmethod
    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        """One point of a curve; None is a gap."""

    @abstractmethod
    def text(self, message: str) -> None:
        """A line for the log."""

    @abstractmethod
    def image(self, title: str, series: str, image: Any, step: int) -> None:
        """A picture: a PIL image, or an array (height, width, 3) of uint8."""

    @abstractmethod
    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None:
        """A figure of plotly (or its dict) or of matplotlib."""

    @abstractmethod
    def artifact(self, name: str, value: Path | dict[str, Any]) -> None:
        """A file, folder or mapping to keep with the run."""

    def flush(self) -> None:  # noqa: B027  most have nothing to wait for
        """Wait until everything reported has arrived."""

    def progress(self, items: Iterable[Item], total: int | None = None, description: str = "") -> Iterator[Item]:
        """Go through `items` behind a progress bar: lively on a terminal, a line now and then in a log."""
        lively = sys.stdout.isatty() or "HARNESS_TERMINAL" in os.environ
        yield from tqdm(items, total=total, desc=description, mininterval=0.2 if lively else 10, file=sys.stdout, dynamic_ncols=True)


class Silent(Report):
    """For ranks above 0, whose results rank 0 reports."""

    def point(self, title: str, series: str, value: float | None, step: int) -> None: ...
    def text(self, message: str) -> None: ...
    def image(self, title: str, series: str, image: Any, step: int) -> None: ...
    def plot(self, title: str, series: str, figure: Any, step: int = 0) -> None: ...
    def artifact(self, name: str, value: Path | dict[str, Any]) -> None: ...
    def progress(self, items: Iterable[Item], total: int | None = None, description: str = "") -> Iterator[Item]:
        yield from items


class Recorder(Silent):
    """Keeps what was reported, for tests."""

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
    """Prints texts, and writes the rest below `folder`: scalars.jsonl, images/, plots/, artifacts/."""

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
    """To the ClearML task of this run. Texts go to standard output, which the task's console log follows."""

    def __init__(self, task: Any, reported: Mapping[tuple[str, str], int] | None = None) -> None:
        """Report to `task`. A curve that has reached a step already, `reported` by title and series, is not given it a second time."""
        self.task = task
        self.reported = reported or {}
        self.logger = task.get_logger()
        self.noting: Future[None] | None = None
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="notes")

    @cached_property
    def gaps(self) -> gaps.Gaps:
        """Also those that the task had when it ran before."""
        return gaps.Gaps(gaps.read(properties.read(self.task, gaps.PROPERTY)))

    def point(self, title: str, series: str, value: float | None, step: int) -> None:
        if value is not None and step > self.reported.get((title, series), -1):  # without a value the SDK would make it 0
            self.logger.report_scalar(title, series, value=value, iteration=step)

    def note_gaps(self) -> None:
        """Write the gaps into the task's properties, in the background: training does not wait for the server."""
        if self.noting is not None:
            self.noting.cancel()  # what still waits says less
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
        except ValueError as error:  # the SDK's, after several tries that it logs
            raise StoreError(f"artifact {name} could not be stored at {self.task.output_uri}: {error}") from error

    def flush(self) -> None:
        if self.noting is not None:
            self.noting.result()
        self.task.flush(wait_for_uploads=True)


def plotly_dict(figure: Any) -> dict[str, Any]:
    """A figure as JSON can hold it; a value that is not finite is a gap there, too."""
    drawn: dict[str, Any] = plain(figure if isinstance(figure, dict) else figure.to_plotly_json())
    return drawn
