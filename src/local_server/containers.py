"""Why a task that ran in a container has failed: its agent reports no more than an exit code."""

from __future__ import annotations

import json
import re
import sqlite3

_BY_AGENT = re.compile(r"worker execution exit code (\d+)")
_BY_ENGINE = re.compile(r"docker: (.+)|(Error response from daemon: .+)")
_LINES = 200  # of the log's end in which the engine's words are looked for

# What `docker run` exits with when it is not the command's own code, and what a shell makes of signals.
_MEANINGS = {
    125: "the container could not be started",
    126: "the container's command cannot be run",
    127: "the container has no such command",
    137: "killed: out of memory, or by hand",
    143: "ended by SIGTERM",
}


def reason(db: sqlite3.Connection, task: str, stated: str) -> str:
    """The agent's reason with what its exit code means, and what the container engine said; any other reason as it is."""
    found = _BY_AGENT.fullmatch(stated)
    meaning = _MEANINGS.get(int(found[1])) if found else None
    if not meaning:
        return stated
    words = _words_of_engine(db, task) if found and found[1] == "125" else None
    return f"{meaning}: {words} ({stated})" if words else f"{meaning} ({stated})"


def _words_of_engine(db: sqlite3.Connection, task: str) -> str | None:
    """The last thing that the log tells of the container engine."""
    rows = db.execute("SELECT doc FROM event WHERE owner = ? AND type = 'log' ORDER BY timestamp DESC, id DESC LIMIT ?", (task, _LINES))
    for row in rows:
        for line in reversed(str(json.loads(row[0]).get("msg", "")).splitlines()):
            if found := _BY_ENGINE.match(line.strip()):
                return (found[1] or found[2]).rstrip(".")
    return None
