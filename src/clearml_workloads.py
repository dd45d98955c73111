"""The command `registry`, by a name that nobody else uses.

Research repositories have packages called `registry` as well, and whoever works on one may have it on PYTHONPATH. The command takes the
packages that it was installed with, wherever it is typed; the repository's own programs go on seeing the repository's.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACES = [str(folder) for folder in (HERE, HERE.parent) if (folder / "registry").is_dir()]
"""Where the package is: beside this file, and in a clone above src/."""


def main() -> None:
    sys.path[:0] = [str(HERE), *PLACES]
    from registry.cli import main as run

    run()
