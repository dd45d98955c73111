"""Images in one sub-folder per class, as data for zero-shot classification."""

from __future__ import annotations

from pathlib import Path

from harness.errors import DataError, ParameterError
from harness.params import nearest
from harness.torch.decoding import image_suffixes

from .file_trees import Folder
from .listings import ImageFiles
from .model import Clip
from .zero_shot import ClassSet


def has_class_folders(folder: Path) -> bool:
    """Whether a folder holds nothing but images in sub-folders."""
    suffixes = image_suffixes()
    files = Folder(folder).names()
    return bool(files) and all(name.suffix.lower() in suffixes and len(name.parts) > 1 for name in files)


class ClassFolders(ImageFiles):
    """Images in one sub-folder per class, prepared for evaluation. Unreadable images give the reason.

    Args:
        folder: holds the sub-folders.
        clip: the model that the images are prepared for.
        classes: the classes that the sub-folders are named after; None takes the sub-folders' names as the classes.

    Raises:
        DataError: when there are fewer than two classes.
        ParameterError: without a folder, or when a sub-folder is not one of the classes.
    """

    def __init__(self, folder: Path | None, clip: Clip, classes: ClassSet | None) -> None:
        if folder is None:
            raise ParameterError(["evaluate.data=classes: needs a folder of classes: set dataset_id, or dataset_path=FOLDER"])
        names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if len(names) < 2:
            raise DataError(f"{folder} holds {len(names)} sub-folders; zero-shot classification needs at least two, one per class")
        self.classes = classes or ClassSet("folders", {name: (name.replace("_", " "),) for name in names})
        number = {name: place for place, name in enumerate(self.classes.words)}
        if strangers := [name for name in names if name not in number]:
            shown = ", ".join(f"{name}{nearest(name, number)}" for name in strangers[:4])
            raise ParameterError([f"zero_shot.classes: {len(strangers)} sub-folders of {folder} are not in {self.classes.name}: {shown}"])
        suffixes = image_suffixes()
        found = [(folder / name / path, number[name]) for name in names for path in Folder(folder / name).names()]
        found = [(path, label) for path, label in found if path.suffix.lower() in suffixes]
        super().__init__([path for path, _ in found], clip)
        self.labels = [label for _, label in found]
