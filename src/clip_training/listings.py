"""What is there to embed: images in a folder, lines of a file, captions of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch.utils.data import Dataset

from harness.errors import DataError, ParameterError
from harness.torch.decoding import image_suffixes
from harness.torch.digest import digest_of
from harness.tree import survey

from .file_trees import File, Folder, is_hidden
from .formats import pairs_of
from .model import Clip
from .pairs import Sample, Skipped, UnusableError, as_tensor, read_image
from .shards import members_of
from .texts import Reading, lines_of, text_of


class ImageFiles(Dataset[Sample | Skipped]):
    """Images without texts, prepared for a model. Unreadable images give the reason.

    Args:
        paths: the images.
        clip: the model that they are prepared for.
    """

    def __init__(self, paths: Sequence[File], clip: Clip) -> None:
        self.paths, self.transform, self.no_tokens = paths, clip.transform, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample | Skipped:
        try:
            image = read_image(self.paths[index])
        except UnusableError as error:
            return {index: str(error)}
        return Sample(index, as_tensor(self.transform(image)), self.no_tokens, {})


@dataclass(frozen=True)
class Listing:
    """Images or texts in a fixed order."""

    kind: str
    """A key of embedding_tables.COLUMNS."""
    names: Sequence[str]
    """Paths below `root`, or the texts themselves."""
    files: Sequence[File]
    """The images; empty for texts."""
    root: str
    """The folder of the images, or where the texts are from."""
    digest: str
    """Changes with the names, and with the sizes or times of the images."""
    left_out: Sequence[str] = ()
    """What cannot be listed, and why."""

    def __len__(self) -> int:
        return len(self.names)


def images_in(folder: Path) -> Listing:
    """All images below a folder, whatever their suffix, and those in WebDataset's .tar files, which are named `a.tar:KEY.jpg`.

    Raises:
        DataError: when there is none.
    """
    tree, found, suffixes = Folder(folder), survey(folder), image_suffixes()
    names = sorted(name for name in map(PurePosixPath, (*found.files, *found.lost)) if not is_hidden(name))
    images: dict[str, File] = {str(name): tree.file(name) for name in names if name.suffix.lower() in suffixes}
    shards = [name for name in names if name.suffix.lower() == ".tar"]
    for _, members in members_of(tree, shards):
        images |= {f"{member.archive}:{member.key}{suffix}": member for suffix, member in members.items() if suffix in suffixes}
    if not images:
        raise DataError(f"{folder} holds no image: {len(names)} files, none with a suffix that Pillow opens")
    states = (f"{name} {found.states.get(str(name))}".encode("utf-8", "surrogateescape") for name in names)
    return Listing("images", list(images), list(images.values()), str(folder.absolute()), digest_of(states))


def image_in(root: Path, name: str) -> File:
    """The image that a listing of `root` names."""
    archive, colon, key = name.partition(".tar:")
    shard = PurePosixPath(f"{archive}.tar")
    if colon and (root / shard).is_file():
        for _, members in members_of(Folder(root), [shard]):
            for suffix, member in members.items():
                if f"{member.key}{suffix}" == key:
                    return member
    return root / name


def texts_in(path: Path, encoding: str) -> Listing:
    """The lines of a file that are not blank.

    Raises:
        ParameterError: when it cannot be read, or has another encoding.
        DataError: when it holds no text.
    """
    return of_texts(read_lines(path, "texts", encoding), str(path.absolute()))


def captions_in(folder: Path, encoding: str) -> Listing:
    """Every caption of a dataset of pairs in any form.

    Raises:
        DataError: when there is no pair with a caption.
    """
    texts: list[str] = []
    left_out: list[str] = []
    for pair in pairs_of(Folder(folder), reading=Reading(encoding=encoding), left_out=left_out):
        try:
            texts += pair.read_captions()
        except UnusableError as error:
            left_out.append(str(error))
    return of_texts(texts, str(folder.absolute()), left_out)


def of_texts(texts: Sequence[str], source: str, left_out: Sequence[str] = ()) -> Listing:
    if not texts:
        raise DataError(f"{source} holds no text" + "".join(f"; {reason}" for reason in left_out[:1]))
    return Listing("texts", texts, (), source, digest_of(text.encode("utf-8", "surrogateescape") for text in texts), left_out)


def read_lines(path: Path, key: str, encoding: str = "utf-8") -> list[str]:
    """The lines of a list file that are not blank. `key` is the setting that names the file.

    Raises:
        ParameterError: when it cannot be read, has another encoding, or no line.
    """
    try:
        lines = lines_of(text_of(path.read_bytes(), encoding))
    except (OSError, ValueError) as error:
        raise ParameterError([f"{key}={path}: {getattr(error, 'strerror', None) or error}"]) from error
    if not lines:
        raise ParameterError([f"{key}={path}: the file holds no line"])
    return lines
