"""What another user of this machine can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

NOBODY = 65534
WALK = """
import json, os, sys, time

uid, keys, folders, since = json.load(sys.stdin)
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
keys, found = [key.encode() for key in keys], []

def look(path):
    try:
        with open(path, "rb") as file:
            if any(key in part for part in iter(lambda: file.read(1 << 24), b"") for key in keys):
                found.append(path)
    except OSError:
        return

for folder in folders:
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                if os.path.isfile(path) and os.stat(path).st_ctime >= since:
                    look(path)
            except OSError:
                continue
for pid in filter(str.isdigit, os.listdir("/proc")):
    look(f"/proc/{pid}/cmdline")
    if int(pid) != os.getpid():
        look(f"/proc/{pid}/environ")
print(json.dumps(found))
"""


def readable(keys: Iterable[str], folders: Iterable[Path], *, since: float = 0.0, uid: int = NOBODY) -> list[str]:
    """The files below `folders`, changed since then, and the command lines and environments of processes, in which a user reads a key."""
    asked = json.dumps([uid, list(keys), [str(folder) for folder in folders], since])
    done = subprocess.run([sys.executable, "-S", "-c", WALK], input=asked, capture_output=True, text=True, cwd="/", check=True)
    found: list[str] = json.loads(done.stdout)
    return found


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
