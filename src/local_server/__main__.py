"""`python -m local_server --data FOLDER --port PORT`"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path

from starlette.middleware import Middleware

from .errors import StartError
from .server import SILENCE, serve


def main() -> int:
    """Exit codes: 0 after SIGTERM or SIGINT, 2 if it could not start."""
    parser = argparse.ArgumentParser(prog="local_server", description="The embedded ClearML-compatible server, for this machine alone.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds everything: database, files, keys")
    parser.add_argument("--port", type=int, default=8008, help="port on 127.0.0.1; 0 picks a free one (default: 8008)")
    parser.add_argument("--silence", type=float, default=SILENCE, metavar="SECONDS", help="stop a running task that is silent for so long")
    parser.add_argument("--middleware", metavar="MODULE:FACTORY", help="wrapped around the server; for tests")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(arguments.data.expanduser().resolve(), arguments.port, silence=arguments.silence, around=middleware(arguments.middleware))
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
