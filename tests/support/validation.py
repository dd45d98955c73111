"""Checks every request that a server accepts, and its answer, against the schemas of ClearML's own SDK.

`middleware` is put around the server under test (`--middleware support.validation:middleware`); it appends what it finds wrong to the
file that the environment variable VALIDATION_REPORT names. The fixtures fail the test session if that file is not empty.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import clearml.backend_api.services as sdk_services
import jsonschema
from clearml.backend_api.session import BatchRequest, Request
from clearml.backend_api.session.datamodel import DataModel
from clearml.backend_api.utils import get_response_cls
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REPORT = "VALIDATION_REPORT"
_PATH = re.compile(r"/(?:v(?P<version>[\d.]+)/)?(?P<service>[a-z]+)\.(?P<action>[a-z_0-9]+)")


@dataclass(frozen=True)
class Schemas:
    """What the SDK says about one end point."""

    request: dict[str, Any]
    response: dict[str, Any]
    batch: bool


def versions() -> list[tuple[int, ...]]:
    """The API versions that the SDK has schemas for, oldest first."""
    names = (re.fullmatch(r"v(\d+)_(\d+)", module.name) for module in pkgutil.iter_modules(sdk_services.__path__))
    return sorted((int(match[1]), int(match[2])) for match in names if match)


@cache
def schemas(version: tuple[int, ...]) -> dict[str, Schemas]:
    """By end point, the newest schemas up to a version (an older one than the oldest gets the oldest)."""
    known = [each for each in versions() if each <= version] or versions()[:1]
    package = f"{sdk_services.__name__}.v{known[-1][0]}_{known[-1][1]}"
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return dict(entry for module in modules for entry in _service(importlib.import_module(f"{package}.{module.name}")))


def _service(module: Any) -> Iterator[tuple[str, Schemas]]:
    models = {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, DataModel) and kind._schema}
    # Some of the SDK's schemas refer to definitions that they do not hold.
    named = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): kind._schema for name, kind in models.items()}
    for kind in vars(module).values():
        if not inspect.isclass(kind) or not issubclass(kind, Request) or kind.__module__ != module.__name__ or inspect.isabstract(kind):
            continue
        batch = issubclass(kind, BatchRequest)
        request = kind._batched_request_cls._schema if batch else kind._schema
        response = get_response_cls(kind)
        yield f"{kind._service}.{kind._action}", Schemas(_whole(request, named), _whole(response and response._schema, named), batch)


def _whole(schema: dict[str, Any] | None, named: dict[str, Any]) -> dict[str, Any]:
    return {} if schema is None else schema | {"definitions": named | schema.get("definitions", {})}


def violations(endpoint: str, version: str, request: bytes, answer: bytes) -> Iterator[str]:
    """What an accepted request or its answer has that the SDK's schemas do not allow."""
    known = schemas(tuple(int(part) for part in version.split("."))).get(endpoint)
    if known is None:
        return
    lines = [json.loads(line) for line in request.splitlines() if line.strip()] if known.batch else [json.loads(request or b"{}")]
    for line in lines:
        yield from _errors(f"request of {endpoint}", known.request, _as_meant(_plain_filters(line) if ".get_all" in endpoint else line))
    content = json.loads(answer)
    if sorted(content) != ["data", "meta"] or content["meta"]["result_code"] != 200:
        yield f"answer of {endpoint}: not ClearML's envelope"
    yield from _errors(f"answer of {endpoint}", known.response, content["data"])


def _as_meant(request: dict[str, Any]) -> dict[str, Any]:
    """A request without the three things in which the clients themselves break the SDK's schemas.

    They send null for what they leave out, the level of a log line in capitals, and fractions of machine statistics.
    """
    meant = {key: value for key, value in request.items() if value is not None}
    if meant.get("type") == "log" and isinstance(meant.get("level"), str):
        meant["level"] = meant["level"].lower()
    if isinstance(meant.get("machine_stats"), dict):
        meant["machine_stats"] = {key: int(value) if isinstance(value, float) else value for key, value in meant["machine_stats"].items()}
    return meant


def _plain_filters(request: dict[str, Any]) -> dict[str, Any]:
    """A query without what ClearML's server takes beyond the SDK's schema: null in lists, excluded statuses, several parents."""
    plain = {key: [item for item in value if item is not None] if isinstance(value, list) else value for key, value in request.items()}
    if isinstance(plain.get("status"), list):
        plain["status"] = [str(status).removeprefix("-") for status in plain["status"]]
    if isinstance(plain.get("parent"), list):
        plain["parent"] = next(iter(plain["parent"]), None)
    return plain


def _errors(where: str, schema: dict[str, Any], instance: Any) -> Iterator[str]:
    for error in jsonschema.Draft7Validator(schema).iter_errors(instance):
        yield f"{where}: {'.'.join(map(str, error.path))}: {error.message[:300]}"


class Validator:
    """ASGI middleware that reads along."""

    def __init__(self, app: ASGIApp, report: Path) -> None:
        self._app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _PATH.fullmatch(scope.get("path", ""))
        if scope["type"] != "http" or match is None:
            await self._app(scope, receive, send)
            return
        request, answer, status = bytearray(), bytearray(), 0

        async def listen() -> Message:
            message = await receive()
            request.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            answer.extend(message.get("body", b""))
            if status == 200 and message["type"] == "http.response.body" and not message.get("more_body"):
                self._check(match, bytes(request), bytes(answer))  # before the client can go on, and the test end
            await send(message)

        await self._app(scope, listen, tell)

    def _check(self, match: re.Match[str], request: bytes, answer: bytes) -> None:
        found = list(violations(f"{match['service']}.{match['action']}", match["version"] or "2.23", request, answer))
        if found:
            with self._report.open("a") as report:
                report.writelines(problem + "\n" for problem in found)


def middleware() -> Middleware:
    """For the server's command line."""
    return Middleware(Validator, report=Path(os.environ[REPORT]))
