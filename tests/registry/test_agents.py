"""What agents are started with."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from support import hollow
from support.command_line import git
from support.engine import engine, missing, search_path

from registry.agents import LONGEST, Source, agent_configuration, configured, container_arguments, forget_keys, prepare
from registry.readiness import problems_of_gpus
from registry.source import read

EMBEDDED = Source("", {}, embedded=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_CACHE", raising=False)


def test_a_container_sees_the_clone_but_cannot_write_into_it(tmp_path: Path) -> None:
    arguments = container_arguments(tmp_path / "clone", EMBEDDED)
    assert f"--volume={tmp_path}/clone:{tmp_path}/clone:ro" in arguments
    assert f"--volume={tmp_path}/home/cache/harness:{tmp_path}/home/cache/harness" in arguments
    assert (tmp_path / "home/cache/harness").is_dir()


@pytest.mark.skipif(bool(missing()), reason="an engine cannot be started here")
def test_a_container_can_clone_the_commit_of_a_worktree(clone: Path, tmp_path: Path) -> None:
    """With a real engine, which takes 3 s to start: a worktree's .git is a file that names a folder outside of it."""
    tree = tmp_path / "worktree"
    git(clone, "worktree", "add", "-q", "-b", "idea", str(tree))
    git(tree, "commit", "-q", "--allow-empty", "-m", "idea")
    code = read(tree, None, embedded=True)
    script = f"git clone -q {shlex.quote(code.repository)} /tmp/code && git -C /tmp/code log -1 --format=%s {code.commit}"
    with engine(tmp_path / "engine", tmp_path) as address:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{address}", "PATH": search_path()}
        hollow.make(tmp_path, environment)
        seen = [*container_arguments(tree, EMBEDDED), *hollow.mounts()]
        run = ["docker", "run", "--rm", *seen, hollow.IMAGE, "/bin/bash", "-c", script]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "idea\n"), done.stderr


def test_a_store_of_s3_is_found_in_containers_too_and_its_secret_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    arguments = container_arguments(tmp_path, EMBEDDED)
    assert {"--env=AWS_ENDPOINT_URL", "--env=AWS_SECRET_ACCESS_KEY"} <= set(arguments)
    assert "--env=AWS_SESSION_TOKEN" not in arguments
    assert "secret" not in " ".join(arguments)


def test_what_a_team_adds_to_docker_run_stays_and_replaces_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_AGENT_EXTRA_DOCKER_ARGS", "--network=team --shm-size 8g")
    monkeypatch.setenv("CLEARML_API_HOST", "https://api.example.org")
    monkeypatch.setenv("CLEARML_TASK_ID", "of a task that this is started from")
    source = configured(["--ignored-beside-the-variable"], embedded=False)
    arguments = container_arguments(tmp_path / "clone", source)
    assert arguments[-3:] == ["--network=team", "--shm-size", "8g"]
    assert "--network=host" not in arguments
    assert "--ipc=host" in arguments
    assert not any(argument.startswith(f"--volume={tmp_path}/clone") for argument in arguments)  # agents of a team fetch what was pushed
    assert source.environment["CLEARML_API_HOST"] == "https://api.example.org"
    assert not {"CLEARML_TASK_ID", "CLEARML_AGENT_EXTRA_DOCKER_ARGS"} & source.environment.keys()


@pytest.mark.parametrize("depth", [1, LONGEST])
def test_temporary_files_are_private_and_sockets_fit_into_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
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
        ("2", "there is no GPU 2 here; there are: 0, 1, 1:0, GPU-5c5a, GPU-8b0e, MIG-77aa"),
        ("0,,0", "there is no GPU without a name here"),
        ("0,0", "0 stands there twice"),
        ("0-1", "there is no GPU 0-1 here"),
    ],
)
def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, wrong: str) -> None:
    """A stand-in prints what `nvidia-smi --list-gpus` prints on a machine with two GPUs, of which one is divided."""
    listed = "GPU 0: NVIDIA H200 (UUID: GPU-5c5a)\nGPU 1: NVIDIA A100 (UUID: GPU-8b0e)\n  MIG 3g.20gb     Device  0: (UUID: MIG-77aa)"
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\n[ \"$1\" = --list-gpus ] && echo '{listed}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert wrong in "".join(problems_of_gpus(asked))
    assert bool(problems_of_gpus(asked)) == bool(wrong)


@pytest.mark.filterwarnings("ignore::pyparsing.warnings.PyparsingDeprecationWarning")  # of the reader's
@pytest.mark.parametrize("text", ['{"api": {"web_server": "https://a.example.org"}}', 'api.web_server: "https://a.example.org"'])
def test_a_clearml_conf_in_either_form_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """HOCON's root may stand in braces; what the real reader makes of the agent's own file."""
    from clearml.utilities.pyhocon import ConfigFactory

    (tmp_path / "clearml.conf").write_text(text)
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "clearml.conf"))
    folder = tmp_path / "agent"
    folder.mkdir()
    read = ConfigFactory.parse_file(str(agent_configuration(folder, configured([], embedded=False).configuration, ["--ipc=host"])))
    assert read["api.web_server"] == "https://a.example.org"
    assert read["agent.extra_docker_arguments"] == ["--ipc=host"]
