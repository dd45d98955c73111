"""The state folder of `registry up`: where the embedded server keeps its data and the agents their caches."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import NAME


def home() -> Path:
    """The folder `$REGISTRY_HOME`; by default, one below the user's data folder."""
    given = os.environ.get("REGISTRY_HOME")
    if given:
        return Path(given).expanduser().resolve()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / NAME


def harness_cache() -> Path:
    """The folder in which runs keep what they fetch."""
    return Path(os.environ.get("HARNESS_CACHE", home() / "cache" / "harness"))


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Make files that are written meanwhile, here or by processes started meanwhile, accessible to this user only."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(path: Path) -> Path:
    """A folder that only this user can read. If it exists with other permissions, they are corrected."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def remove(path: Path) -> None:
    """Remove a file or a folder; if it is a link, also its target."""
    if path.is_symlink():
        remove(path.readlink())
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class EmbeddedServer:
    """A running embedded server, as it describes itself in server.json."""

    pid: int
    url: str
    files_url: str
    configuration: Path
    """The clearml.conf for its clients."""
    login_url: str
    """The address of the web page, including the key to it: a secret."""


def embedded_server() -> EmbeddedServer | None:
    """The embedded server of this state folder, if it is running."""
    folder = home() / "server"
    try:
        stated = json.loads((folder / "server.json").read_text())
        url, files_url = stated["url"].rstrip("/"), stated["files_url"].rstrip("/")
        server = EmbeddedServer(int(stated["pid"]), url, files_url, folder / "clearml.conf", stated["login_url"])
    except (OSError, ValueError, KeyError):
        return None
    return server if started_at(server.pid) else None


def started_at(pid: int) -> str | None:
    """When a process started, in ticks since the machine was booted. Together with its ID this identifies it, because IDs are reused.

    None if it is gone, or is a zombie.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start
