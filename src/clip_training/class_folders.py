"""Images in one sub-folder per class, as data for zero-shot classification."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from harness.errors import DataError, ParameterError
from harness.params import nearest
from harness.torch.decoding import image_suffixes

from .file_trees import Folder, is_hidden
from .listings import ImageFiles
from .model import Clip
from .parts import preference, word_of
from .zero_shot import ClassSet


def has_class_folders(folder: Path) -> bool:
    """Whether a folder holds nothing but images in sub-folders."""
    suffixes = image_suffixes()
    files = Folder(folder).names()
    return bool(files) and all(name.suffix.lower() in suffixes and len(name.parts) > 1 for name in files)


class ClassFolders(ImageFiles):
    """Images in one sub-folder per class, prepared for evaluation. Unreadable images give the reason.

    Where the folder's own sub-folders are parts of a dataset (train/, val/), those of the part to evaluate on are the classes.

    Args:
        folder: holds the sub-folders.
        clip: the model that the images are prepared for.
        classes: the classes that the sub-folders are named after; None takes the sub-folders' names as the classes.
        pairs: the part to evaluate on, of EvaluationConfig: `heldout` or `all`.

    Raises:
        DataError: when there are fewer than two classes.
        ParameterError: without a folder, or when a sub-folder is not one of the classes.
    """

    def __init__(self, folder: Path | None, clip: Clip, classes: ClassSet | None, pairs: str = "heldout") -> None:
        if folder is None:
            raise ParameterError(["evaluate.data=classes: needs a folder of classes: set dataset_id, or dataset_path=FOLDER"])
        self.folders, self.note = folders_of(folder, pairs)
        names = sorted({path.name for part in self.folders for path in sub_folders(part)})
        where = " and ".join(map(str, self.folders))
        if len(names) < 2:
            raise DataError(f"{where} holds {len(names)} sub-folders; zero-shot classification needs at least two, one per class")
        self.classes = classes or ClassSet("folders", {name: (name.replace("_", " "),) for name in names})
        number = {name: place for place, name in enumerate(self.classes.words)}
        if strangers := [name for name in names if name not in number]:
            shown = ", ".join(f"{name}{nearest(name, number)}" for name in strangers[:4])
            raise ParameterError([f"zero_shot.classes: {len(strangers)} sub-folders of {where} are not in {self.classes.name}: {shown}"])
        suffixes = image_suffixes()
        found = [(part / name / path, number[name]) for part in self.folders for name in names for path in Folder(part / name).names()]
        found = [(path, label) for path, label in found if path.suffix.lower() in suffixes]
        super().__init__([path for path, _ in found], clip)
        self.labels = [label for _, label in found]


def folders_of(folder: Path, pairs: str) -> tuple[list[Path], str]:
    """The folders whose sub-folders are classes, and what to say about it: `folder` itself, or parts of the dataset that it holds.

    Raises:
        DataError: for parts that hold images, but no sub-folders.
    """
    words = {path.name: word_of(path.name, whole=True) for path in sub_folders(folder)}
    if not words or not all(words.values()):
        return [folder], ""
    best, names = min(words.values(), key=preference), ", ".join(words)
    chosen = [folder / name for name, word in words.items() if pairs == "all" or word == best]
    if hollow := [path.name for path in chosen if not any(sub_folders(path))]:
        what = f"{names} are parts of a dataset by their names, not classes, and {hollow[0]} holds no sub-folders"
        raise DataError(f"{folder}: {what}; name one sub-folder for each class")
    used = " and ".join(path.name for path in chosen)
    others = ", ".join(name for name in words if folder / name not in chosen)
    note = f"{folder} holds the parts {names} of a dataset, each with folders of classes; evaluated on: {used}"
    return chosen, note + (f"; for {others}: evaluate.pairs=all, or dataset_path=FOLDER/{others.partition(',')[0]}" if others else "")


def sub_folders(folder: Path) -> list[Path]:
    """In the order of their names, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(PurePosixPath(path.name)))
