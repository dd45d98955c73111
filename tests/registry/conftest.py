"""A clone with one small workload, and the command line run in this very process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Outcome, Registry
from support.toy import make_repository

from registry import cli


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the toy workload, its image's environment in place; the current folder."""
    root = tmp_path / "a clone"
    make_repository(root)
    (root / ".venvs/toy/bin").mkdir(parents=True)
    (root / ".venvs/toy/bin/python").touch()
    monkeypatch.syspath_prepend(root / "clearml_tasks" / "toy")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither a configured server nor an embedded one."""
    for name in ("CLEARML_CONFIG_FILE", "CLEARML_API_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def registry(capfd: pytest.CaptureFixture[str]) -> Registry:
    """Run `registry ...`, its output to files rather than to a terminal."""

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        try:
            cli.main(list(arguments))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
