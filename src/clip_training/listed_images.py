"""The images that a table names, found among a dataset's files, in whatever form their paths are written."""

from __future__ import annotations

import logging
import posixpath
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from harness.errors import DataError

from .file_trees import FileTree

log = logging.getLogger(__name__)


class ListedImages:
    """Finds images by their names in a table, which are relative to the tree, absolute, or addresses in it.

    `./i/a.png`, `i//a.png` and `/data/i/a.png` of the tree /data are the same image as `i/a.png`. A name that is no file's is tried with
    backslashes as slashes, and with its percent-encoding undone.
    """

    def __init__(self, tree: FileTree) -> None:
        self.tree = tree
        self.names = {str(name): name for name in tree.names()}
        self.found: dict[str, PurePosixPath | str] = {}
        self.rewritten: dict[str, PurePosixPath] = {}

    def find(self, stated: str) -> PurePosixPath | str:
        """The image's name in the tree, or why there is none.

        Raises:
            DataError: for an image in a folder above the tree.
        """
        if (name := self.names.get(stated)) is not None:
            return name
        if stated not in self.found:
            self.found[stated] = self.searched(stated)
        return self.found[stated]

    def searched(self, stated: str) -> PurePosixPath | str:
        text = stated.removeprefix(f"{self.tree}/")
        if text == stated and "://" in text:
            if urlsplit(text).scheme.lower() != "file":
                return f"{stated} is an address, not a file of {self.tree}; fetch the images first"
            text = unquote(urlsplit(text).path)
        for form in dict.fromkeys((text, text.replace("\\", "/"), unquote(text))):
            name = self.tree.within(PurePosixPath(posixpath.normpath(form)))
            if ".." in name.parts:
                raise DataError(f"{self.tree}: the image {stated} is outside of it; name images below the table's folder, or absolutely")
            if str(name) in self.names or self.tree.has(name):
                if form != text:
                    self.rewritten[stated] = name
                return name
        return f"{stated} is not there"

    def note(self, table: PurePosixPath) -> None:
        """Log how many names were rewritten since the last note."""
        if self.rewritten:
            what = f"{len(self.rewritten)} images are named with backslashes or as in a URL"
            log.warning("%s/%s: %s, e.g. %s, read as %s", self.tree, table, what, *next(iter(self.rewritten.items())))
            self.rewritten.clear()
