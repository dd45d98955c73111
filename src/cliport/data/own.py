"""Make demonstrations of what was recorded with one's own robot: pictures, and where it picked and placed.

python -m cliport.data.own folder=RECORDINGS name=cups

Each recording is checked, and drawn on pages of pictures with an arrow from pick to place; nothing is stored if one has a mistake.
Then they are trained on: python -m cliport.train train.task=own-cups
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from harness.command_line import main
from harness.errors import DataError, HarnessError, ParameterError
from harness.report import Report, TerminalReport
from harness.settings import setting
from harness.torch.pictures import WRONG, Line, captioned, sheet

from ..agents.overlay import arrow, enlarged
from ..config import WorkspaceConfig
from ..layout import data_folder, demonstrations, root
from ..own.recording import Recorded, Recording, read, recordings_in
from ..own.workspace import Workspace
from ..predict import workspace_of
from ..sim.constants import GEOMETRIES
from ..tasks import FIRST_SEED
from ..tasks.outside import RECORDED
from .codec import encode
from .episode import Episode, Step
from .store import MANIFEST, opened

ZOOM, WIDTH, COLUMNS, PAGE = 2, 320, 6, 24
ORIGIN = "cliport.data.own"


@dataclass
class OwnConfig:
    """Settings of the converter."""

    folder: str = setting("", "recordings: a folder each with actions.json, and the scenes 0/, 1/ .. before each action and after the last")
    name: str = setting("", "name of what is shown; the task is called own-NAME")
    output: str = setting("", "folder for own-NAME-train and own-NAME-val; default: $CLIPORT_ROOT/data")
    n_val: int = setting(0, "number of recordings, from the last, to validate on; 0 for a tenth, and at least one", unit="episodes", ge=0)
    least: float = setting(0.005, "height that something must have where it is picked; 0 for flat things and pushes", unit="m", ge=0)
    geometry: str = setting(
        "exact", "cells of the height maps: exact, or as in the original's code, for its checkpoints", choices=GEOMETRIES
    )
    workspace: WorkspaceConfig = field(default_factory=WorkspaceConfig)


def convert(settings: OwnConfig, report: Report) -> list[Path]:
    """Check, draw and store the recordings, and return the folders of the demonstrations.

    Raises:
        ParameterError: for unusable settings.
        DataError: naming all mistakes in the recordings; then nothing has been stored.
    """
    task, data, workspace = f"{RECORDED}{settings.name}", data_folder(settings.output), checked(settings)
    folders = recordings_in(Path(settings.folder))
    n_val = settings.n_val or max(1, len(folders) // 10)
    if n_val >= len(folders):
        raise ParameterError([f"n_val={n_val}: must leave one of {len(folders)} recordings to train on"])
    pages = Pages(data / f"{task}-pictures", workspace)
    problems: list[str] = []
    contents: list[Encoded] = []
    for number, folder in enumerate(report.progress(folders, description=task)):
        recording = read(folder, workspace, settings.geometry, settings.least)
        pages.add(recording)
        for remark in recording.remarked():
            report.text(f"WARNING: {remark}")
        problems += recording.told()
        if not problems:
            contents.append(episode(recording, task, seed_of(number, len(folders) - n_val), workspace))
    report.text(f"pictures: {pages.folder if pages.close() else 'none'}")
    if problems:
        raise DataError("\n".join([*problems, "nothing has been stored"]))
    made = [store(data, task, mode, part, settings.geometry) for mode, part in (("train", contents[:-n_val]), ("val", contents[-n_val:]))]
    report.text(
        f"{data}: {len(contents) - n_val} demonstrations of {task}, and {n_val} to validate on; to learn from them: "
        f"python -m cliport.train dataset_path={data} train.task={task} train.n_demos={len(contents) - n_val} train.n_val={n_val}"
    )
    return made


def checked(settings: OwnConfig) -> Workspace:
    """The workspace; raises ParameterError for settings of which nothing can be made."""
    problems = []
    if not re.fullmatch(r"[\w-]+", settings.name):
        problems.append(f"name={settings.name}: must be letters, digits, - and _")
    for mode in ("train", "val"):
        folder = demonstrations(data_folder(settings.output), f"{RECORDED}{settings.name}", mode)
        if (folder / MANIFEST).exists():
            problems.append(f"{folder} has demonstrations already; remove it, or choose another name")
    try:
        workspace = workspace_of(settings.workspace)
    except HarnessError as error:
        problems.append(str(error))
    if problems:
        raise ParameterError(problems)
    return workspace


@dataclass(frozen=True)
class Encoded:
    """An episode as the bytes of its file: a hundredth of the size of its views."""

    seed: int
    actions: int
    reward: float
    content: bytes


def seed_of(number: int, n_train: int) -> int:
    """The seed of a recording, of which the first `n_train` are trained on: each mode has its own, as in the simulator."""
    return FIRST_SEED["train"] + 2 * number if number < n_train else FIRST_SEED["val"] + 2 * (number - n_train)


def episode(recording: Recording, task: str, seed: int, workspace: Workspace) -> Encoded:
    """A recording without mistakes as a demonstration in the agent's workspace."""
    where = {"recording": recording.folder.name, "bounds": list(workspace.bounds), "pixel": workspace.pixel}
    steps = [
        Step(view, action.action(workspace), 0.0, {"lang_goal": action.instruction, **where})
        for action, view in zip(recording.actions, recording.views, strict=False)
    ]
    last = Step(recording.views[-1], None, 1.0, {"lang_goal": recording.actions[-1].instruction, **where})
    made = Episode(task, seed, (*steps, last))
    return Encoded(seed, made.actions, made.reward, encode(made))


def store(data: Path, task: str, mode: str, part: Sequence[Encoded], geometry: str) -> Path:
    """Store episodes as the demonstrations of a mode."""
    with opened(demonstrations(data, task, mode), task, mode, origin=ORIGIN, geometry=geometry) as kept:
        for made in part:
            kept.add(made.seed, made.actions, made.reward, made.content)
        return kept.folder


class Pages:
    """Pages with a picture of every action that could be read: 000.png, 001.png ..."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.folder, self.workspace, self.written = folder, workspace, 0
        self.drawn: list[Image.Image] = []

    def add(self, recording: Recording) -> None:
        for action in recording.actions:
            if action.view is not None:
                self.drawn.append(picture(recording.folder.name, action, self.workspace))
            if len(self.drawn) == PAGE:
                self.write()

    def close(self) -> int:
        """Write the last page; returns how many there are."""
        if self.drawn:
            self.write()
        return self.written

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sheet(self.drawn, COLUMNS).save(self.folder / f"{self.written:03d}.png")
        self.drawn, self.written = [], self.written + 1


def picture(name: str, action: Recorded, workspace: Workspace) -> Image.Image:
    """The scene before an action, with an arrow from pick to place, the tool's x axis at both, and what is wrong."""
    assert action.view is not None
    scene = enlarged(action.view.color, ZOOM)
    arrow(scene, *action.pixels(workspace), ZOOM, action.yaws)
    lines = [Line(f"{name}, action {action.number}: {action.instruction}")]
    lines += [Line(problem, WRONG, mark=False) for problem in (*action.problems, *action.remarks)]
    return captioned(scene, lines, WIDTH)


if __name__ == "__main__":
    main(OwnConfig, lambda settings: convert(settings, TerminalReport(root() / "outputs" / "cliport")), __doc__)
