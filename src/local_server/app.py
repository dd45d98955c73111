"""The web application: the API, the file server and the page."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import leases
from .answers import envelope, pieces
from .auth import API_VERSION, Guard
from .bodies import Bodies
from .callers import NOBODY, Caller
from .endpoints import Answer, Endpoint
from .errors import AnswerError, ForbiddenError, StorageError
from .files import FileServer
from .store import Store
from .table import TABLE


class EndpointConvertor(StringConvertor):
    """`<service>.<action>`; other names that contain a dot are files of the page."""

    regex = (
        r"(?:async|auth|datasets|debug|events|models|organization|pipelines|projects|queues|reports|server|serving|tasks|users|workers)"
        r"\.[a-z0-9_]+"
    )


register_url_convertor("endpoint", EndpointConvertor())
log = logging.getLogger("local_server")

# Set on every response: no other page may frame, sniff or embed it, not even one from another port of this machine.
_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Api:
    """Serves the endpoints, with responses in ClearML's envelope of `meta` and `data`."""

    def __init__(self, store: Store, guard: Guard) -> None:
        self._store = store
        self._guard = guard
        self._bodies = Bodies()

    async def __call__(self, request: Request) -> Response:
        """Handle `/<service>.<action>`, with or without a version prefix, by POST or by GET with a JSON body."""
        name, version = request.path_params["endpoint"], request.path_params.get("version", API_VERSION)
        try:
            return envelope(name, version, await self._answer(name, version, request))
        except AnswerError as error:
            return refusal(error, name, version)
        except Exception:
            log.exception("%s failed", name)
            return envelope(name, version, status=500, message="internal error; see the server's log")

    async def _answer(self, name: str, version: str, request: Request) -> list[bytes]:
        caller = NOBODY if TABLE.is_keyless(name) else self._guard.check(request)
        if name == "auth.login":
            if caller.by_cookie:
                raise ForbiddenError("the page's cookie cannot be exchanged for a token")
            async with self._bodies.parsed(request, name) as (asked, _):
                token = self._guard.token(request.query_params.get("expiration_sec", asked.get("expiration_sec")), caller)
            return pieces({"token": token})
        endpoint = TABLE.find(name, version)
        if caller.by_cookie and endpoint.writes:
            self._guard.check_wish(request, "POST")
        async with self._bodies.parsed(request, name, endpoint.takes) as (body, large):
            return await self._run(endpoint, body, large, caller)

    async def _run(self, endpoint: Endpoint, body: Any, large: bool, caller: Caller) -> list[bytes]:
        """Call an endpoint on the store."""

        def call(db: sqlite3.Connection) -> list[bytes]:
            return pieces(answer(db, endpoint, body, caller))

        return await asyncio.wrap_future(self._store.write(call, large=large) if endpoint.writes else self._store.read(call))


def answer(db: sqlite3.Connection, endpoint: Endpoint, body: Any, caller: Caller) -> Answer:
    """The data of an endpoint's response. An agent may not change a task that is not its own."""
    if endpoint.writes and endpoint.name.startswith("tasks.") and isinstance(task := body.get("task"), str):
        leases.check(db, task, caller)
    return endpoint.call(db, body, caller)


def refusal(error: AnswerError, name: str = "", version: str = "") -> Response:
    """The response to a refused request."""
    told = envelope(name, version, status=error.status, subcode=error.subcode, message=str(error))
    if isinstance(error, StorageError):
        log.error("%s: %s", name, error)
        told.headers["Retry-After"] = str(error.retry_after)
    return told


class HostCheck:
    """The outermost middleware: it refuses requests addressed to another host name, and sets headers against framing and sniffing."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._guard.check_host(Request(scope))
        except AnswerError as error:
            return await refusal(error)(scope, receive, told)
        return await self._app(scope, receive, told)


def _endpoint(api: Api) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await api(request)

    return endpoint


def application(store: Store, guard: Guard, files: FileServer, page: list[BaseRoute], around: list[Middleware]) -> Starlette:
    """The application. `around` is placed between the host check and the routes; it is the tests' validator."""
    api = Api(store, guard)
    routes: list[BaseRoute] = [
        Route("/files", files, methods=["POST"]),  # the address the SDK posts to; a redirect would lose its upload
        Mount("/files", app=files),
        *(
            Route(path, _endpoint(api), methods=["GET", "POST", "PUT"])
            for path in ("/{endpoint:endpoint}", "/v{version}/{endpoint:endpoint}")
        ),
        *page,
    ]
    return Starlette(routes=routes, middleware=[Middleware(HostCheck, guard=guard), *around])
