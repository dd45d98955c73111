"""Shell completion. The requests are those of click's shell scripts: environment variables, with the answer on stdout."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Registry

from registry import cli
from registry.backends import Server

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the SDK's
Offered = Callable[..., list[str]]

SETTINGS = """\
from dataclasses import dataclass

from harness.params import setting


@dataclass
class Train:
    steps: int = setting(3, "steps", ge=1)
    precision: str = setting("fp32", "of the numbers", choices=["fp32", "bf16"])
    quick: bool = setting(False, "skip what can be skipped")


@dataclass
class Make:
    n: int = setting(5, "numbers", ge=1)
"""


@pytest.fixture
def offered(clone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Offered:
    """The completions of the last word of a line, as fish requests them; bash splits the line."""
    (clone / "clearml_tasks/toy/toy_settings.py").write_text(SETTINGS)

    def offered(*words: str, shell: str = "fish") -> list[str]:
        monkeypatch.setenv("_REGISTRY_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["registry", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
        with pytest.raises(SystemExit) as end:
            cli.main([])
        monkeypatch.delenv("_REGISTRY_COMPLETE")
        out, err = capfd.readouterr()
        assert (end.value.code, err) == (0, "")
        return [line.partition(",")[2].partition("\t")[0] for line in out.splitlines() if line]

    return offered


def test_commands_and_options(offered: Offered) -> None:
    assert "status" in offered("st")
    assert "--project" in offered("status", "--p")


def test_workloads(offered: Offered) -> None:
    assert offered("enqueue", "t") == offered("show", "") == offered("status", "--workload", "t") == ["toy"]


def test_keys_of_the_given_command(offered: Offered) -> None:
    assert {"steps=", "precision=", "quick=", "command=", "seed=", "dataset_id=", "dataset_path="} <= set(offered("enqueue", "toy", ""))
    assert offered("enqueue", "toy", "command=make", "n") == ["nproc_per_node=", "nnodes=", "n="]
    assert "steps=" not in offered("enqueue", "toy", "steps=3", "s")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("precision=", ["precision=fp32", "precision=bf16"]),
        ("precision=b", ["precision=bf16"]),
        ("precision=fp32,b", ["precision=fp32,bf16"]),
        ("quick=T", ["quick=True"]),
        ("standalone=", ["standalone=True", "standalone=False"]),
        ("command=m", ["command=make"]),
        ("config=", ["config=smoke"]),
        ("dataset_id=tabletop-pairs-", ["dataset_id=tabletop-pairs-min"]),
        ("steps=", []),
        ("nothing=", []),
    ],
)
def test_values(offered: Offered, typed: str, words: list[str]) -> None:
    assert offered("enqueue", "toy", typed) == words
    key, _, value = typed.partition("=")
    pieces = [key, "=", value] if value else [key, "="]
    assert offered("enqueue", "toy", *pieces, shell="bash") == [word.partition("=")[2] for word in words]


def test_queues_and_datasets_of_options(offered: Offered) -> None:
    assert offered("enqueue", "toy", "--queue", "") == ["gpu01"]
    assert "tabletop-pairs" in offered("enqueue", "toy", "--dataset", "tabletop")


def test_tasks_of_the_server(embedded: Server, offered: Offered) -> None:
    task = embedded.call("tasks.create", name=f"tab-{uuid.uuid4().hex[:6]}", type="training", script={"entry_point": "run.py"})["id"]
    for line in (["logs"], ["compare", "abcd"], ["enqueue", "toy", "--like"]):
        assert task[:8] in offered(*line, "")
    assert offered("enqueue", "toy", f"resume={task[:6]}") == [f"resume={task[:8]}"]
    assert task[:8] not in offered("stop", "")  # it is a draft
    embedded.call("tasks.started", task=task)
    assert offered("stop", task[:5]) == [task[:8]]


@pytest.mark.usefixtures("no_server")
def test_without_a_clone_or_server_nothing_is_offered_or_printed(offered: Offered, clone: Path) -> None:
    assert offered("logs", "") == []
    (clone / "clearml_tasks/toy/workload.yaml").write_text("summary: [")
    assert offered("enqueue", "") == []


def test_the_root_option_is_used(offered: Offered, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "toy" not in offered("show", "")
    assert offered("--root", shlex.quote(str(clone)), "show", "") == ["toy"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_a_line(clone: Path, tmp_path: Path) -> None:
    """The real shell with its completion script, as documented; a function shows the completions, and whether a space follows."""
    (tmp_path / "registry").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m registry "$@"\n')
    (tmp_path / "registry").chmod(0o755)
    script = """
        compopt() { echo "option" "$@"; }
        eval "$(_REGISTRY_COMPLETE=bash_source registry)"
        COMP_WORDS=(registry enqueue toy ste); COMP_CWORD=3
        _registry_completion registry; echo "${COMPREPLY[@]}"
        COMP_WORDS=(registry sh); COMP_CWORD=1; COMPREPLY=()
        _registry_completion registry; echo "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(clone / "clearml_tasks/toy"), os.environ.get("PYTHONPATH", "")])
    variables = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": path}
    done = subprocess.run(["bash", "-c", script], env=variables, cwd=clone, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == ["option -o nospace", "steps=", "show"], done.stderr


def test_every_shell_gets_its_script(clone: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell, word in (
        ("bash", "complete -o nosort -F _registry_completion registry"),
        ("zsh", "#compdef registry"),
        ("fish", "--command registry"),
    ):
        monkeypatch.setenv("_REGISTRY_COMPLETE", f"{shell}_source")
        assert word in registry().out
