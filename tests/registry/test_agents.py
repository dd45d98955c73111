"""The arguments and files with which agents are started."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from registry.agents import container
from registry.agents.agent import LONGEST, ClientConfiguration, agent_configuration, configured, forget_keys, prepare
from registry.agents.readiness import problems_of_gpus

EMBEDDED = ClientConfiguration("", {}, embedded=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_CACHE", raising=False)


def test_a_teams_docker_arguments_are_kept_and_replace_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_AGENT_EXTRA_DOCKER_ARGS", "--network=team --shm-size 8g")
    monkeypatch.setenv("CLEARML_API_HOST", "https://api.example.org")
    monkeypatch.setenv("CLEARML_TASK_ID", "of a task that this is started from")
    source = configured(lambda _: ["--ignored-beside-the-variable"], embedded=False)
    arguments = container.arguments(tmp_path, source.docker_arguments, clone=None)
    assert arguments[-3:] == ["--network=team", "--shm-size", "8g"]
    assert "--network=host" not in arguments
    assert "--ipc=host" in arguments
    assert not any(argument.startswith(f"--volume={tmp_path}/clone") for argument in arguments)  # agents of a team fetch what was pushed
    assert source.environment["CLEARML_API_HOST"] == "https://api.example.org"
    assert not {"CLEARML_TASK_ID", "CLEARML_AGENT_EXTRA_DOCKER_ARGS"} & source.environment.keys()


@pytest.mark.parametrize("depth", [1, LONGEST])
def test_temporary_files_are_private_and_socket_paths_are_short_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / ("h" * depth)))
    agent = prepare("agent-1", tmp_path, ["blue"], EMBEDDED, containers=False)
    temporary = Path(agent.environment["TMPDIR"])
    assert stat.S_IMODE(temporary.stat().st_mode) == stat.S_IMODE(agent.folder.stat().st_mode) == 0o700
    assert (agent.folder / "tmp").resolve() == temporary
    if depth > 1:
        place = temporary / "pymp-01234567" / "listener-01234567"  # as multiprocessing names it
        place.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
    forget_keys(agent.folder)
    assert not temporary.exists()
    assert sorted(path.name for path in agent.folder.iterdir()) == ["gitconfig"]


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("0,1", ""),
        ("all", ""),
        ("none", ""),
        ("1:0", ""),
        ("GPU-8b0e", ""),
        ("2", "there is no GPU 2 here; available: 0, 1, 1:0, GPU-5c5a, GPU-8b0e, MIG-77aa"),
        ("0,,0", "there is no GPU without a name here"),
        ("0,0", "0 is listed twice"),
        ("0-1", "there is no GPU 0-1 here"),
    ],
)
def test_gpus_must_be_listed_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, wrong: str) -> None:
    """A stand-in prints what `nvidia-smi --list-gpus` prints on a machine with two GPUs, one of which has a MIG partition."""
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-5c5a)\nGPU 1: NVIDIA A100 (UUID: GPU-8b0e)\n  MIG 3g.20gb     Device  0: (UUID: MIG-77aa)"
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\n[ \"$1\" = --list-gpus ] && echo '{listed}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert wrong in "".join(problems_of_gpus(asked))
    assert bool(problems_of_gpus(asked)) == bool(wrong)


@pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the reader's
@pytest.mark.parametrize("text", ['{"api": {"web_server": "https://a.example.org"}}', 'api.web_server: "https://a.example.org"'])
def test_sections_are_appended_to_a_clearml_conf_in_either_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The root of a HOCON file may be in braces. The real parser reads the agent's file."""
    from clearml.utilities.pyhocon import ConfigFactory

    (tmp_path / "clearml.conf").write_text(text)
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "clearml.conf"))
    folder = tmp_path / "agent"
    folder.mkdir()
    more = 'extra_docker_arguments: ["--ipc=host"]'
    read = ConfigFactory.parse_file(str(agent_configuration(folder, configured(lambda _: [], embedded=False).text, more)))
    assert read["api.web_server"] == "https://a.example.org"
    assert read["agent.extra_docker_arguments"] == ["--ipc=host"]
