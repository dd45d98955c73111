"""Why a task in a container failed: its agent reports nothing but an exit code."""

from __future__ import annotations

import json
import re
import sqlite3

_BY_AGENT = re.compile(r"worker execution exit code (\d+)")
_BY_ENGINE = re.compile(r"docker: (.+)|(Error response from daemon: .+)")
_LINES = 200  # at the end of the log, in which the engine's message is searched

# Exit codes of `docker run` itself, and those that a shell derives from signals.
_MEANINGS = {
    125: "the container could not be started",
    126: "the container's command cannot be run",
    127: "the container has no such command",
    137: "killed: out of memory, or by hand",
    143: "ended by SIGTERM",
}


def reason(db: sqlite3.Connection, task: str, stated: str) -> str:
    """The agent's reason, explained by the meaning of its exit code and the container engine's message; any other reason unchanged."""
    found = _BY_AGENT.fullmatch(stated)
    meaning = _MEANINGS.get(int(found[1])) if found else None
    if not meaning:
        return stated
    words = _words_of_engine(db, task) if found and found[1] == "125" else None
    return f"{meaning}: {words} ({stated})" if words else f"{meaning} ({stated})"


def _words_of_engine(db: sqlite3.Connection, task: str) -> str | None:
    """The container engine's last message in the log."""
    rows = db.execute("SELECT doc FROM event WHERE owner = ? AND type = 'log' ORDER BY timestamp DESC, id DESC LIMIT ?", (task, _LINES))
    for row in rows:
        for line in reversed(str(json.loads(row[0]).get("msg", "")).splitlines()):
            if found := _BY_ENGINE.match(line.strip()):
                return (found[1] or found[2]).rstrip(".")
    return None
