"""Make demonstrations: a task's oracle plays scenes, and the episodes that it solves are kept.

python -m cliport.demos n=10 task=stack-block-pyramid mode=train

Each scene is determined by its seed: even seeds from 0 for training, odd ones from 1 for validation and from 10001 for testing.
The command can be stopped at any time and continues where it stopped; it never leaves a partial demonstration. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a mistake in the command line is reported at once
    from harness.entry import enter

    enter("cliport", "demos", __doc__)

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness import Job
from harness.report import Report
from harness.torch.pictures import Line, captioned

from .config import DemosConfig
from .data.codec import decode
from .data.episode import Episode
from .data.folders import made
from .data.store import Store, opened
from .generation import Attempt, play_seeds, seeds_after, video_file
from .layout import demonstrations
from .tasks import check_assets, groups, make, say_differences


def make_demos(settings: DemosConfig, data_dir: Path, report: Report) -> list[Path]:
    """Make the demonstrations of a task, or of each task of a group, below `data_dir`, and return their folders.

    Raises:
        AssetError: when scanned objects are missing or damaged.
        DataError: when a folder cannot be written, or an oracle fails on too many consecutive seeds.
    """
    wanted = {settings.mode: settings.n}
    if settings.mode == "train":
        wanted |= {mode: n for mode, n in (("val", settings.n_val), ("test", settings.n_test)) if n}
    parts = [(task, mode, n) for mode, n in wanted.items() for task in groups(mode).get(settings.task, [settings.task])]
    for mode in wanted:
        check_assets(settings.assets, [task for task, used, _ in parts if used == mode], mode)
    return [make_missing(replace(settings, task=task, mode=mode, n=n), data_dir, report) for task, mode, n in parts]


def make_missing(settings: DemosConfig, data_dir: Path, report: Report) -> Path:
    """Make the demonstrations of one task and mode that are still missing, and return their folder."""
    folder = demonstrations(data_dir, settings.task, settings.mode)
    task = make(settings.task, settings.mode, settings.assets)
    say_differences(task, report.text)
    filmed = made(video_folder(settings, folder)) if settings.record.save_video else nullcontext()
    with opened(folder, settings.task, settings.mode, geometry=settings.geometry, objects=task.objects) as store, filmed:
        wanted = max(settings.n, len(store))
        last = store.last_seed
        damaged = store.drop_damaged()
        for entry, damage in damaged:
            report.text(f"episode {folder / entry.file} {damage}; its seed will be tried again")
        before = len(store) if settings.save_data else 0
        if before == wanted:
            report.text(f"{folder} already has {before} demonstrations and n={settings.n}: nothing to do")
            return folder
        numbers = {entry.seed: entry.index for entry, _ in damaged}  # an episode made again gets its old number
        seeds = itertools.chain(numbers, seeds_after(last, settings.mode))
        solved = tried = 0
        for attempt in play_seeds(settings, seeds, video_folder(settings, folder), wanted - before):
            tried, solved = tried + 1, solved + attempt.solved
            report.text(f"{folder.name} {before + solved}/{wanted} seed {attempt.seed}: {outcome(attempt)}")
            if attempt.content:
                keep(settings, store, attempt, numbers.get(attempt.seed), report)
        report.text(f"{folder}: {len(store)} demonstrations; the oracle solved {solved} of {tried} scenes")
    return folder


def outcome(attempt: Attempt) -> str:
    """An attempt in words."""
    text = attempt.problem or f"reward {attempt.reward:.3f} in {attempt.actions} actions"
    return text if attempt.solved else f"{text}, not kept"


def keep(settings: DemosConfig, store: Store, attempt: Attempt, index: int | None, report: Report) -> None:
    """Store an episode, name its video after its number, and show it if it is one of the `debug_images` spread over the set."""
    entry = store.add(attempt.seed, attempt.actions, attempt.reward, attempt.content, index)
    if settings.record.save_video:
        videos = video_folder(settings, store.folder)
        video_file(videos, attempt.seed).replace(videos / f"{entry.index + 1:06d}.mp4")
    if settings.debug_images and entry.index % -(-settings.n // settings.debug_images) == 0:
        report.image(store.folder.name, f"{entry.index:06d}", picture_of(decode(attempt.content)), 0)


def video_folder(settings: DemosConfig, folder: Path) -> Path:
    return Path(settings.record.save_video_path or folder / "videos")


def picture_of(episode: Episode, solved: bool | None = None) -> Image.Image:
    """The table before and after, with the instructions; `solved` adds a tick or a cross."""
    before, after = episode.steps[0].view, episode.steps[-1].view
    assert before is not None
    assert after is not None  # episodes are played, or read with their images
    tables = np.concatenate([np.rot90(before.color), np.rot90(after.color)])
    instructions = dict.fromkeys(step.instruction for step in episode.steps[:-1])
    return captioned(Image.fromarray(tables), [Line(text, mark=solved) for text in instructions])


def demos(job: Job) -> None:
    """Make demonstrations in `data_dir`, or in the run's own folder, and publish them as a dataset."""
    settings: DemosConfig = job.settings
    data_dir = Path(settings.data_dir or job.output_dir / "data")
    folders = make_demos(settings, data_dir, job.report)
    if settings.save_data:
        job.publish(
            folder_with_only(folders, data_dir, job.output_dir / "made"), f"cliport-{settings.task}", tags=("cliport", settings.task)
        )


def folder_with_only(folders: Sequence[Path], data_dir: Path, links: Path) -> Path:
    """A folder that contains `folders` and nothing else: `data_dir` itself, or `links` with links to them if `data_dir` has others too."""
    if {path.name for path in data_dir.iterdir()} == {folder.name for folder in folders}:
        return data_dir
    links.mkdir()
    for folder in folders:
        (links / folder.name).symlink_to(folder.absolute())
    return links
