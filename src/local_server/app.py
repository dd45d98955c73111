"""The web application: the API, the file server and the page."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import activity, bulk, events, metrics, models, organization, projects, queues, reports, taskparts, workers  # noqa: F401  (their end points)
from .auth import API_VERSION, Guard
from .endpoints import Endpoint, lookup
from .errors import AnswerError, ForbiddenError, InvalidRequestError, StorageError, TooLargeError
from .files import FileServer
from .store import Store


class EndpointConvertor(StringConvertor):
    """`<service>.<action>`; other names with a dot in them are the page's files."""

    regex = (
        r"(?:async|auth|datasets|debug|events|models|organization|pipelines|projects|queues|reports|server|serving|tasks|users|workers)"
        r"\.[a-z0-9_]+"
    )


register_url_convertor("endpoint", EndpointConvertor())
LARGEST_BODY = 64 * 2**20
log = logging.getLogger("local_server")


class Api:
    """Answers end points in ClearML's envelope of `meta` and `data`."""

    def __init__(self, store: Store, guard: Guard) -> None:
        self._store = store
        self._guard = guard

    async def __call__(self, request: Request) -> Response:
        """`/<service>.<action>`, below any version prefix; GET with a JSON body as well as POST."""
        name, version = request.path_params["endpoint"], request.path_params.get("version", API_VERSION)
        try:
            data = await self._answer(name, version, request)
            return envelope(name, version, data)
        except AnswerError as error:
            return refusal(name, version, error)
        except Exception:
            log.exception("%s failed", name)
            return envelope(name, version, {}, 500, 0, "internal error; the server's log has the details")

    async def _answer(self, name: str, version: str, request: Request) -> dict[str, Any]:
        by_cookie = name != "debug.ping" and self._guard.check(request)
        if name == "auth.login":
            if by_cookie:
                raise ForbiddenError("the page's cookie is for the page alone")
            asked = await parameters(request, batch=False)
            return {"token": self._guard.token(request.query_params.get("expiration_sec", asked.get("expiration_sec")))}
        endpoint = lookup(name, version)
        body = await parameters(request, batch=endpoint.batch)
        return await self.run(endpoint, body)

    async def run(self, endpoint: Endpoint, body: Any) -> dict[str, Any]:
        """Call an end point on the store."""
        run = self._store.write if endpoint.writes else self._store.read
        return await asyncio.wrap_future(run(lambda db: endpoint.call(db, body)))


async def parameters(request: Request, *, batch: bool) -> Any:
    """The fields of a request: its JSON body, else its query. A batch is a list of them, one JSON value per line.

    Raises:
        TooLargeError: the body is over the limit.
        InvalidRequestError: it is not JSON.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise TooLargeError(f"the request is over {LARGEST_BODY >> 20} MiB")
        parts.append(part)
    text = b"".join(parts)
    try:
        if batch:
            return [parse(line) for line in text.splitlines() if line.strip()]
        body = parse(text) if text.strip() else dict(request.query_params)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the request is not JSON: {error}", subcode=0) from error
    if not isinstance(body, dict):
        raise InvalidRequestError("the request is not a JSON object")
    return body


def parse(text: bytes) -> Any:
    """A JSON value that can be stored: NaN, Infinity and 1e999, which Python reads, become null, half surrogate pairs are refused."""
    value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    if b"\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # raises ValueError
    return value


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def envelope(name: str, version: str, data: dict[str, Any], status: int = 200, subcode: int = 0, message: str = "OK") -> Response:
    """An answer in ClearML's form."""
    trx = uuid.uuid4().hex
    meta = {
        "id": trx,
        "trx": trx,
        "endpoint": {"name": name, "requested_version": version, "actual_version": version},
        "result_code": status,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": "",
        "error_data": {},
    }
    return Response(json.dumps({"meta": meta, "data": data}), status, media_type="application/json")


def refusal(name: str, version: str, error: AnswerError) -> Response:
    """An error in ClearML's form."""
    answer = envelope(name, version, {}, error.status, error.subcode, str(error))
    if isinstance(error, StorageError):
        log.error("%s: %s", name, error)
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


class HostCheck:
    """Outermost: refuses requests addressed to another host's name, and keeps answers from being framed or sniffed."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            self._guard.check_host(Request(scope))
        except AnswerError as error:
            return await refusal("", "", error)(scope, receive, send)
        return await self._app(scope, receive, send)


def _endpoint(api: Api) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await api(request)

    return endpoint


def application(store: Store, guard: Guard, files: FileServer, page: list[BaseRoute], around: list[Middleware]) -> Starlette:
    """The application; `around` is put between the host check and the routes (the tests' validator)."""
    api = Api(store, guard)
    routes: list[BaseRoute] = [
        Route("/files", files, methods=["POST"]),  # where the SDK posts to; a redirect would lose its upload
        Mount("/files", app=files),
        *(
            Route(path, _endpoint(api), methods=["GET", "POST", "PUT"])
            for path in ("/{endpoint:endpoint}", "/v{version}/{endpoint:endpoint}")
        ),
        *page,
    ]
    return Starlette(routes=routes, middleware=[Middleware(HostCheck, guard=guard), *around])
