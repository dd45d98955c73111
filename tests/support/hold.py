"""A middleware for the server's process: holds back what says that a task has started, while a file exists. `HOLD_STARTED` names it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send


class Hold:
    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app, self._file = app, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while str(scope.get("path")).endswith("tasks.started") and self._file.exists():
            await asyncio.sleep(0.05)
        await self._app(scope, receive, send)


def middleware() -> Middleware:
    return Middleware(Hold, file=Path(os.environ["HOLD_STARTED"]))
