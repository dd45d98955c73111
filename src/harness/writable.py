"""Where a run can write: its output folder, and a home for what libraries keep; a container's user may have neither."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from .errors import ParameterError

NAMED = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Variables in which Python looks for the user's name."""


def check_output(stated: str, output: Path) -> None:
    """Make sure that files can be written below `output`, which need not exist yet.

    Raises:
        ParameterError: naming `output_dir` as it was stated, and why nothing can be written there.
    """
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        why = f"user {os.geteuid()} cannot write into {there} ({error.strerror})"
        raise ParameterError([f"output_dir={stated}: {why}; name a folder that can be written"]) from error


def settle_home(environment: MutableMapping[str, str]) -> None:
    """Give a user without a home, or without a name, what libraries ask for: a folder that goes with this process, and the user's ID.

    Raises:
        ParameterError: there is no folder for temporary files either.
    """
    if not os.access(environment.get("HOME") or Path.home(), os.W_OK):
        try:
            environment["HOME"] = tempfile.mkdtemp(prefix="home-")
        except OSError as error:
            raise ParameterError([f"no folder for temporary files can be written ({error.strerror}): set TMPDIR to one"]) from error
        atexit.register(shutil.rmtree, environment["HOME"], ignore_errors=True)
    if not any(environment.get(name) for name in NAMED):
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            environment["USER"] = str(os.geteuid())
