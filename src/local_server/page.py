"""The web page: its files, its addresses and its sign-in.

Every address returns the same HTML shell, which contains no data: its scripts call the API with the cookie set by signing in. The content
security policy allows only this server's own files and nothing inline, so that a name or a log line that gets into the document by mistake
is still not executed.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from .errors import AnswerError

if TYPE_CHECKING:
    from starlette.types import Scope

    from .auth import Guard

_LONGEST_FORM = 8192
# Plotly, as pinned in requirements.txt, adds an empty style element that it fills through the object model, and the style of its maps; it
# also sets style attributes. These two digests let it, and no other inline style element. The tests fail when a version needs others.
_PLOTLY_STYLES = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src-elem 'self' {_PLOTLY_STYLES}; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_CLOUD = b"https://cloud.plotly.com/newchart"
VIEWS = ("/", "/task/{id}", "/compare", "/datasets", "/queues")


class _Assets(StaticFiles):
    """Files that the browser caches but revalidates each time, so that a new version is shown at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})
        return response


def routes(guard: Guard) -> list[BaseRoute]:
    """The routes of the page. The addresses that ClearML's SDK prints for tasks and datasets redirect to the task's view."""
    shell = _text("index.html")

    async def view(request: Request) -> Response:
        return HTMLResponse(shell, headers=_HEADERS)

    return [
        *(Route(path, view, methods=["GET"]) for path in VIEWS),
        Route("/login", _login(guard), methods=["GET", "POST"]),
        *(Route(f"/projects/{{project}}/{kind}/{{task}}/{{rest:path}}", _to_task, methods=["GET"]) for kind in ("experiments", "tasks")),
        Route("/datasets/simple/{project}/experiments/{task}", _to_task, methods=["GET"]),
        Route("/page/plotly.min.js", _plotly, methods=["GET"]),
        Mount("/page", _Assets(packages=[(__package__, "page")])),
    ]


@cache
def _plotly_script() -> tuple[bytes, str]:
    """Plotly without the address to which it could upload charts, and the digest that serves as its ETag."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes().replace(_CLOUD, b"")
    return script, f'"{hashlib.sha256(script).hexdigest()}"'


def _plotly(request: Request) -> Response:
    script, digest = _plotly_script()
    headers = {"Cache-Control": "no-cache", "ETag": digest}
    if digest in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(script, 200, headers, "text/javascript")


async def _to_task(request: Request) -> Response:
    tab = "?tab=log" if request.path_params.get("rest") == "output/log" else ""
    return RedirectResponse(f"/task/{quote(request.path_params['task'], safe='')}{tab}", 303)


def _login(guard: Guard) -> Callable[[Request], Awaitable[Response]]:
    """`/login?key=...`, and the form for the key. The key becomes a cookie, and disappears from the address."""

    async def endpoint(request: Request) -> Response:
        fields: dict[str, Any] = dict(request.query_params) if request.method == "GET" else await _form(request)
        target = local_address(fields.get("next", "/"))
        key = fields.get("key", "").strip()
        if not key:
            return _sign_in(target)
        try:
            value, seconds = guard.page_cookie(key)
        except AnswerError as error:
            return _sign_in(target, "This key is not valid for this server.", error.status)
        answer = RedirectResponse(target, 303, _HEADERS)
        answer.set_cookie(guard.cookie, value, max_age=seconds, httponly=True, samesite="strict")
        return answer

    return endpoint


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; a body that is too long counts as empty."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def local_address(address: str) -> str:
    """The address if it leads to a page of this server, else `/`: a sign-in link must not redirect to another site."""
    odd = any(ord(letter) <= 32 or letter == "\\" for letter in address)
    local = address.startswith("/") and not address.startswith("//") and not odd and not URL(address).netloc
    return address if local and not address.startswith("/login") else "/"


def _sign_in(target: str, problem: str = "", status: int = 200) -> Response:
    text = _text("login.html").replace("{{next}}", html.escape(target)).replace("{{problem}}", html.escape(problem))
    return HTMLResponse(text, status, _HEADERS)


def _text(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text("utf-8")
