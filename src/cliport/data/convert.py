"""Convert the original's pickles to this project's format, at a hundredth of the size.

python -m cliport.data.convert data_dir=OLD output=NEW          every <task>-<mode> in OLD
python -m cliport.data.convert data_dir=OLD output=NEW task=stack-block-pyramid

Height maps get the original's geometry (see model.geometry). Episodes that are already converted are kept; a damaged one is named and
skipped. The pickles are not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.command_line import main
from harness.errors import DataError, ParameterError
from harness.report import Report, TerminalReport
from harness.settings import setting

from ..errors import EpisodeError
from ..layout import data_folder, root
from ..tasks import MODES
from .codec import encode
from .pickles import pickled_episodes
from .store import opened


@dataclass
class ConvertConfig:
    """Settings of the converter."""

    data_dir: str = setting("", "folder with the original's <task>-<mode>; default: $CLIPORT_ROOT/data")
    output: str = setting("", "folder to write to; must differ from data_dir")
    task: str = setting("", "convert only this task; default: all")
    mode: str = setting("", "convert only this mode; default: all", choices=("", *MODES))


def convert(settings: ConvertConfig, report: Report) -> list[Path]:
    """Convert every folder that the settings select, and return the new ones.

    Raises:
        ParameterError: if output is empty or the same as data_dir.
        DataError: when there is nothing to convert.
    """
    source = data_folder(settings.data_dir)
    if not settings.output or Path(settings.output).resolve() == source.resolve():
        raise ParameterError([f"output={settings.output}: must be a folder other than data_dir={source}"])
    folders = [path.parent for path in sorted(source.glob("*/action")) if wanted(path.parent, settings)]
    if not folders:
        raise DataError(f"{source}: no folder <task>-<mode> that contains action/ matches task={settings.task} mode={settings.mode}")
    return [convert_folder(folder, Path(settings.output), report) for folder in folders]


def wanted(folder: Path, settings: ConvertConfig) -> bool:
    task, _, mode = folder.name.rpartition("-")
    return mode in MODES and settings.task in ("", task) and settings.mode in ("", mode)


def convert_folder(folder: Path, output: Path, report: Report) -> Path:
    """Convert the folder of one task and mode; episodes keep their numbers and seeds."""
    task, _, mode = folder.name.rpartition("-")
    episodes = pickled_episodes(folder)
    with opened(output / folder.name, task, mode, origin="pickles of another simulator", geometry="original") as store:
        store.drop_damaged()
        known = {entry.index for entry in store.manifest.entries}
        for pickled in report.progress([episode for episode in episodes if episode.index not in known], description=folder.name):
            try:
                episode = pickled.read(task)
                store.add(episode.seed, episode.actions, episode.reward, encode(episode), pickled.index)
            except EpisodeError as error:
                report.text(f"episode {pickled.name} is skipped: {error}")
        report.text(f"{store.folder}: {len(store)} of {len(episodes)} demonstrations, {len(known)} of them already there")
        return store.folder


if __name__ == "__main__":
    main(ConvertConfig, lambda settings: convert(settings, TerminalReport(root() / "outputs" / "cliport")), __doc__)
