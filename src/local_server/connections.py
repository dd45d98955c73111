"""Connections: as many as the process's limit of open files allows; the one that has been idle longest is closed for a new one."""

from __future__ import annotations

import asyncio
import resource
import socket
import time

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE = 60
"""Seconds after which an idle connection is closed."""
_FILES = 2**16
WAITING = 512
"""Connections that the system queues until they are accepted."""
_TAKEN_AT_ONCE = 16
_OTHER_FILES = 128
"""Files other than connections: the database, opened by each reader, uploads, downloads, connections that are being closed."""


def allow_many_files() -> None:
    """Raise the limit of open files as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most() -> int:
    """The number of connections that may be open at once."""
    return max(_FILES if (soft := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) == resource.RLIM_INFINITY else soft - _OTHER_FILES, 16)


class Connection(H11Protocol):
    """One connection. It is idle until its request has arrived, and again once the response is sent."""

    idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, and limit the time until its first request: uvicorn does so only for later ones."""
        super().connection_made(transport)
        self.idle_since = time.monotonic()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if len(self.connections) > most():
            others = [other for other in self.connections if isinstance(other, Connection) and other is not self and other.is_idle]
            min(others, key=lambda other: other.idle_since, default=self).transport.abort()

    def on_response_complete(self) -> None:
        self.idle_since = time.monotonic()
        super().on_response_complete()

    @property
    def is_idle(self) -> bool:
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)


class Server(uvicorn.Server):
    """Accepts connections a few at a time, so that there is time to close others for them."""

    def __init__(self, config: uvicorn.Config) -> None:
        config.http, config.backlog, config.timeout_keep_alive = Connection, _TAKEN_AT_ONCE, IDLE
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(WAITING)  # asyncio sets the queue's length to the number accepted at once
