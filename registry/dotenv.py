"""The clone's .env: settings that docker-compose and the registry read alike."""

from __future__ import annotations

import os
import re
from pathlib import Path


def stated(root: Path, name: str) -> str | None:
    """What .env states for a name; its last line counts."""
    file = root / ".env"
    found = re.findall(rf"^{name}=(.*)$", file.read_text(), re.MULTILINE) if file.exists() else []
    return found[-1].strip() if found else None


def setting(root: Path, name: str) -> str | None:
    """The environment's value, else that of .env; an empty one counts as none."""
    return os.environ.get(name) or stated(root, name) or None
