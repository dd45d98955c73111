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
    "start": "return a task to its queue if the agent that took it has not started it within this time",
    "report": "stop a running task if its agent has not reported it for this time",
    "silence": "stop a running task if there was no sign of life from it for this time",
}


def main() -> int:
    """Exit code 0 after SIGTERM or SIGINT, 2 if the server could not start."""
    parser = argparse.ArgumentParser(prog="local_server", description="Embedded ClearML-compatible server for a single machine.")
    parser.add_argument("--data", type=Path, required=True, help="folder for all of the server's data: database, files, keys")
    parser.add_argument("--port", type=int, default=8008, help="port on 127.0.0.1; 0 picks a free one (default: 8008)")
    for field, what in LIMITS.items():
        parser.add_argument(
            f"--{field}", type=float, default=getattr(Limits, field), metavar="SECONDS", help=f"{what} (default: %(default)g)"
        )
    parser.add_argument("--middleware", metavar="MODULE:FACTORY", help="ASGI middleware to wrap around the server, for tests")
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
    """The middleware that `--middleware` names a factory of."""
    if given is None:
        return []
    module, _, factory = given.partition(":")
    return [getattr(importlib.import_module(module), factory)()]


if __name__ == "__main__":
    sys.exit(main())
