"""Several users on one machine: each has their own clone and containers, and does not affect another's.

Slow throughout: containers are started by the real docker-compose.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import git
from support.engine import Containers, debian_base

from harness.image import environment
from registry.environment import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ADA, BOB = 61001, 61002
Finished = subprocess.CompletedProcess[str]
Compose = Callable[..., Finished]


@pytest.fixture
def clones(there: Containers, tmp_path: Path) -> dict[str, Path]:
    """The clones of two users, and an existing image for both."""
    found = {}
    for name, user in (("ada", ADA), ("bob", BOB)):
        found[name] = tmp_path / name
        git(tmp_path, "clone", "--quiet", str(ROOT), str(found[name]))
        shutil.copytree(ROOT / "docker", found[name] / "docker", dirs_exist_ok=True)
        for path in [found[name], *found[name].rglob("*")]:
            os.chown(path, user, user, follow_symlinks=False)
    for tag in ("latest", environment(found["ada"], "tabletop")):
        there.docker("tag", debian_base(there), f"{there.place}/tabletop:{tag}")
    return found


@pytest.fixture
def typed(there: Containers, clones: dict[str, Path]) -> Compose:
    """Runs `docker-compose`, or `sudo registry compose`, as one of them in a folder of their clone."""

    def run(name: str, *arguments: str, sudo: bool, folder: str = ".") -> Finished:
        user = {"ada": ADA, "bob": BOB}[name]
        who = {"USER": "root", "SUDO_USER": name, "SUDO_UID": str(user), "SUDO_GID": str(user)} if sudo else {"USER": name}
        program = [sys.executable, "-m", "registry", "compose"] if sudo else ["docker-compose"]
        kept = {key: value for key, value in there.environment.items() if key not in {"USER", "SUDO_USER", "UID", "GID"}}
        return subprocess.run([*program, *arguments], cwd=clones[name] / folder, env=kept | who, capture_output=True, text=True, check=True)

    return run


def containers(there: Containers) -> dict[str, tuple[str, str]]:
    """Each container of a clone that runs: its name, and its ID and the folder that it has as its data."""
    listed = there.docker("ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project").split()
    found = json.loads(there.docker("inspect", *listed)) if listed else []
    data = {each["Id"]: next(mount["Source"] for mount in each["Mounts"] if mount["Destination"].endswith("/data")) for each in found}
    return {each["Name"].strip("/"): (each["Id"], data[each["Id"]]) for each in found}


@pytest.mark.parametrize("folder", [".", "docker"])
def test_users_do_not_affect_each_others_containers(there: Containers, clones: dict[str, Path], typed: Compose, folder: str) -> None:
    try:
        typed("ada", "up", "-d", "tabletop", sudo=False, folder=folder)
        before = containers(there)
        assert {name: data for name, (_, data) in before.items()} == {"ada-tabletop": f"{clones['ada']}/data"}
        typed("bob", "up", "-d", "tabletop", sudo=False, folder=folder)
        both = containers(there)
        assert {name: data for name, (_, data) in both.items()} == {name + "-tabletop": f"{clone}/data" for name, clone in clones.items()}
        assert both["ada-tabletop"] == before["ada-tabletop"]
        typed("bob", "down", "--timeout", "0", sudo=False, folder=folder)
        assert containers(there) == before
    finally:
        for name in clones:
            typed(name, "down", "--timeout", "0", sudo=False, folder=folder)


def test_under_sudo_files_belong_to_the_user(there: Containers, clones: dict[str, Path], typed: Compose) -> None:
    try:
        for name in clones:
            typed(name, "up", "-d", "tabletop", sudo=True)
            typed(name, "exec", "-T", "tabletop", "touch", "/workspace/data/made", sudo=True)
        assert len(containers(there)) == 2
        assert {name: (clone / "data/made").stat().st_uid for name, clone in clones.items()} == {"ada": ADA, "bob": BOB}
    finally:
        for name in clones:
            typed(name, "down", "--timeout", "0", sudo=True)


def test_a_missing_folder_is_an_error_and_is_not_created_as_root(clones: dict[str, Path], typed: Compose) -> None:
    shutil.rmtree(clones["ada"] / "data")
    try:
        with pytest.raises(subprocess.CalledProcessError) as failed:
            typed("ada", "up", "-d", "tabletop", sudo=False)
        assert f"bind source path does not exist: {clones['ada']}/data" in failed.value.stderr
        assert not (clones["ada"] / "data").exists()
    finally:
        (clones["ada"] / "data").mkdir()
        typed("ada", "down", "--timeout", "0", sudo=False)
