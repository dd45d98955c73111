"""Follows what a script writes: event files become curves, pictures debug samples, and checkpoints those of the run."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..checkpoint import Checkpoints, step_of
from ..errors import CheckpointError
from ..report import Report
from .events import EventFile

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at the folder."""
SETTLED = 2.0
"""Seconds after its last change when a file counts as whole; a zip archive, which torch's checkpoints are, tells so by itself."""
PICTURES = (".png", ".jpg", ".jpeg")
MOST_PICTURES = 200
"""More than so many are somebody's data rather than figures."""
STEP = re.compile(r"^(.*?)[-_.=]?(?:step|epoch|iter)?[-_.=]?(\d+)$")
State = tuple[int, int, int]


class ChangedError(Exception):
    """A file that was changed while it was copied."""


class Follower:
    """Looks at a folder now and then, in a thread of its own.

    Args:
        folder: the script's; what is there already is not looked at, except event files.
        report: where curves and pictures go.
        checkpoints: where whole checkpoints are copied to, numbered as they come: a script overwrites its own.
        patterns: of the files that are checkpoints.
        begin: the number of the checkpoint that the run goes on from.
    """

    def __init__(self, folder: Path, report: Report, checkpoints: Checkpoints, patterns: Sequence[str], begin: int = 0) -> None:
        self.folder, self.report, self.checkpoints, self.patterns = folder, report, checkpoints, patterns
        self.number = max([begin, *(step_of(path) for path in checkpoints.newest_first())])
        self.events: dict[Path, EventFile] = {}
        self.tags: dict[str, Path] = {}
        self.taken: dict[Path, State] = {path: state_of(path) for path in [*self.saved(), *self.pictures()]}
        self.shown = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.follow, name="follower", daemon=True)

    def __enter__(self) -> Follower:
        self.thread.start()
        return self

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        """Take what is left. A script that was ended may have left a file that is half written."""
        self.over.set()
        self.thread.join()
        self.look(SETTLED if error else 0.0)

    def follow(self) -> None:
        while not self.over.wait(LOOK):
            self.look(SETTLED)

    def look(self, settled: float) -> None:
        """Report what is new. What fails here fails no training; it is told in the log."""
        for part in (self.read_events, lambda: self.show_pictures(settled), lambda: self.keep_checkpoints(settled)):
            try:
                part()
            except Exception as error:  # noqa: BLE001  no file that a script writes may end its training
                log.warning("following %s: %s: %s", self.folder.name, type(error).__name__, error)

    def read_events(self) -> None:
        for path in sorted(self.files("*tfevents*")):
            file = self.events.setdefault(path, EventFile(path))
            with contextlib.suppress(FileNotFoundError):
                try:
                    for point in file.new():
                        title, series = self.names_of(point.tag, path.parent)
                        if isinstance(point.value, Image.Image):
                            self.report.image(title, series, point.value, point.step)
                        else:
                            self.report.scalar(title, series, point.value, point.step)
                except ValueError as error:
                    log.warning("%s: %s; no more of it is read", path.name, error)
                    file.offset = path.stat().st_size

    def names_of(self, tag: str, folder: Path) -> tuple[str, str]:
        """Title and series: of `loss/train` its parts. A tag that several writers have in folders of their own has those in its series."""
        title, _, series = tag.partition("/")
        first = self.tags.setdefault(tag, folder)
        return title, (series or title) + ("" if first == folder else f" ({folder.name})")

    def show_pictures(self, settled: float) -> None:
        for path in self.changed(self.pictures(), settled):
            if self.shown == MOST_PICTURES:
                return
            self.shown += 1
            with Image.open(path) as picture:
                found = STEP.match(path.stem)
                series, step = (found[1] or path.parent.name, int(found[2])) if found else (path.stem, self.shown)
                self.report.image("files", series, picture.convert("RGB"), step)

    def keep_checkpoints(self, settled: float) -> None:
        for path in self.changed(self.saved(), settled):
            if not is_torn(path):
                with contextlib.suppress(ChangedError, FileNotFoundError, CheckpointError):
                    self.checkpoints.save(self.number + 1, lambda beside, path=path: copy(path, beside))  # type: ignore[misc]
                    self.number += 1
                    continue
            self.taken.pop(path, None)  # once more, the next time

    def changed(self, paths: Iterator[Path], settled: float) -> list[Path]:
        """Files that differ from when they were taken and have not changed for a while, the oldest first; they count as taken now."""
        found = []
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                state = state_of(path)
                if self.taken.get(path) != state and (time.time() - state[1] / 1e9 >= settled or zipfile.is_zipfile(path)):
                    self.taken[path] = state
                    found.append((state[1], path))
        return [path for _, path in sorted(found)]

    def saved(self) -> Iterator[Path]:
        yield from dict.fromkeys(path for pattern in self.patterns for path in self.files(pattern.removeprefix("**/")))

    def pictures(self) -> Iterator[Path]:
        yield from (path for path in self.files("*") if path.suffix.lower() in PICTURES)

    def files(self, pattern: str) -> Iterator[Path]:
        """Files below the folder, none by way of a link: what is linked is the repository's."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                if path.relative_to(self.folder).match(pattern) and path.is_file() and not path.is_symlink():
                    yield path


def state_of(path: Path) -> State:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def is_torn(path: Path) -> bool:
    """Whether a file is the beginning of a zip archive, which torch's checkpoints are: its directory stands at its end."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(path)


def copy(path: Path, beside: Path) -> None:
    before = state_of(path)
    shutil.copyfile(path, beside)
    if state_of(path) != before:
        raise ChangedError
