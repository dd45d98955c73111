"""The program: `python -c "..; from registry.new.parsers.program import main; main()" SCRIPT.py`."""

from __future__ import annotations

import os
import runpy
import sys

from .found import ReadingDone, UnreadableError
from .of_argparse import intercept_argparse
from .of_click import intercept_click
from .of_hydra import intercept_hydra


def main(script: str, folder: str = "", module: str = "") -> None:
    """Read a script's options. One that is part of a package is run as its module, of the package in `folder`."""
    for intercept in (intercept_argparse, intercept_click, intercept_hydra):
        intercept()
    for name in [name for name in sys.modules if name.partition(".")[0] == "registry"]:
        del sys.modules[name]  # the script may have a `registry` of its own
    sys.path[0] = folder or os.path.dirname(script)
    sys.argv = [script]
    try:
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(script, run_name="__main__")
    except ReadingDone:
        os._exit(0)  # whatever threads it has started
    except UnreadableError as error:
        problem = str(error)
    except SystemExit as stop:
        problem = stop.code if isinstance(stop.code, str) else f"it ended with exit code {stop.code}"
    except BaseException as error:  # noqa: BLE001  whatever the script raises
        problem = f"{type(error).__name__}: {error}"
    else:
        problem = "it ran to its end without reading options by argparse, click or Hydra"
    print(f"error: {problem}", file=sys.stderr, flush=True)
    os._exit(1)
