"""`python -m local_server --data FOLDER --port PORT`"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path

from starlette.middleware import Middleware

from .errors import StartError
from .server import serve
from .watch import Limits

LIMITS = {
    "start": "queue a task again that an agent took and has not started for so long",
    "report": "stop a running task that its agent has not reported for so long",
    "silence": "stop a running task of which nothing at all was heard for so long",
}


def main() -> int:
    """Exit codes: 0 after SIGTERM or SIGINT, 2 if it could not start."""
    parser = argparse.ArgumentParser(prog="local_server", description="The embedded ClearML-compatible server, for this machine alone.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds everything: database, files, keys")
    parser.add_argument("--port", type=int, default=8008, help="port on 127.0.0.1; 0 picks a free one (default: 8008)")
    for field, what in LIMITS.items():
        parser.add_argument(
            f"--{field}", type=float, default=getattr(Limits, field), metavar="SECONDS", help=f"{what} (default: %(default)g)"
        )
    parser.add_argument("--middleware", metavar="MODULE:FACTORY", help="wrapped around the server; for tests")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    limits = Limits(**{field: getattr(arguments, field) for field in LIMITS})
    try:
        serve(arguments.data.expanduser().resolve(), arguments.port, limits=limits, around=middleware(arguments.middleware))
    except StartError as error:
        print(f"local_server: {error}", file=sys.stderr)
        return 2
    return 0


def middleware(given: str | None) -> list[Middleware]:
    """What `--middleware` names: a function that makes it."""
    if given is None:
        return []
    module, _, factory = given.partition(":")
    return [getattr(importlib.import_module(module), factory)()]


if __name__ == "__main__":
    sys.exit(main())
