"""`python -m local_server --data FOLDER --port PORT`"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path

from .errors import StartError
from .server import SILENCE, serve


def main() -> int:
    """Exit codes: 0 after SIGTERM or SIGINT, 2 if it could not start."""
    parser = argparse.ArgumentParser(prog="local_server", description="The embedded ClearML-compatible server, for this machine alone.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds everything: database, files, keys")
    parser.add_argument("--port", type=int, default=8008, help="port on 127.0.0.1; 0 picks a free one (default: 8008)")
    parser.add_argument("--silence", type=float, default=SILENCE, metavar="SECONDS", help="a running task that is silent for so long is stopped")
    parser.add_argument("--middleware", action="append", default=[], metavar="MODULE:FACTORY", help="wrapped around the server; for tests")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        around = [getattr(importlib.import_module(module), factory)() for module, _, factory in (given.partition(":") for given in arguments.middleware)]
        serve(arguments.data.expanduser().resolve(), arguments.port, silence=arguments.silence, around=around)
    except StartError as error:
        print(f"local_server: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
