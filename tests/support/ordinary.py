"""An ordinary user of this machine: one who owns a clone and a home, and is in the group of the engine's socket. Made by root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.environment import ROOT, cache_folder

from .command_line import git
from .engine import Containers

USER, ENGINE = 1234, 4321
"""The user's ID and group, and the group of the engine's socket: numbers without a name on this machine and in the images."""
BECOME = f"""
set -e
mount -t tmpfs tmpfs /mnt
for folder in {{barred}}; do
    layers=$(mktemp -d /mnt/XXXXXX) && mkdir -m 755 "$layers/above" "$layers/work"
    mount -t overlay -o "lowerdir=$folder,upperdir=$layers/above,workdir=$layers/work" overlay "$folder"
done
exec setpriv --reuid {USER} --regid {USER} --groups {ENGINE} "$@"
"""
"""In a mount namespace of its own, where Python and its packages can be read though they lie in root's home."""


@dataclass(frozen=True)
class Ordinary:
    """The user's folder, in which everything is theirs: `clone`, `home`, `state`."""

    folder: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as that user in the clone."""
        done = subprocess.run(
            self.argv(*command), env=self.environment | variables, cwd=self.folder / "clone", capture_output=True, text=True
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, log: Path, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            environment = self.environment | variables
            return subprocess.Popen(self.argv(*command), env=environment, cwd=self.folder / "clone", stdout=output, stderr=output)

    def registry(self, *arguments: str, check: bool = True, **variables: str) -> str:
        return self.run(sys.executable, "-m", "registry", *arguments, check=check, **variables).stdout.strip()

    def argv(self, *command: str) -> list[str]:
        script = BECOME.format(barred=" ".join(barred()))
        return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "become", *command]

    def not_theirs(self) -> list[Path]:
        """What lies in the folder and is another's."""
        return [path for path in self.folder.rglob("*") if path.lstat().st_uid != USER]


def barred() -> list[str]:
    """Folders on the way to Python and its packages that only their owner may enter."""
    needed = (Path(sys.prefix), Path(sys.base_prefix), cache_folder().resolve(), (cache_folder() / "envs").resolve(), ROOT)
    return sorted({str(folder) for path in needed for folder in path.parents if not folder.stat().st_mode & 0o001})


@contextmanager
def ordinary(there: Containers) -> Iterator[Ordinary]:
    """A user with a clone of the present commit, who may speak to the engine."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    git(folder, "clone", "--quiet", str(ROOT), "clone")
    (folder / "home").mkdir()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        socket = Path(place) / "docker.sock"
        socket.hardlink_to(there.environment["DOCKER_HOST"].removeprefix("unix://"))  # whose own folder is root's
        os.chown(socket, 0, ENGINE)
        socket.chmod(0o660)
        mine = {"HOME": str(folder / "home"), "REGISTRY_HOME": str(folder / "state"), "DOCKER_HOST": f"unix://{socket}"}
        path = {"PYTHONPATH": f"{folder}/clone/src:{folder}/clone"}
        dropped = ("XDG_CACHE_HOME", "USER", "LOGNAME")
        user = Ordinary(folder, {name: value for name, value in there.environment.items() if name not in dropped} | mine | path)
        yield user
        user.registry("down")
    shutil.rmtree(folder)
