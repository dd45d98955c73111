"""The same pairs in every dataset format."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path


def files_of(folder: Path) -> list[tuple[Path, Path]]:
    """Image and caption file of each pair of a plain folder, in order of the stems."""
    return [(image, image.with_suffix(".txt")) for image in sorted(folder.rglob("*.png"), key=lambda path: path.stem)]


def captions_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]


def write_tar(path: Path, members: Sequence[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def as_shards(folder: Path, target: Path, shards: int = 3, captions: str = "txt") -> None:
    """Tar files with consecutive pairs, as webdataset's writer makes them."""
    pairs = files_of(folder)
    for number in range(shards):
        members = []
        for image, text in pairs[number * len(pairs) // shards : (number + 1) * len(pairs) // shards]:
            stated = text.read_bytes() if captions == "txt" else json.dumps({"caption": captions_of(text)}).encode()
            members += [(f"{image.stem}.png", image.read_bytes()), (f"{image.stem}.{captions}", stated)]
        write_tar(target / f"{number:05d}.tar", members)


def as_table(
    folder: Path, target: Path, name: str = "pairs.csv", columns: tuple[str, str] = ("filepath", "title"), mark: str = ","
) -> None:
    """A table of images below images/, a row for each caption."""
    (target / "images").mkdir(parents=True, exist_ok=True)
    with (target / name).open("w", newline="") as handle:
        rows = csv.writer(handle, delimiter=mark)
        rows.writerow(["number", *columns])
        for image, text in files_of(folder):
            (target / "images" / image.name).write_bytes(image.read_bytes())
            for number, caption in enumerate(captions_of(text)):
                rows.writerow([number, f"images/{image.name}", caption])


def as_folder(folder: Path, target: Path) -> None:
    for image, text in files_of(folder):
        for path in (image, text):
            copy = target / path.name[0] / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


FORMS = {
    "folder": as_folder,
    "shards": as_shards,
    "json": lambda folder, target: as_shards(folder, target, captions="json"),
    "table": as_table,
}
