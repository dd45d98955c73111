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
    """`$REGISTRY_HOME`, by default below the user's data folder."""
    given = os.environ.get("REGISTRY_HOME")
    if given:
        return Path(given).expanduser().resolve()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / NAME


def harness_cache() -> Path:
    """Where runs keep what they fetch."""
    return Path(os.environ.get("HARNESS_CACHE", home() / "cache" / "harness"))


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Let what is written meanwhile, and all that processes started meanwhile write, be this user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(path: Path) -> Path:
    """A folder that nobody else can look into, made anew or taken over from a time when it was open."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def remove(path: Path) -> None:
    """Remove a file or a folder, and what it leads to where it is a link."""
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
    """The clearml.conf by which a client uses it."""
    login_url: str
    """The page's address with the key that opens it: a secret."""


def embedded_server() -> EmbeddedServer | None:
    """The embedded server of this state folder, if it is up."""
    folder = home() / "server"
    try:
        stated = json.loads((folder / "server.json").read_text())
        url, files_url = stated["url"].rstrip("/"), stated["files_url"].rstrip("/")
        server = EmbeddedServer(int(stated["pid"]), url, files_url, folder / "clearml.conf", stated["login_url"])
    except (OSError, ValueError, KeyError):
        return None
    return server if started_at(server.pid) else None


def started_at(pid: int) -> str | None:
    """When a process began, in ticks since the machine's start: with the process id its identity, for ids are used again.

    None if it is gone, or has ended and only waits to be collected.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start
