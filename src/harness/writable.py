"""Folders that a run can write to: its output folder, and a home for the files of libraries; a user in a container may have neither."""

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
"""Variables that Python's getpass reads the user's name from."""


def check_output(stated: str, output: Path, key: str = "output_dir") -> None:
    """Check that files can be written below `output`, which need not exist yet.

    Args:
        stated: the value of the setting that names it.
        output: the folder.
        key: that setting.

    Raises:
        ParameterError: nothing can be written there; it names the setting as given, and the reason.
    """
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return
    except OSError as error:
        why = f"user {os.geteuid()} cannot write into {there} ({error.strerror})"
        raise ParameterError([f"{key}={stated}: {why}; choose a folder that this user can write to"]) from error


def settle_home(environment: MutableMapping[str, str]) -> None:
    """Give a user without a home or a name what libraries need: a folder that is removed with this process, and the user's ID as a name.

    Raises:
        ParameterError: there is no folder for temporary files either.
    """
    if not os.access(environment.get("HOME") or Path.home(), os.W_OK):
        try:
            environment["HOME"] = tempfile.mkdtemp(prefix="home-")
        except OSError as error:
            raise ParameterError([f"there is no writable folder for temporary files ({error.strerror}); set TMPDIR to one"]) from error
        atexit.register(shutil.rmtree, environment["HOME"], ignore_errors=True)
    if not any(environment.get(name) for name in NAMED):
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            environment["USER"] = str(os.geteuid())
