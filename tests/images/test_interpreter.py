"""The interpreter of an image (`docker/setup/interpreter.sh`) skips needless updates, and passes everything else to python3."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import clearml_agent
import pytest

from registry.environment import ROOT

AGENT = "clearml-agent==3.0.3"
SETUP = ROOT / "docker/setup"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder like /setup in an image, made by `python.sh` with a fake python3 that only records its arguments."""
    for name in ("interpreter.sh", "python.sh"):
        shutil.copy(SETUP / name, tmp_path)
    python3 = tmp_path / "bin/python3"
    python3.parent.mkdir()
    python3.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n[ "$3" != freeze ] || printf "{AGENT}\\nclearml==2.1.12\\n"\n')
    python3.chmod(0o755)
    subprocess.run(["bash", tmp_path / "python.sh", "some.lock"], env=environment(tmp_path), check=True)
    (tmp_path / "asked").unlink()
    return tmp_path


def environment(image: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{image}/bin:{os.environ['PATH']}"}


def asked(image: Path, *arguments: str) -> list[str] | None:
    """The arguments of python3, if it was called."""
    subprocess.run([image / "interpreter.sh", *arguments], env=environment(image), check=True)
    written = image / "asked"
    return written.read_text().splitlines() if written.exists() else None


def pips_of_the_agent() -> list[str]:
    """The default requests of the agent: `pip` before each version of its own settings (`PackageManager.get_pip_versions`)."""
    settings = (Path(clearml_agent.__file__).parent / "backend_api/config/default/agent.conf").read_text()
    versions = re.search(r"^\s*pip_version: \[(.+)\]", settings, re.MULTILINE)
    assert versions is not None
    return ["pip" + version for version in re.findall(r'"([^"]+)"', versions[1])]


def test_updates_that_the_agent_requests_at_every_start_are_skipped(image: Path) -> None:
    assert asked(image, "-m", "pip", "install", "-U", *pips_of_the_agent()) is None
    assert asked(image, "-m", "pip", "install", "-U", AGENT) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "pip", "install", "-U", "clearml-agent==3.0.4"),  # an agent of another version brings its own
        ("-m", "pip", "install", "-U", "clearml-agent"),  # the newest, whichever it is
        ("-m", "pip", "install", "-U", AGENT, "a b"),
        ("-m", "pip", "install", AGENT),
        ("-m", "pip", "--version"),
        ("-u", "-m", "clearml_agent", "execute"),
        ("-c", "print('two words')"),
        (),
    ],
)
def test_everything_else_is_passed_to_python3(image: Path, arguments: tuple[str, ...]) -> None:
    assert asked(image, *arguments) == list(arguments or [""])


def test_a_version_of_pip_that_a_user_chose_is_installed(image: Path) -> None:
    assert asked(image, "-m", "pip", "install", "-U", "pip<26") is not None
