"""The files of this clone, elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

from registry.environment import ROOT

from .command_line import git


def copy_files(place: Path) -> Path:
    """Copy what git tracks here, or would if it were added, as it stands; return the folder."""
    for name in filter(None, git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    return place
