"""The clone that a command works on, from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import Registry


@pytest.fixture
def elsewhere(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside every clone; the current one."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names(registry: Registry, *before: str) -> list[str]:
    return [workload["name"] for workload in json.loads(registry(*before, "list", "--json").out)]


def test_the_option_selects_the_clone(clone: Path, elsewhere: Path, registry: Registry) -> None:
    assert names(registry, "--root", str(clone)) == ["toy"]
    assert names(registry, "--root", f"../{clone.name}/configs") == ["toy"]


def test_the_variable_selects_the_clone_and_the_option_takes_precedence(
    clone: Path, elsewhere: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ROOT", str(clone))
    assert names(registry) == ["toy"]
    outcome = registry("--root", str(elsewhere), "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"neither {elsewhere} nor a folder above it contains clearml_tasks/*/workload.yaml" in outcome.err


@pytest.mark.usefixtures("no_server")
def test_a_run_uses_the_selected_clone(clone: Path, elsewhere: Path, registry: Registry) -> None:
    outcome = registry("--root", str(clone), "enqueue", "toy", "command=make", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert f"--repo '{clone.as_uri()}'" in outcome.out or f"--repo {clone.as_uri()}" in outcome.out
