"""The clone's .env: settings that both docker-compose and the registry read."""

from __future__ import annotations

import os
import re
from pathlib import Path


def stated(root: Path, name: str) -> str | None:
    """The value of a name in .env; the last line counts."""
    file = root / ".env"
    found = re.findall(rf"^{name}=(.*)$", file.read_text(), re.MULTILINE) if file.exists() else []
    return found[-1].strip() if found else None


def setting(root: Path, name: str) -> str | None:
    """The value of an environment variable, or else of .env. An empty value counts as unset."""
    return os.environ.get(name) or stated(root, name) or None
